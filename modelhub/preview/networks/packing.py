"""Packing: large convolution weights put into the CPU's own order once, not in every call.

A plain weight is reordered by oneDNN whenever it is used. In the deep levels of a U-Net, where maps are small and
weights large, that takes longer than the convolution: packed, a step of SD1 at 256x256 takes a fifth less time. The
first one takes twice as long, and a second copy of these weights is in memory; from eight steps on that is won back.
"""

from __future__ import annotations

import platform
from functools import cache

import torch
from torch import Tensor, nn

from modelhub.preview.networks.layers import Conv

#: Elements of a weight below which reordering it costs next to nothing.
_LARGE = 1 << 20


@cache
def is_possible() -> bool:
    """Whether this torch and this CPU pack; elsewhere weights stay as they are."""
    known = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    return known and torch.backends.mkldnn.is_available() and platform.machine().lower() in ("x86_64", "amd64")


def pack_when_used(network: nn.Module) -> None:
    """Have the large convolutions of a network on the CPU pack their weights at their first call.

    A packed weight takes the place of the plain one, which goes; `dense` makes it plain again.
    """
    if not is_possible():
        return
    for module in network.modules():
        if isinstance(module, Conv) and module.weight.numel() >= _LARGE:
            module.convolve = _packed


def _packed(conv: Conv, x: Tensor) -> Tensor:
    """The convolution of `conv`, with its weight packed for inputs like x."""
    weight, stride, padding, ones = conv.weight, [conv.stride] * 2, [conv.padding] * 2, [1, 1]
    if weight.dtype is not x.dtype or x.device.type != "cpu" or weight.device.type != "cpu":
        if weight.is_mkldnn:
            conv.register_parameter("weight", nn.Parameter(dense(weight), requires_grad=False))
        return conv.plain(x)
    if not weight.is_mkldnn:
        made = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]  # torch's stub knows fewer
            weight.to_mkldnn(), padding, stride, ones, 1, list(x.shape)
        )
        weight = nn.Parameter(made, requires_grad=False)
        conv.register_parameter("weight", weight)
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, conv.bias, padding, stride, ones, 1, "none", [], ""
    )
    return found


def dense(weight: Tensor) -> Tensor:
    """A weight as other operations take it: itself unless it is packed."""
    return weight.to_dense() if weight.is_mkldnn else weight
