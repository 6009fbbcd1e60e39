"""SRVGGNetCompact, the small network of Real-ESRGAN: plain convolutions, and one pixel shuffle at the end."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.layers import Conv, Layer, Parts, like
from modelhub.preview.networks.tree import Shape, Tree
from modelhub.preview.upscaling.network import Network, laid_out


class Compact(Network):
    """Convolutions with a slope for each channel between them.

    What is learned is the difference to the picture enlarged by whole pixels. Wang et al. 2021, arXiv:2107.10833,
    their `SRVGGNetCompact`. Raises IncompatibleError when the shapes make no such network.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        first, *middle = tree["body"].series() or ("0",)
        begin = Conv(tree["body"][first])
        self.channels, width = begin.inputs, begin.outputs
        layers: dict[str, Layer] = {first: begin}
        for name in middle[:-1]:
            part = tree["body"][name]
            layers[name] = Slopes(part, width) if len(part["weight"].shape or ()) == 1 else Conv(part, width, width)
        end = middle[-1] if middle else "1"
        layers[end] = last = Conv(tree["body"][end], width)
        self.scale = isqrt(last.outputs // self.channels)
        if self.channels * self.scale**2 != last.outputs:
            tree["body"].fault(f"ends with {last.outputs} channels, no square of {self.channels}")
        tree.settle("upscaler")
        self.body = Parts(layers)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture."""
        return F.pixel_shuffle(self.body(laid_out(x)), self.scale) + F.interpolate(
            x, scale_factor=self.scale, mode="nearest"
        )


class Slopes(Layer):
    """PReLU: what is negative is multiplied by a slope for each channel (He et al. 2015, arXiv:1502.01852)."""

    weight: Tensor

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.hold(tree, "weight", channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        return F.prelu(x, like(self.weight, x))
