"""Transformers over the pixels of a feature map, which look at the prompt."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.attention import attend
from modelhub.preview.networks.layers import GroupNorm, Layer, LayerNorm, Linear, Parts, count_heads
from modelhub.preview.networks.tree import Tree

#: Whether U-Nets with a context of this width have 8 heads: SD1, SD2, SDXL's refiner, SDXL.
_EIGHT_HEADS = {768: True, 1024: False, 1280: False, 2048: False}


class Attention(Layer):
    """Attention of x to itself or to a context."""

    def __init__(self, tree: Tree, width: int, heads: int, context: int | None = None) -> None:
        super().__init__()
        self.to_q = Linear(tree["to_q"], width, bias=False)
        self.to_k = Linear(tree["to_k"], context, self.to_q.outputs, bias=False)
        self.to_v = Linear(tree["to_v"], self.to_k.inputs, self.to_q.outputs, bias=False)
        self.to_out = Parts({"0": Linear(tree["to_out.0"], self.to_q.outputs, width)})
        self.heads = count_heads(tree, self.to_q.outputs, heads)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x [N, T, width], context [N, S, width of the context] -> [N, T, width]."""
        return self.to_out(attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))


class Geglu(Layer):
    """a gelu(b), a and b two halves of one projection (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.proj = Linear(tree["proj"], width)
        self.outputs = self.proj.outputs // 2
        if self.proj.outputs % 2:
            tree.fault("projects to an odd number of channels, which has no halves")

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> [..., outputs]."""
        a, b = self.proj(x).chunk(2, dim=-1)
        return a * F.gelu(b)


class FeedForward(Layer):
    """A gated projection up and one back down."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        gate = Geglu(tree["net.0"], width)
        self.net = Parts({"0": gate, "2": Linear(tree["net.2"], gate.outputs, width)})

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> the same shape."""
        return self.net(x)


class TransformerBlock(Layer):
    """Attention to itself, attention to the prompt, feed-forward; each normalised first and added."""

    def __init__(self, tree: Tree, width: int, heads: int, context: int | None) -> None:
        super().__init__()
        self.norm1, self.attn1 = LayerNorm(tree["norm1"], width), Attention(tree["attn1"], width, heads, width)
        self.norm2, self.attn2 = LayerNorm(tree["norm2"], width), Attention(tree["attn2"], width, heads, context)
        self.norm3, self.ff = LayerNorm(tree["norm3"], width), FeedForward(tree["ff"], width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x [N, T, width], context [N, S, C] -> [N, T, width]."""
        y = self.norm1(x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(Layer):
    """Transformer blocks over the pixels of a feature map."""

    def __init__(self, tree: Tree, channels: int, context: int | None) -> None:
        super().__init__()
        self.outputs = channels
        self.norm = GroupNorm(tree["norm"], channels, 1e-6)
        self.proj_in = Linear(tree["proj_in"], channels)
        width = self.proj_in.outputs
        heads = 8 if _has_eight_heads(context, self.proj_in) else max(1, width // 64)
        blocks = tree["transformer_blocks"].series()
        self.transformer_blocks = Parts({n: TransformerBlock(t, width, heads, context) for n, t in blocks.items()})
        self.proj_out = Linear(tree["proj_out"], width, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x [N, channels, H, W], context [N, S, C] -> [N, channels, H, W]."""
        h = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks.children():
            h = block(h, context)
        return x + self.proj_out(h).transpose(1, 2).reshape(x.shape)


def _has_eight_heads(context: int | None, proj_in: Linear) -> bool:
    """Whether a transformer has 8 heads, as SD1 at every width, or heads of 64 channels, as all U-Nets after it.

    That stands nowhere in a file. The width of the context tells, whatever a converter made of matrices; where that
    width is no family's alone it is whether `proj_in` is a 1x1 convolution, as in SD1.
    """
    return _EIGHT_HEADS.get(context or 0, proj_in.weight.ndim == 4)
