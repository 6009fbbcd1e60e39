"""The U-Net learns to tell noise from latents (Ho et al. 2020, arXiv:2006.11239), of plain pictures or a style."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from demo_training.budget import Budget
from demo_training.data import Things, captions, paint, some_things
from demo_training.latents import ALPHAS, LinearEncoder
from demo_training.layout import WIDTH, new_unet
from demo_training.text import contexts
from modelhub.preview.networks.layers import Conv
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.unet import UNet


@dataclass(frozen=True)
class Lessons:
    """Things [N] and the prompt vectors [N, 77, 64] of their captions, drawn from again and again."""

    things: Things
    context: Tensor
    style: str
    linear: LinearEncoder

    def loss(self, unet: UNet, count: int, generator: torch.Generator) -> Tensor:
        """The weighted squared error of `count` predictions of noise.

        Timesteps lean to the noisy end, and errors weigh min(1 / alpha, 25), as if x_0 had been predicted there.
        """
        pick = torch.randint(0, len(self.things), (count,), generator=generator)
        clean = self.linear(paint(self.things[pick], self.style, generator))
        time = (torch.rand(count, generator=generator) ** 0.75 * 1000).long().clamp(max=999)
        alpha = ALPHAS[time][:, None, None, None]
        noise = torch.randn(clean.shape, generator=generator)
        found = unet(alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, time, self.context[pick])
        weight = (1 / alpha.flatten()).clamp(max=25)
        return ((found - noise).square().mean((1, 2, 3)) * weight).mean()


def lessons(
    encoder: TextEncoder,
    linear: LinearEncoder,
    style: str,
    count: int,
    seed: int,
    reword: Callable[[str], str] = str,
) -> Lessons:
    """`count` captions with their prompt vectors; `reword` may add a word to each."""
    generator = torch.Generator().manual_seed(seed)
    things = some_things(count, generator)
    said = [reword(caption.text) for caption in captions(things, random.Random(seed))]
    return Lessons(things, contexts(encoder, said), style, linear)


def train_unet(budget: Budget, lesson: Lessons, start: UNet | None = None, rate: float = 1.5e-3) -> UNet:
    """A U-Net trained from `start` (which is changed) or from scratch; it ends with the running mean of its weights."""
    unet = start if start is not None else guessing_unet()
    unet.requires_grad_(True)
    mean = {name: parameter.detach().clone() for name, parameter in unet.named_parameters()}

    def average(step: int) -> None:
        decay = min(0.99, (2 + step) / (11 + step))
        for name, parameter in unet.named_parameters():
            mean[name].lerp_(parameter.detach(), 1 - decay)

    optimise(f"unet {lesson.style}", budget, lesson, unet, unet.parameters(), rate, average)
    unet.load_state_dict(mean)
    return unet.requires_grad_(False)


def optimise(
    what: str,
    budget: Budget,
    lesson: Lessons,
    unet: UNet,
    parameters: Iterable[nn.Parameter],
    rate: float,
    after: Callable[[int], None] = lambda step: None,
) -> None:
    """Train `parameters` on `lesson` until `budget` is over; `after` is called with the number of each step."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=1e-4, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(100)
    for step, spent in budget.run(what):
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 40) * (1 - 0.97 * max(0, (spent - 0.4) / 0.6))
        optimizer.zero_grad()
        lesson.loss(unet, 32, generator).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        after(step)


@torch.no_grad()
def guessing_unet() -> UNet:
    """A U-Net that starts with a good guess: the noise is its input, which the convolutions copy through.

    The first copies x to channels 0 to 3; the skip connection brings these to the last block, whose shortcut makes x
    and -x of them; the last convolution adds silu(x) - silu(-x) = x after the norm.
    """
    unet = new_unet(2)
    for name, parameter in unet.named_parameters():
        if name.endswith("1.proj_out.weight"):
            parameter.mul_(0.5)
    first, wide = unet.get_submodule("input_blocks.0.0"), unet.get_submodule("output_blocks.11.0.skip_connection")
    inner, last = unet.get_submodule("output_blocks.11.0.out_layers.3"), unet.get_submodule("out.2")
    assert isinstance(first, Conv) and isinstance(wide, Conv) and isinstance(inner, Conv) and isinstance(last, Conv)
    first.weight[:4] = 0
    wide.weight[:8] = 0
    inner.weight[:8] *= 0.1
    last.weight.mul_(0.3)[:, :8] = 0
    for z in range(4):
        first.weight[z, z, 1, 1] = 1
        wide.weight[2 * z, WIDTH + z], wide.weight[2 * z + 1, WIDTH + z] = 1, -1
        last.weight[z, 2 * z, 1, 1], last.weight[z, 2 * z + 1, 1, 1] = 1, -1
    return unet
