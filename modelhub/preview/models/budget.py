"""How many bytes a network's computation takes besides its weights, before it is tried.

Each formula is the peak of live tensors of the released models, counted on the meta device, with a margin; what a
device's convolutions take for themselves comes on top, as `residence.HEADROOM`.
"""

from __future__ import annotations

from torch import nn

from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.layers import Conv, Layer
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Decoder, Vae

#: Maps of the U-Net's first width that live at one time, at the size of the latents.
_UNET_MAPS = 28
#: Maps of the VAE's widest full-size level that live at one time.
_VAE_MAPS = 3.2
#: Vectors of Flux' width that live at one time, per token.
_FLUX_VECTORS = 26


def denoising_bytes(network: UNet | Flux, batch: int, height: int, width: int, tokens: int = 0) -> int:
    """For one call of a denoiser with latents [batch, C, height, width] and texts of `tokens` tokens."""
    if isinstance(network, Flux):
        places = batch * (-(-height // 2) * -(-width // 2) + tokens)
        return places * network.img_in.outputs * network.dtype.itemsize * _FLUX_VECTORS
    first = network.get_submodule("input_blocks.0.0")
    return batch * height * width * _outputs(first) * network.dtype.itemsize * _UNET_MAPS


def vae_bytes(network: Vae, batch: int, height: int, width: int) -> int:
    """For decoding latents [batch, C, height, width] whole, or encoding the picture of that size."""
    half = network.decoder or network.encoder
    pixels = batch * height * width * network.factor**2
    return int(pixels * _widest(half) * network.dtype.itemsize * _VAE_MAPS) if half else 0


def _widest(half: Layer) -> int:
    """Channels at the size of the picture: those that come out of the last enlargement, or go into the first block."""
    convs = [part for name, part in half.named_modules() if name.endswith((".upsample.conv", ".downsample.conv"))]
    if not convs:
        return _outputs(half.get_submodule("conv_in"))
    return _outputs(convs[-1] if isinstance(half, Decoder) else convs[0])


def _outputs(conv: nn.Module) -> int:
    assert isinstance(conv, Conv)
    return conv.outputs
