"""Convolutional blocks of the latent-diffusion U-Net: the residual block, down- and upsampling."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.layers import Conv, GroupNorm, Layer, Linear, Parts
from modelhub.preview.networks.tree import Tree


class Silu(Layer):
    """x sigmoid(x); without parameters, it only holds a place."""

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape."""
        return F.silu(x)


class ResBlock(Layer):
    """Two convolutions, the time embedding added between them, beside a shortcut (Rombach et al., arXiv:2112.10752)."""

    def __init__(self, tree: Tree, inputs: int, embedding: int) -> None:
        super().__init__()
        first = Conv(tree["in_layers.2"], inputs)
        self.inputs, self.outputs = inputs, first.outputs
        self.in_layers = Parts({"0": GroupNorm(tree["in_layers.0"], inputs, 1e-5), "1": Silu(), "2": first})
        self.emb_layers = Parts({"0": Silu(), "1": Linear(tree["emb_layers.1"], embedding, self.outputs)})
        second = Conv(tree["out_layers.3"], self.outputs, self.outputs)
        self.out_layers = Parts({"0": GroupNorm(tree["out_layers.0"], self.outputs, 1e-5), "1": Silu(), "3": second})
        self.skip_connection = shortcut(tree["skip_connection"], inputs, self.outputs)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [N, inputs, H, W], embedding [N, E] -> [N, outputs, H, W]."""
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        straight = x if self.skip_connection is None else self.skip_connection(x)
        return straight + self.out_layers(h)


def shortcut(tree: Tree, inputs: int, outputs: int) -> Conv | None:
    """The 1x1 or 3x3 convolution of a residual block's shortcut; None where the input passes as it is."""
    if "weight" not in tree and inputs == outputs:
        return None
    size = 3 if (tree["weight"].shape or ())[-1:] == (3,) else 1
    return Conv(tree, inputs, outputs, size=size)


class Downsample(Layer):
    """Half the height and width, rounded up, by a convolution of stride 2."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.op = Conv(tree["op"], channels, stride=2)
        self.outputs = self.op.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x [N, channels, H, W] -> [N, outputs, ceil(H/2), ceil(W/2)]."""
        return self.op(x)


class Upsample(Layer):
    """Nearest-neighbour enlargement and a convolution."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.conv = Conv(tree["conv"], channels)
        self.outputs = self.conv.outputs

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x [N, channels, h, w] -> [N, outputs, *size]; the size is given, for halving an odd one loses a pixel."""
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
