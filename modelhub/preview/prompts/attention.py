"""Attention: which words of a text weigh how much, as A1111 reads (more), [less] and (this much:1.3)."""

from __future__ import annotations

import re
from typing import NamedTuple

from modelhub.preview.prompts.places import DEEPEST, too_deep, weight_at

#: Ends a chunk of tokens, if its weight is -1: in brackets it is a word, as in A1111.
BREAK = "BREAK"
BREAK_WEIGHT = -1.0
_MORE, _LESS = 1.1, 1 / 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]?|[(\[)\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|:")
_BREAKS = re.compile(r"\bBREAK\b")


class Piece(NamedTuple):
    """A stretch of text and its weight; `BREAK` at weight -1 is no text."""

    text: str
    weight: float

    @property
    def breaks(self) -> bool:
        """Whether this is a BREAK."""
        return self.text == BREAK and self.weight == BREAK_WEIGHT


def weigh(text: str) -> list[Piece]:
    """A text in pieces of one weight each, at least one.

    Takes time in proportion to the length. Raises UsageError for a weight that is no number or too large, and for too
    many open brackets.
    """
    found = _Weighing(text)
    for match in _TOKEN.finditer(text):
        found.read(match)
    found.finish()
    return found.joined()


class _Weighing:
    """Pieces and their weights so far, and where the brackets that are open begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.texts: list[str] = []
        self.weights: list[float] = []
        self.round: list[int] = []
        self.square: list[int] = []

    def read(self, match: re.Match[str]) -> None:
        """Go on with a bracket, an escape or words."""
        mark = match[0]
        if mark[0] == "\\":
            self.add(mark[1:])
        elif mark in "([":
            if len(self.round) + len(self.square) == DEEPEST:
                raise too_deep(self.text, match.start())
            (self.round if mark == "(" else self.square).append(len(self.texts))
        elif match[1] is not None and self.round:
            self.multiply(self.round.pop(), weight_at(self.text, *match.span(1), "(words:1.2)"))
        elif mark == ")" and self.round:
            self.multiply(self.round.pop(), _MORE)
        elif mark == "]" and self.square:
            self.multiply(self.square.pop(), _LESS)
        else:
            self.add_lines(mark)

    def add(self, text: str, weight: float = 1.0) -> None:
        """One more piece."""
        self.texts.append(text)
        self.weights.append(weight)

    def add_lines(self, text: str) -> None:
        """Plain text, which may have BREAKs in it; these take the space around them."""
        parts = _BREAKS.split(text)
        for place, part in enumerate(parts):
            if place:
                self.add(BREAK, BREAK_WEIGHT)
                part = part.lstrip()
            self.add(part if place == len(parts) - 1 else part.rstrip())

    def multiply(self, start: int, factor: float) -> None:
        """Weigh all pieces from `start` on."""
        self.weights[start:] = [weight * factor for weight in self.weights[start:]]

    def finish(self) -> None:
        """Brackets that nothing closes reach to the end."""
        for start in self.round:
            self.multiply(start, _MORE)
        for start in self.square:
            self.multiply(start, _LESS)

    def joined(self) -> list[Piece]:
        """Neighbours of one weight as one piece."""
        runs: list[tuple[list[str], float]] = []
        for text, weight in zip(self.texts, self.weights, strict=True):
            if runs and runs[-1][1] == weight:
                runs[-1][0].append(text)
            else:
                runs.append(([text], weight))
        return [Piece("".join(texts), weight) for texts, weight in runs] or [Piece("", 1.0)]
