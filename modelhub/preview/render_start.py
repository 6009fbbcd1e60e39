"""Pictures to begin with: fitted to the size, encoded, masked, and as inpainting models want to see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.models.model import Model
from modelhub.preview.render_pass import Begin
from modelhub.preview.request import Start

Pixels = npt.NDArray[np.uint8]


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pixels [H, W] or [H, W, 3] made `width` x `height`, by Lanczos where they are not so already, as A1111 does."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def to_image(pixels: Pixels) -> Tensor:
    """Pixels [H, W, 3] to an image [3, H, W] of -1..1."""
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / 255 * 2 - 1


def encoded(model: Model, images: Sequence[Tensor], seeds: Sequence[int]) -> Tensor:
    """Latents [N, C, h, w] of the sampler, drawn from what the VAE makes of images [3, H, W], one for each seed.

    The draw of a picture depends on its seed alone. One image stands for all.
    """
    moments = [model.encode(image) for image in images]
    drawn = []
    for place, seed in enumerate(seeds):
        mean, deviation = moments[place if len(moments) > 1 else 0]
        noise = torch.randn(mean.shape, generator=torch.Generator("cpu").manual_seed(seed))
        drawn.append(model.scaled(mean + deviation * noise.to(mean)))
    return torch.stack(drawn)


def begin_with(model: Model, start: Start | None, width: int, height: int, seeds: Sequence[int]) -> Begin:
    """What the pass of a request begins with: of `start`, if there is one, else what a model needs to see anyway."""
    if start is None:
        return Begin(beside=_beside(model, None, None, width, height, seeds))
    image, mask = to_image(fitted(start.pixels, width, height)), hole(start, width, height)
    latents = encoded(model, [image], seeds)
    beside = _beside(model, image, mask, width, height, seeds)
    small = None if mask is None else latent_mask(mask, latents.shape[-1], latents.shape[-2]).to(latents)
    return Begin(latents, small, beside, start.image_cfg if model.beside == "picture" else None)


def hole(start: Start, width: int, height: int) -> Pixels | None:
    """The mask of `start` [height, width]: black or white as A1111 cuts it, then blurred."""
    if start.mask is None:
        return None
    return blurred(np.where(fitted(start.mask, width, height) > 128, 255, 0).astype(np.uint8), start.mask_blur)


def blurred(mask: Pixels, sigma: float) -> Pixels:
    """A mask [H, W] under a Gaussian of `sigma` pixels, 2.5 sigmas wide to each side, mirrored at the edges."""
    reach = int(2.5 * sigma + 0.5)
    if not sigma or not reach:
        return mask
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-(places**2) / (2 * sigma**2))
    values = mask.astype(np.float64)
    for axis in (0, 1):
        around = [(reach, reach) if axis == one else (0, 0) for one in (0, 1)]
        wide = np.pad(values, around, mode="reflect" if mask.shape[axis] > reach else "edge")
        shifted = (np.take(wide, range(at, at + mask.shape[axis]), axis) for at in range(2 * reach + 1))
        values = sum(weight * one for weight, one in zip(weights / weights.sum(), shifted, strict=True))
    return values.round().astype(np.uint8)


def latent_mask(mask: Pixels, width: int, height: int) -> Tensor:
    """A mask [H, W] of 0..255 for latents: [1, 1, h, w] of 0 and 1; made smaller by bicubic interpolation, rounded."""
    from PIL import Image

    small = np.asarray(Image.fromarray(mask).convert("RGB").resize((width, height)), dtype=np.float32)[..., 0] / 255
    return torch.from_numpy(np.around(small))[None, None]


def _beside(
    model: Model, image: Tensor | None, mask: Pixels | None, width: int, height: int, seeds: Sequence[int]
) -> Tensor | None:
    """What the denoiser sees beside latents; without a picture all of it is to be made, as A1111 has it."""
    if not model.beside:
        return None
    if model.beside == "picture":
        return _picture_beside(model, image, width, height)
    new = torch.ones(1, height, width) if mask is None else torch.from_numpy((mask > 127).astype(np.float32))[None]
    seen = torch.zeros(3, height, width) if image is None else image * (1 - new)
    latents = encoded(model, [seen], seeds)
    rows, columns = latents.shape[-2:]
    if model.beside == "mask":
        small = F.interpolate(new[None], size=(rows, columns))
        return torch.cat((small.expand(len(seeds), -1, -1, -1).to(latents), latents), dim=1)
    factor = model.latent.factor
    cells = F.pixel_unshuffle(new[None, :, : rows * factor, : columns * factor], factor)
    return torch.cat((latents, cells.expand(len(seeds), -1, -1, -1).to(latents)), dim=1)


def _picture_beside(model: Model, image: Tensor | None, width: int, height: int) -> Tensor:
    """The mean that the VAE encodes, unscaled, as InstructPix2Pix was trained with; zeros without a picture."""
    factor, channels = model.latent.factor, model.latent.channels
    if image is None:
        return torch.zeros(1, channels, height // factor, width // factor, device=model.device)
    return model.encode(image)[0][None]


def with_kept(pixels: Pixels, start: Start) -> Pixels:
    """A finished picture with the pixels of `start` where its mask says that they stay.

    As A1111 overlays them: with the mask doubled, so that its soft edge is all new.
    """
    height, width = pixels.shape[:2]
    mask = hole(start, width, height)
    if mask is None:
        return pixels
    new = np.clip(mask.astype(np.float32) * 2, 0, 255)[..., None] / 255
    old = fitted(start.pixels, width, height)
    return (pixels * new + old * (1 - new)).round().astype(np.uint8)
