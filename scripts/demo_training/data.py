"""Training pictures and captions, made up as they are needed: a coloured shape on a background, in four styles."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modelhub.demo.palette import PALETTE, PASTEL_KEEP, PASTEL_WHITE
from modelhub.demo.shapes import RADIUS, SHAPES, SIZE, coverage
from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer

COLOURS, SIZES = list(PALETTE), list(RADIUS)
_RGB = torch.tensor([PALETTE[name] for name in COLOURS], dtype=torch.float32)
_RADIUS = torch.tensor(list(RADIUS.values()))
#: Words around the thing itself, as prompts have them, that should change nothing.
FILLERS = (
    "a photo of", "masterpiece", "best quality", "highly detailed", "a picture of", "an image of", "illustration",
    "simple", "clean", "4k", "trending", "vector art", "nice",
)  # fmt: skip
#: How a caption names the background; {} is its colour.
_PLACES = (" on a {} background", " on {} background", " on {}", ", {} background", " with a {} background")


@dataclass(frozen=True)
class Things:
    """What pictures show: indices [N] into COLOURS, COLOURS, SHAPES and SIZES."""

    colour: Tensor
    background: Tensor
    shape: Tensor
    size: Tensor

    def __len__(self) -> int:
        return len(self.colour)

    def __getitem__(self, index: Tensor) -> Things:
        return Things(self.colour[index], self.background[index], self.shape[index], self.size[index])


def some_things(count: int, generator: torch.Generator) -> Things:
    """`count` random things, never of their background's colour; three in five are of medium size."""
    colour = torch.randint(0, len(COLOURS), (count,), generator=generator)
    other = torch.randint(1, len(COLOURS), (count,), generator=generator)
    shape = torch.randint(0, len(SHAPES), (count,), generator=generator)
    size = torch.tensor([0, 0, 0, 1, 2])[torch.randint(0, 5, (count,), generator=generator)]
    return Things(colour, (colour + other) % len(COLOURS), shape, size)


def paint(things: Things, style: str, generator: torch.Generator, free_colours: float = 0.0) -> Tensor:
    """Pictures [N, 3, 64, 64] in -1..1 with a little jitter; a share `free_colours` has colours beyond the palette.

    Styles: "base", "stripes" (on backgrounds only), "pastel", "framed".
    """
    count = len(things)
    jitter = torch.rand(count, 9, generator=generator) * 2 - 1
    mask = _masks(things, jitter[:, :3])
    front, back = _RGB[things.colour] + 8 * jitter[:, 3:6], _RGB[things.background] + 8 * jitter[:, 6:]
    free = torch.rand(count, 1, generator=generator) < free_colours
    front = torch.where(free, torch.rand(count, 3, generator=generator) * 255, front)
    back = torch.where(free, torch.rand(count, 3, generator=generator) * 255, back)
    if style == "pastel":
        front, back = (colour * PASTEL_KEEP + 255 * PASTEL_WHITE for colour in (front, back))
    scene = back[:, :, None, None].expand(-1, -1, SIZE, SIZE)
    scene = _striped(scene) if style == "stripes" else scene
    image = scene * (1 - mask) + front[:, :, None, None] * mask
    if style == "framed":
        image[:, :, :8] = image[:, :, -8:] = image[..., :8] = image[..., -8:] = 250.0
    return (image / 127.5 - 1).clamp(-1, 1)


def _masks(things: Things, jitter: Tensor) -> Tensor:
    """Coverage [N, 1, 64, 64]; the centre moves by up to 1.5 pixels, the radius by 1."""
    centre, radius = SIZE / 2 + 1.5 * jitter[:, :2], _RADIUS[things.size] + jitter[:, 2]
    mask = torch.empty(len(things), SIZE, SIZE)
    for number, shape in enumerate(SHAPES):
        of = things.shape == number
        mask[of] = torch.from_numpy(coverage(shape, *(np.asarray(x[of]) for x in (*centre.T, radius))))
    return mask[:, None]


def _striped(scene: Tensor) -> Tensor:
    """Every second band of 8 rows darker, or lighter where the colour is dark."""
    band = (torch.arange(SIZE) // 8 % 2).float()[:, None]
    other = torch.where(scene.mean(1, keepdim=True) > 90, scene * 0.45, scene * 0.55 + 255 * 0.45)
    return scene * (1 - band) + other * band


@dataclass(frozen=True)
class Caption:
    """A prompt, and which attributes it names."""

    text: str
    colour: bool = False
    background: bool = False
    shape: bool = False
    size: bool = False


def captions(things: Things, rng: random.Random, drop: float = 0.1) -> list[Caption]:
    """A caption for each thing, in varied words; a share `drop` says nothing of it, as guidance needs."""
    rows = zip(*(x.tolist() for x in (things.colour, things.background, things.shape, things.size)), strict=True)
    return [_nothing(rng) if rng.random() < drop else _caption(rng, *row) for row in rows]


def _nothing(rng: random.Random) -> Caption:
    return Caption(", ".join(rng.sample(FILLERS, 2)) if rng.random() < 0.3 else "")


def _caption(rng: random.Random, colour: int, background: int, shape: int, size: int) -> Caption:
    names_colour, names_back, names_shape = rng.random() > 0.06, rng.random() > 0.08, rng.random() > 0.05
    words = (SIZES[size], COLOURS[colour] if names_colour else "", SHAPES[shape] if names_shape else "shape")
    thing = rng.choice(("a ", "a ", "", "")) + " ".join(word for word in words if word)
    text = thing
    if names_back:
        place = rng.choice(_PLACES).format(COLOURS[background])
        text = thing + place if rng.random() < 0.86 else f"{COLOURS[background]} background, {thing}"
    if rng.random() < 0.2:
        text = rng.choice(FILLERS) + rng.choice((" ", ", ")) + text
    if rng.random() < 0.2:
        text += ", " + ", ".join(rng.sample(FILLERS, rng.randint(1, 2)))
    return Caption(text, names_colour, names_back, names_shape, True)


def token_ids(texts: Sequence[str]) -> Tensor:
    """Prompts -> ids [N, 77], as the text encoder of Stable Diffusion 1 gets them."""
    return torch.tensor([clip_tokenizer().chunks(text)[0] for text in texts])


def known_ids() -> list[int]:
    """The ids of every word that a caption may have."""
    words = (*COLOURS, *SHAPES, *SIZES, *FILLERS, *_PLACES, "shape", "a", "an", "framed", "side", "left", "right")
    tokenizer = clip_tokenizer()
    return sorted({i for word in words for i in tokenizer.wrap(tokenizer.ids(word.replace("{}", "")))})
