"""Presets: named block weights, each a curve from the first block to the last, by `catalog/presets/*.toml`.

The names and numbers are those of merge-block-weighted-gui, meh and supermerger. There a preset is 26 numbers for SD 1;
SDXL takes those of the names that it has, as these tools do, and Flux follows the curve over its double and single
blocks.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from modelhub.catalog.blocks import block_names, tables
from modelhub.catalog.data import data_path
from modelhub.errors import BadRecipeError, CorruptFileError
from modelhub.text import brief


class Place(NamedTuple):
    """A position on a curve: the block with number `at` of `many`."""

    at: int
    many: int

    @property
    def t(self) -> float:
        """0 at the first block, 1 at the last."""
        return self.at / (self.many - 1)


def fold(x: float) -> float:
    """Up from 0 to 1, down again, and so on: the distance of x to the next even number."""
    return 1 - abs(1 - x % 2)


def smoothstep(t: float) -> float:
    """3t² - 2t³."""
    return t * t * (3 - 2 * t)


def hermite(t: float, slope: float, start: float) -> float:
    """The cubic that goes from `start` (0 at t = 0) to 1 with the same slope at both ends.

    (2t³ - 3t² + 1)·start + (t³ - 2t² + t)·slope + (3t² - 2t³) + (t³ - t²)·slope; merge-block-weighted-gui's table has
    100/24 for the slope, and for "true" ones a start of 1/24 that it leaves out at the first block.
    """
    s = smoothstep(t)
    return (1 - s) * (start if t else 0.0) + s + slope * t * (t - 1) * (2 * t - 1)


def _stretch(steps: list[list[float]], place: Place) -> float:
    """The value of the stretch that the middle of the block falls into; steps are [how many, value]."""
    at = (2 * place.at + 1) * sum(count for count, _ in steps)
    for count, value in steps:
        at -= 2 * place.many * count
        if at < 0:
            return value
    return steps[-1][1]


_CURVES: dict[str, Callable[[float, Mapping[str, Any]], float]] = {
    "linear": lambda t, _: t,
    "cosine": lambda t, _: (1 - math.cos(math.pi * t)) / 2,
    "smoothstep": lambda t, _: smoothstep(t),
    "hermite": lambda t, row: hermite(t, row["slope"], row.get("start", 0.0)),
}


@cache
def _places() -> dict[str, Place]:
    """Where each block lies on a curve: blocks beside it have the values of its ends."""
    found: dict[str, Place] = {}
    for blocks in tables().values():
        count = len(blocks.curve)
        found |= {name: Place(at, count) for at, name in enumerate(blocks.curve)}
        for name in blocks.names if count else ():
            if name not in found and name not in blocks.components.values():
                before = blocks.names.index(name) < blocks.names.index(blocks.curve[0])
                found[name] = Place(0 if before else count - 1, count)
    return found


@cache
def _bases() -> frozenset[str]:
    """The blocks that hold text encoders."""
    return frozenset(name for blocks in tables().values() for name in blocks.components.values())


@dataclass(frozen=True)
class Preset:
    """Block weights by name: `about` in a line, other names, and the row of the data file that says the curve."""

    name: str
    about: str
    aliases: tuple[str, ...]
    row: Mapping[str, Any] = field(repr=False, compare=False)

    def value(self, block: str) -> float | None:
        """The weight of a block; None for one that presets do not know."""
        if block in _bases():
            return float(self.row.get("base", 0.0))
        place = _places().get(block)
        return None if place is None else self._at(place)

    def values(self, architecture: str) -> dict[str, float]:
        """The weights of all blocks of an architecture; empty where presets do not fit."""
        found = {name: value for name in block_names(architecture) if (value := self.value(name)) is not None}
        return found if len(found) == len(block_names(architecture)) else {}

    def _at(self, place: Place) -> float:
        if self.row["curve"] == "steps":
            return float(_stretch(self.row["steps"], place))
        t = fold(self.row.get("waves", 1) * place.t) if "waves" in self.row else place.t
        y = _CURVES[self.row["curve"]](t, self.row)
        y = fold(self.row["times"] * y) if "times" in self.row else y
        return 1 - y if self.row.get("reverse") else y


def read_presets(path: Path) -> list[Preset]:
    """The presets of one file. Raises CorruptFileError."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["preset"]
        found = [Preset(row["name"], row["about"], tuple(row.get("aliases", ())), row) for row in rows]
        for preset in found:
            preset._at(Place(0, 25))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CorruptFileError(f"{path} is not a list of presets: {error}.", "See catalog/README.md.") from error
    return found


@cache
def presets() -> dict[str, Preset]:
    """All presets by name, curves first."""
    files = sorted(data_path("presets").glob("*.toml"), key=lambda path: (path.stem == "lora", path.name))
    return {preset.name: preset for path in files for preset in read_presets(path)}


@cache
def _by_word() -> dict[str, Preset]:
    return {_plain(word): one for one in presets().values() for word in (one.name, *one.aliases)}


def _plain(name: str) -> str:
    return name.strip().upper().replace("-", "_")


def is_preset(name: str) -> bool:
    """Whether there is a preset of that name, whatever its case."""
    return _plain(name) in _by_word()


def find_preset(name: str, where: str = "The weight") -> Preset:
    """The preset of a name, whatever its case. Raises BadRecipeError with those that are named alike."""
    found = _by_word().get(_plain(name))
    if found is None:
        near = get_close_matches(_plain(name)[:60], list(presets()), 3, 0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(presets())}."
        raise BadRecipeError(f"{where}: there is no preset '{brief(name)}'.", hint)
    return found


@dataclass(frozen=True, slots=True)
class Blend:
    """A preset by name, or a point between two: (1 - at)·first + at·second."""

    first: str
    second: str = ""
    at: float = 0.0

    def value(self, block: str) -> float | None:
        """The weight of a block; None for one that presets do not know."""
        first = presets()[self.first].value(block)
        if first is None or not self.second:
            return first
        second = presets()[self.second].value(block)
        return None if second is None else (1 - self.at) * first + self.at * second

    def fits(self, architecture: str | None) -> bool:
        """Whether all blocks of an architecture have a value."""
        return all(self.value(name) is not None for name in block_names(architecture))
