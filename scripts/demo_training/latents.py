"""Pixels to latents by an exact linear map, and that map written into the encoder of a standard VAE.

Each patch of 8 x 8 pixels becomes four numbers: its whitened mean colour, and how strong the most common pattern of
brightness is in it. No encoder has to be trained, and the diffusion can start at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from demo_training.data import paint, some_things
from modelhub.preview.networks.layers import Conv
from modelhub.preview.networks.vae import Encoder, Vae

#: What Stable Diffusion 1 multiplies latents with.
SCALE = 0.18215
#: Large against any latent, so that dividing by a group's deviation is dividing by a constant.
_LARGE = 32.0

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
ALPHAS = torch.cumprod(1 - BETAS, 0)


@dataclass(frozen=True)
class LinearEncoder:
    """`weight` [4, 192] over patches in the order channel, row, column; `bias` [4]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] in -1..1 -> latents [N, 4, H/8, W/8], already multiplied by SCALE, with a deviation about 1."""
        return (_patches(images) @ self.weight.T + self.bias).permute(0, 3, 1, 2).contiguous()


def _patches(images: Tensor) -> Tensor:
    n, c, h, w = images.shape
    cells = images.view(n, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(n, h // 8, w // 8, c * 64)


def fit_encoder(count: int = 1000) -> LinearEncoder:
    """The linear encoder for `count` pictures of each style."""
    generator = torch.Generator().manual_seed(1)
    series = [paint(some_things(count, generator), s, generator, 0.2) for s in ("base", "framed", "stripes", "pastel")]
    cells = [_patches(images).reshape(-1, 3, 64) for images in series]
    plain, every = cells[0], torch.cat(cells)
    colour = plain.mean(2)
    power, axes = torch.linalg.eigh(torch.cov(colour.T))
    whiten = (axes / power.sqrt()).T.flip(0)
    detail = (every - every.mean(2, keepdim=True)).mean(1)
    pattern = torch.linalg.eigh(detail.T @ detail)[1][:, -1].repeat(3) / 3
    weight = torch.cat(((whiten[:, :, None] / 64).expand(3, 3, 64).reshape(3, 192), pattern[None]))
    weight[3] *= 0.8 / (plain.reshape(-1, 192) @ pattern).std()
    return LinearEncoder(weight, torch.cat((-whiten @ colour.mean(0), torch.zeros(1))))


@torch.no_grad()
def install(vae: Vae, linear: LinearEncoder) -> None:
    """Write `linear` into the encoder: residual branches are zero, strided convolutions gather a patch."""
    encoder, quant = vae.encoder, vae.quant_conv
    assert encoder is not None and quant is not None
    _silence(encoder)
    _clear(encoder.conv_in)
    for channel in range(3):
        encoder.conv_in.weight[channel, channel, 1, 1] = 1
    _gather(_down(encoder, 0), 3)
    _gather(_down(encoder, 1), 12)
    _project(_down(encoder, 2), linear)
    _undo_norm(encoder)
    _clear(quant)
    quant.weight[range(8), range(8), 0, 0] = 1


def _down(encoder: Encoder, level: int) -> Conv:
    found = encoder.get_submodule(f"down.{level}.downsample.conv")
    assert isinstance(found, Conv)
    return found


def _clear(conv: Conv) -> None:
    conv.weight.zero_()
    conv.bias.zero_()


def _silence(encoder: Encoder) -> None:
    """Zero every residual branch, with all its weights, so that only the straight path is left."""
    for name, parameter in encoder.named_parameters():
        branch = ".block." in name or ".block_" in name or ".attn_1." in name
        if branch and ".norm" not in name and "shortcut" not in name:
            parameter.zero_()


def _gather(conv: Conv, channels: int) -> None:
    """Space to depth: channel c at row y and column x of each 2 x 2 pixels becomes channel 4c + 2y + x."""
    _clear(conv)
    for c in range(channels):
        for y in range(2):
            for x in range(2):
                conv.weight[4 * c + 2 * y + x, c, y, x] = 1


def _project(conv: Conv, linear: LinearEncoder) -> None:
    """The last of three halvings: where pixel (y, x) of a patch has come to says the bits of y and x."""
    _clear(conv)
    for c in range(3):
        for y in range(8):
            for x in range(8):
                fine, middle = 2 * (y & 1) + (x & 1), 2 * (y >> 1 & 1) + (x >> 1 & 1)
                conv.weight[:4, 16 * c + 4 * fine + middle, y >> 2, x >> 2] = linear.weight[:, 64 * c + 8 * y + x]
    conv.bias[:4] = linear.bias


def _undo_norm(encoder: Encoder) -> None:
    """Carry z through the last norm and silu.

    Groups (z, -z, L, -L) have a deviation of about L / sqrt 2 whatever z is, and silu(a) - silu(-a) = a.
    """
    wide = encoder.get_submodule("down.3.block.0.nin_shortcut")
    assert isinstance(wide, Conv)
    _clear(wide)
    _clear(encoder.conv_out)
    gain = _LARGE / math.sqrt(2) / SCALE
    for z in range(4):
        wide.weight[4 * z, z], wide.weight[4 * z + 1, z] = 1, -1
        wide.bias[4 * z + 2], wide.bias[4 * z + 3] = _LARGE, -_LARGE
        encoder.conv_out.weight[z, 4 * z, 1, 1], encoder.conv_out.weight[z, 4 * z + 1, 1, 1] = gain, -gain
    encoder.norm_out.weight.fill_(1)
    encoder.norm_out.bias.zero_()
    encoder.conv_out.bias[4:] = -9.0  # log variance: next to none
