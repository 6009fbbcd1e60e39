"""The VAE between pixels and latents: encoder and decoder of latent diffusion, as SD, SDXL and Flux use it."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.layers import Conv, GroupNorm, Layer, Parts
from modelhub.preview.networks.tree import Shape, Tree
from modelhub.preview.networks.vae_blocks import Level, Mid


class Vae(Layer):
    """A VAE built from the shapes below `first_stage_model.` (Rombach et al. 2022, arXiv:2112.10752).

    Either half may be absent from the file, and `encoder=False` leaves the encoder out, for decoding needs a third less
    memory without it. `latent_channels` is C of the latents, `factor` is pixels per latent along each side. Scale and
    shift of the latents are the architecture's facts and the caller's business. Raises IncompatibleError.
    """

    def __init__(self, shapes: Mapping[str, Shape], *, encoder: bool = True) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        self.decoder = Decoder(tree["decoder"]) if "decoder" in tree or "encoder" not in tree else None
        latents = self.decoder.latents if self.decoder else None
        self.encoder = Encoder(tree["encoder"], latents) if encoder and "encoder" in tree else None
        half = self.decoder or self.encoder
        self.latent_channels, self.factor = (half.latents, half.factor) if half else (0, 1)
        self.quant_conv = _optional(tree["quant_conv"], 2 * self.latent_channels) if self.encoder else None
        self.post_quant_conv = _optional(tree["post_quant_conv"], self.latent_channels) if self.decoder else None
        tree.settle("VAE")

    def decode(self, z: Tensor) -> Tensor:
        """Latents [N, C, h, w] -> pixels [N, 3, h factor, w factor], -1 is black and 1 is white, not clamped.

        Computes in the network's dtype and answers in that of `z`. Raises IncompatibleError without a decoder.
        """
        if self.decoder is None:
            raise IncompatibleError("This VAE has no decoder, so it cannot make a picture.", "Choose another VAE.")
        h = z.to(self.dtype)
        return self.decoder(h if self.post_quant_conv is None else self.post_quant_conv(h)).to(z.dtype)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [N, 3, H, W] in -1..1 -> mean and log variance of the latents, each [N, C, H/factor, W/factor].

        Computes in the network's dtype and answers in that of `x`. Raises IncompatibleError without an encoder.
        """
        if self.encoder is None:
            raise IncompatibleError(
                "This VAE has no encoder, so it cannot start from a picture.", "Choose another VAE."
            )
        h = self.encoder(x.to(self.dtype))
        moments = h if self.quant_conv is None else self.quant_conv(h)
        mean, logvar = moments.to(x.dtype).chunk(2, dim=1)
        return mean, logvar.clamp(-30.0, 20.0)

    def forward(self, z: Tensor) -> Tensor:
        """The same as `decode`."""
        return self.decode(z)


class Decoder(Layer):
    """Latents to pixels, the levels of `up` from the highest number down to 0."""

    latents: int
    factor: int

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.conv_in = Conv(tree["conv_in"])
        self.latents = self.conv_in.inputs
        self.mid = Mid(tree["mid"], self.conv_in.outputs)
        channels, levels = self.conv_in.outputs, {}
        for name, part in reversed(tree["up"].series().items()):
            levels[name] = level = Level(part, channels)
            channels = level.outputs
        self.up = Parts(levels)
        self.norm_out = GroupNorm(tree["norm_out"], channels, 1e-6)
        self.conv_out = Conv(tree["conv_out"], channels, 3)
        self.factor = 2 ** sum(level.upsample is not None for level in levels.values())

    def forward(self, z: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, 3, h factor, w factor]."""
        return self.conv_out(F.silu(self.norm_out(self.up(self.mid(self.conv_in(z))))))


class Encoder(Layer):
    """Pixels to twice as many channels as the latents have: mean and log variance."""

    latents: int
    factor: int

    def __init__(self, tree: Tree, latents: int | None) -> None:
        super().__init__()
        self.conv_in = Conv(tree["conv_in"], 3)
        channels, levels = self.conv_in.outputs, {}
        for name, part in tree["down"].series().items():
            levels[name] = level = Level(part, channels)
            channels = level.outputs
        self.down = Parts(levels)
        self.mid = Mid(tree["mid"], channels)
        self.norm_out = GroupNorm(tree["norm_out"], channels, 1e-6)
        self.conv_out = Conv(tree["conv_out"], channels, latents and 2 * latents)
        self.latents = self.conv_out.outputs // 2
        if self.conv_out.outputs % 2:
            tree["conv_out"].fault("has an odd number of channels, which has no halves")
        self.factor = 2 ** sum(level.downsample is not None for level in levels.values())

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 2 latents, H/factor, W/factor]."""
        return self.conv_out(F.silu(self.norm_out(self.mid(self.down(self.conv_in(x))))))


def _optional(tree: Tree, channels: int) -> Conv | None:
    return Conv(tree, channels, channels, size=1) if "weight" in tree else None
