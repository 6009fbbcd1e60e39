"""CLIP's text encoder under the names of OpenCLIP; SD2 and the second encoder of SDXL have it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.attention import attend
from modelhub.preview.networks.layers import Layer, LayerNorm, Linear, Parts, Table, count_heads, like
from modelhub.preview.networks.text_encoder import ClipParts, TextEncoder, gelu, quick_gelu
from modelhub.preview.networks.tree import Tree


class OpenClip(TextEncoder):
    """The text half of an OpenCLIP model (Cherti et al. 2022, arXiv:2212.07143)."""

    positional_embedding: Tensor

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.token_embedding = Table(tree["token_embedding"])
        width = self.token_embedding.width
        self.hold(tree, "positional_embedding", None, width)
        layers = tree["transformer.resblocks"].series() or {"0": tree["transformer.resblocks.0"]}
        self.transformer = Parts({"resblocks": Parts({name: OpenLayer(part, width) for name, part in layers.items()})})
        self.ln_final = LayerNorm(tree["ln_final"], width)

    def parts(self) -> ClipParts:
        """Where this layout keeps what."""
        layers = list(self.transformer.get_submodule("resblocks").children())
        return ClipParts(self.token_embedding, self.positional_embedding, layers, self.ln_final)


class OpenLayer(Layer):
    """One layer: causal attention and a feed-forward, each normalised first and added."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.ln_1, self.attn = LayerNorm(tree["ln_1"], width), FusedAttention(tree["attn"], width)
        self.ln_2, self.mlp = LayerNorm(tree["ln_2"], width), OpenMlp(tree["mlp"], width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> the same shape."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class FusedAttention(Layer):
    """Attention to this and earlier tokens, 64 channels a head; query, key and value weights are one tensor."""

    in_proj_weight: Tensor
    in_proj_bias: Tensor

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.hold(tree, "in_proj_weight", 3 * width, width)
        self.hold(tree, "in_proj_bias", 3 * width)
        self.out_proj = Linear(tree["out_proj"], width, width)
        self.heads = count_heads(tree, width, max(1, width // 64))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> the same shape."""
        q, k, v = F.linear(x, like(self.in_proj_weight, x), like(self.in_proj_bias, x)).chunk(3, dim=-1)
        return self.out_proj(attend(q, k, v, self.heads, causal=True))


class OpenMlp(Layer):
    """Two projections with an activation between them: the exact GELU.

    But at width 768 the quick one: files in these names are then OpenAI's CLIP-L, which was trained with it.
    """

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.c_fc = Linear(tree["c_fc"], width)
        self.c_proj = Linear(tree["c_proj"], self.c_fc.outputs, width)
        self.activation = quick_gelu if width == 768 else gelu

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> the same shape."""
        return self.c_proj(self.activation(self.c_fc(x)))
