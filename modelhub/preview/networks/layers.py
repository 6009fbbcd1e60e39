"""The few layers all networks are made of: sizes from the file, and on the meta device until they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.preview.networks.tree import Tree

_GROUPS = 32


class Layer(nn.Module):
    """A module that returns one tensor."""

    if TYPE_CHECKING:
        __call__: Callable[..., Tensor]

    def hold(self, tree: Tree, name: str, *pattern: int | None) -> tuple[int, ...]:
        """Take the tensor `name` of `tree` as a parameter, without memory for it yet; returns its shape."""
        shape = tree.need(name, *pattern)
        held = shape if shape == tree[name].shape else ()  # what is missing may be too large to stand for
        self.register_parameter(name, nn.Parameter(torch.empty(held, device="meta"), requires_grad=False))
        return shape


class Parts(Layer):
    """A container whose children keep the names they have in the file, such as the 0 and 2 of `in_layers`."""

    def __init__(self, parts: Mapping[str, Layer]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """The children one after another."""
        for part in self.children():
            x = part(x)
        return x


class Linear(Layer):
    """x [..., inputs] -> [..., outputs]. A weight of a 1x1 convolution [outputs, inputs, 1, 1] serves as well."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, tree: Tree, inputs: int | None = None, outputs: int | None = None, *, bias: bool = True) -> None:
        super().__init__()
        tail = (1, 1) if len(tree["weight"].shape or ()) == 4 else ()
        self.outputs, self.inputs = self.hold(tree, "weight", outputs, inputs, *tail)[:2]
        if bias:
            self.hold(tree, "bias", self.outputs)
        else:
            self.bias = None

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        return F.linear(x, self.weight.flatten(1), self.bias)


class Conv(Layer):
    """x [N, inputs, H, W] -> [N, outputs, H', W'], a `size` x `size` kernel, padded so that stride 1 keeps H and W."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self, tree: Tree, inputs: int | None = None, outputs: int | None = None, *, size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.outputs, self.inputs = self.hold(tree, "weight", outputs, inputs, size, size)[:2]
        self.hold(tree, "bias", self.outputs)
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class GroupNorm(Layer):
    """Normalise 32 groups of channels (Wu and He 2018, arXiv:1803.08494)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tree: Tree, channels: int, eps: float) -> None:
        super().__init__()
        self.hold(tree, "weight", channels)
        self.hold(tree, "bias", channels)
        self.eps = eps
        if channels % _GROUPS:
            tree.fault(f"has {channels} channels, no multiple of {_GROUPS}")

    def forward(self, x: Tensor) -> Tensor:
        """x [N, channels, ...] -> the same shape."""
        return torch.group_norm(x, _GROUPS, self.weight, self.bias, self.eps)


class LayerNorm(Layer):
    """Normalise the last axis (Ba et al. 2016, arXiv:1607.06450)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.hold(tree, "weight", width)
        self.hold(tree, "bias", width)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> the same shape."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


def count_heads(tree: Tree, width: int, heads: int) -> int:
    """`heads` if they share `width` channels evenly, else a fault of `tree`."""
    if width % heads:
        tree.fault(f"has {width} channels, which {heads} attention heads cannot share evenly")
    return heads


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(width of a head)) v, per head (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    q [N, T, C], k and v [N, S, C] -> [N, T, C]; `causal` hides later tokens.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
