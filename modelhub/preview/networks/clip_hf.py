"""CLIP's text encoder under the names that Hugging Face gave it; SD1 and the first encoder of SDXL have it."""

from __future__ import annotations

from torch import Tensor

from modelhub.preview.networks.attention import attend
from modelhub.preview.networks.layers import Layer, LayerNorm, Linear, Parts, Table, count_heads
from modelhub.preview.networks.text_encoder import ClipParts, TextEncoder, gelu, quick_gelu
from modelhub.preview.networks.tree import Tree


class HfClip(TextEncoder):
    """The body below `text_model.`."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.embeddings = HfEmbeddings(tree["embeddings"])
        width = self.embeddings.width
        layers = tree["encoder.layers"].series() or {"0": tree["encoder.layers.0"]}
        self.encoder = Parts({"layers": Parts({name: HfLayer(part, width) for name, part in layers.items()})})
        self.final_layer_norm = LayerNorm(tree["final_layer_norm"], width)

    def parts(self) -> ClipParts:
        """Where this layout keeps what."""
        layers = list(self.encoder.get_submodule("layers").children())
        return ClipParts(*self.embeddings.tables(), layers, self.final_layer_norm)


class HfEmbeddings(Layer):
    """The vectors of tokens and of positions; `position_ids`, which old files have, only counts from 0."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.token_embedding = Table(tree["token_embedding"])
        self.width = self.token_embedding.width
        self.position_embedding = Table(tree["position_embedding"], self.width)

    def tables(self) -> tuple[Table, Tensor]:
        """Vectors of tokens [V, D] and of positions [T, D]."""
        return self.token_embedding, self.position_embedding.weight


class HfLayer(Layer):
    """One layer: causal attention and a feed-forward, each normalised first and added."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.layer_norm1, self.self_attn = LayerNorm(tree["layer_norm1"], width), HfAttention(tree["self_attn"], width)
        self.layer_norm2, self.mlp = LayerNorm(tree["layer_norm2"], width), HfMlp(tree["mlp"], width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> the same shape."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class HfAttention(Layer):
    """Attention to this and earlier tokens, 64 channels a head."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            Linear(tree[name], width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")
        )
        self.heads = count_heads(tree, width, max(1, width // 64))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> the same shape."""
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, causal=True))


class HfMlp(Layer):
    """Two projections with an activation between them.

    Which one is for OpenAI's models the quick GELU and for OpenCLIP's the exact one. Only the width tells: OpenAI's
    are 768 or less (CLIP-L), those that OpenCLIP trained for SD2 and SDXL 1024 (H) and 1280 (G).
    """

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.fc1 = Linear(tree["fc1"], width)
        self.fc2 = Linear(tree["fc2"], self.fc1.outputs, width)
        self.activation = gelu if width >= 1024 else quick_gelu

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> the same shape."""
        return self.fc2(self.activation(self.fc1(x)))
