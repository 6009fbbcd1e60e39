"""The decoder learns to paint the latents of the linear encoder, also those that a denoiser left a little noisy."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from demo_training.budget import Budget
from demo_training.data import paint, some_things
from demo_training.latents import SCALE, LinearEncoder, install
from demo_training.layout import new_vae
from modelhub.preview.networks.vae import Vae

_RATE, _BATCH, _NOISE = 1.5e-3, 12, 0.12
#: The style of every eighth step; the decoder must paint what all models draw.
_STYLES = ("base", "base", "base", "stripes", "base", "pastel", "base", "framed")


def train_vae(budget: Budget, linear: LinearEncoder) -> Vae:
    """A VAE whose encoder is `linear` and whose decoder is trained."""
    vae = new_vae(1)
    install(vae, linear)
    decoder, post = vae.decoder, vae.post_quant_conv
    assert decoder is not None and post is not None
    with torch.no_grad():  # start by undoing the scale, so that the decoder sees latents of deviation one
        post.weight.zero_()
        post.bias.zero_()
        post.weight[range(4), range(4), 0, 0] = SCALE
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=_RATE, weight_decay=1e-4, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(0)
    for step, spent in budget.run("vae"):
        optimizer.param_groups[0]["lr"] = (
            _RATE * min(1, (step + 1) / 30) * (0.03 + 0.485 * (1 + math.cos(math.pi * spent)))
        )
        image = paint(some_things(_BATCH, generator), _STYLES[step % len(_STYLES)], generator, free_colours=0.25)
        latents = linear(image)
        noise = (
            torch.randn(latents.shape, generator=generator)
            * _NOISE
            * torch.rand(_BATCH, 1, 1, 1, generator=generator) ** 2
        )
        optimizer.zero_grad()
        _loss(vae.decode((latents + noise) / SCALE) - image).backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
    return vae.requires_grad_(False)


def _loss(error: Tensor) -> Tensor:
    """Mean absolute and squared error, and the absolute error of differences of neighbours, which keeps edges sharp."""
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 0.5 * error.square().mean() + 0.3 * (across + down)
