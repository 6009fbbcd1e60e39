"""The blocks of a VAE: a level of one resolution, the middle, and what they consist of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.attention import attend
from modelhub.preview.networks.blocks import shortcut
from modelhub.preview.networks.layers import Conv, GroupNorm, Layer, Linear, Parts
from modelhub.preview.networks.tree import Tree


class Level(Layer):
    """Residual blocks at one resolution, attention after each where the file has it, then a change of resolution."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        blocks = {}
        for name, part in tree["block"].series().items():
            blocks[name] = block = VaeBlock(part, channels)
            channels = block.outputs
        self.block = Parts(blocks)
        self.attn = Parts({name: Look(part, channels) for name, part in tree["attn"].series().items()})
        self.upsample = Double(tree["upsample"], channels) if "upsample" in tree else None
        self.downsample = Halve(tree["downsample"], channels) if "downsample" in tree else None
        self.outputs = channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, outputs, H', W']."""
        looks = dict(self.attn.named_children())
        for name, block in self.block.named_children():
            x = block(x)
            x = looks[name](x) if name in looks else x
        x = x if self.upsample is None else self.upsample(x)
        return x if self.downsample is None else self.downsample(x)


class Mid(Layer):
    """The middle: a residual block, attention, a residual block."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.block_1 = VaeBlock(tree["block_1"], channels, channels)
        self.attn_1 = Look(tree["attn_1"], channels) if "attn_1" in tree else None
        self.block_2 = VaeBlock(tree["block_2"], channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        x = self.block_1(x)
        return self.block_2(x if self.attn_1 is None else self.attn_1(x))


class VaeBlock(Layer):
    """Two convolutions around a shortcut; unlike the U-Net's there is no time."""

    def __init__(self, tree: Tree, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        self.norm1, self.conv1 = GroupNorm(tree["norm1"], inputs, 1e-6), Conv(tree["conv1"], inputs, outputs)
        self.outputs = self.conv1.outputs
        self.norm2, self.conv2 = (
            GroupNorm(tree["norm2"], self.outputs, 1e-6),
            Conv(tree["conv2"], self.outputs, self.outputs),
        )
        # a file names the shortcut by its kernel: nin_ ("network in network") is 1x1, conv_ is 3x3
        self.conv_shortcut = shortcut(tree["conv_shortcut"], inputs, self.outputs) if "conv_shortcut" in tree else None
        self.nin_shortcut = None if self.conv_shortcut else shortcut(tree["nin_shortcut"], inputs, self.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        straight = self.conv_shortcut or self.nin_shortcut
        return h + (x if straight is None else straight(x))


class Look(Layer):
    """Attention of every pixel to all pixels, with one head; its weights are 1x1 convolutions or matrices."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(tree["norm"], channels, 1e-6)
        self.q, self.k, self.v = (Linear(tree[name], channels, channels) for name in "qkv")
        self.proj_out = Linear(tree["proj_out"], channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        h = self.norm(x).flatten(2).transpose(1, 2)
        h = self.proj_out(attend(self.q(h), self.k(h), self.v(h), 1))
        return x + h.transpose(1, 2).reshape(x.shape)


class Double(Layer):
    """Each pixel four times, then a convolution."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.conv = Conv(tree["conv"], channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Halve(Layer):
    """A convolution of stride 2, with padding only at the right and below."""

    def __init__(self, tree: Tree, channels: int) -> None:
        super().__init__()
        self.conv = Conv(tree["conv"], channels, channels, stride=2)
        self.conv.padding = 0

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H // 2, W // 2]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))
