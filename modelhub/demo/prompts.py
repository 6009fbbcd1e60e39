"""What the demo asks its models for: prompts with the attributes that a picture of them must have, and fixed seeds.

The seeds are 1 to 8 in order, not chosen by what they give: about one picture in ten is blotchy, and may be here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """A coloured shape on a background, in the words of `palette.PALETTE`, `shapes.SHAPES` and `shapes.RADIUS`."""

    colour: str
    shape: str
    background: str
    size: str = ""

    @property
    def prompt(self) -> str:
        """The sentence to render, worded as the models were trained."""
        return f"{self.thing} on {_a(self.background)} background"

    @property
    def thing(self) -> str:
        """The shape in words: `a large red circle`."""
        return _a(" ".join(word for word in (self.size, self.colour, self.shape) if word))

    def __str__(self) -> str:
        return f"{self.thing} on {self.background}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One picture of the demo: what is wanted, and the seed to render it with."""

    wanted: Wanted
    seed: int

    @property
    def prompt(self) -> str:
        """The sentence to render."""
        return self.wanted.prompt


def _a(words: str) -> str:
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


_WANTED = (
    Wanted("red", "circle", "blue"),
    Wanted("yellow", "square", "purple"),
    Wanted("blue", "triangle", "yellow"),
    Wanted("green", "ring", "white"),
    Wanted("orange", "star", "black", "large"),
    Wanted("white", "cross", "red", "large"),
    Wanted("purple", "circle", "green", "large"),
    Wanted("black", "square", "orange", "large"),
)

#: Every shape and every colour, in the sizes that the models do well; "left", "right" and "small" they do not.
ASKED: tuple[Ask, ...] = tuple(Ask(wanted, seed) for seed, wanted in enumerate(_WANTED, start=1))

#: Pixels that the models were trained at.
WIDTH = HEIGHT = 64
