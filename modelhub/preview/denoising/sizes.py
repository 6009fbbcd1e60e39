"""Sizes as SDXL is told them: numbers turned into sinusoids, behind the vector of each text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modelhub.preview.denoising.text import Conditioning, Text
from modelhub.preview.networks.positions import sinusoids

#: Numbers become so many sinusoids each (Podell et al. 2023, "SDXL", 2.2).
_WIDTH = 256


def sizes(width: int, height: int) -> tuple[float, ...]:
    """What SDXL is told: height and width of the picture it was, where it was cropped, height and width it gets."""
    return (height, width, 0, 0, height, width)


def scored(width: int, height: int, score: float) -> tuple[float, ...]:
    """What the refiner is told: height, width, where the picture was cropped, and how beautiful people find it."""
    return (height, width, 0, 0, score)


def with_sizes(told: Conditioning, prompt: Sequence[float], negative: Sequence[float]) -> Conditioning:
    """The texts with the sinusoids of these numbers behind their vectors [P]: [P + 256 numbers].

    `prompt` goes to the texts of the prompt, `negative` to those of the negative prompt.
    """
    return told.map(_adding(prompt), _adding(negative))


def _adding(numbers: Sequence[float]) -> Callable[[Text], Text]:
    values = sinusoids(torch.tensor(numbers, dtype=torch.float32), _WIDTH).flatten()

    def add(text: Text) -> Text:
        vector: Tensor = text.tokens.new_zeros(0) if text.pooled is None else text.pooled
        return replace(text, pooled=torch.cat((vector, values.to(vector))))

    return add
