"""Reading prompts before anything is encoded or loaded: their branches and texts on the way."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from modelhub.preview.prompts.branches import branches
from modelhub.preview.prompts.editing import Stage, stages
from modelhub.preview.prompts.emphasis import pieces_of


class Told(NamedTuple):
    """The texts of one of the prompts that AND joins, and its weight."""

    stages: tuple[Stage, ...]
    weight: float


class ReadPrompts(NamedTuple):
    """The prompts that AND joins, and the texts of the negative prompt: none where nobody asks for it."""

    prompt: tuple[Told, ...]
    negative: tuple[Stage, ...]


def read_prompts(
    prompt: str, negative: str | None, total: int, emphasis: str, hires_from: int | None = None
) -> ReadPrompts:
    """Both prompts in a pass of `total` calls; see `stages` for `hires_from`.

    Raises UsageError, which quotes the place, for what cannot be read.
    """
    told = tuple(Told(stages(one.text, total, hires_from), one.weight) for one in branches(prompt))
    avoided = () if negative is None else stages(negative, total, hires_from)
    for text in dict.fromkeys(stage.text for stage in chain(*(one.stages for one in told), avoided)):
        pieces_of(text, emphasis)
    return ReadPrompts(told, avoided)
