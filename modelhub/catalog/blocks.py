"""Blocks: the parts of a network that block weights count, by `catalog/blocks/*.toml`, in either layout.

Rows of a file are expanded to beginnings of names once, so that asking for a tensor's block is a few look-ups.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.errors import CorruptFileError

#: What people call the components of a model.
DENOISER, TEXT_ENCODERS, VAE = "unet", ("te1", "te2", "t5"), "vae"
LABELS = (*TEXT_ENCODERS, DENOISER, VAE)
_RANGE = re.compile(r"([A-Z]+)(\d+)-([A-Z]+)(\d+)")
_BRACES = re.compile(r"{(\w)<(\d+)}")


@dataclass(frozen=True)
class Blocks:
    """The blocks of some architectures: all `names` in order, those that a `curve` runs over, and what lies in which.

    `components` gives the block of each text encoder, `places` the block of beginnings of the denoiser's names (up to
    a dot, or a whole name). `listed` tells whether people write them as a bare list of numbers.
    """

    names: tuple[str, ...]
    curve: tuple[str, ...]
    components: Mapping[str, str]
    places: Mapping[str, str]
    listed: bool

    def of(self, component: str, name: str) -> str | None:
        """The block of a tensor, `name` below its component's prefix; None if it is in none."""
        if component != DENOISER:
            return self.components.get(component)
        at = name.find(".")
        while at >= 0:
            if (found := self.places.get(name[: at + 1])) is not None:
                return found
            at = name.find(".", at + 1)
        return self.places.get(name)


def _numbered(names: Iterable[str]) -> Iterator[str]:
    """Names of a data file, with `IN00-IN11` written out."""
    for name in names:
        found = _RANGE.fullmatch(name)
        if found is None:
            yield name
        else:
            width = len(found[2])
            yield from (f"{found[1]}{n:0{width}}" for n in range(int(found[2]), int(found[4]) + 1))


def _places(rules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every beginning of a name and its block, with all numbers that the braces of a row allow."""
    for pattern, block in rules.items():
        limits = _BRACES.findall(pattern)
        plain = _BRACES.sub(r"{\1}", pattern)
        for numbers in product(*(range(int(limit)) for _, limit in limits)):
            at = {letter: n for (letter, _), n in zip(limits, numbers, strict=True)}
            name, sign, formula = block.rstrip("}").partition("{")
            yield plain.format_map(at), f"{name}{_sum(formula, at):02}" if sign else name


def _sum(text: str, at: Mapping[str, int]) -> int:
    """The value of such as `3b+r+1`."""
    total = 0
    for term in text.split("+"):
        total += int(term) if term.isdigit() else int(term[:-1] or 1) * at[term[-1]]
    return total


def read_blocks(path: Path) -> tuple[tuple[str, ...], Blocks]:
    """One file: the architectures it is of, and their blocks. Raises CorruptFileError with what is wrong."""
    try:
        return _read(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"{path} is not a table of blocks: {error}.", "See catalog/README.md.") from error


def _read(table: Mapping[str, Any]) -> tuple[tuple[str, ...], Blocks]:
    names = tuple(_numbered(table["names"]))
    blocks = Blocks(
        names,
        tuple(_numbered(table.get("curve", ()))),
        dict(table["components"]),
        dict(_places(table["unet"])),
        table.get("list", False),
    )
    strange = {*blocks.components.values(), *blocks.places.values(), *blocks.curve} - {*names}
    if strange:
        raise ValueError(f"its names lack {', '.join(sorted(strange))}")
    return tuple(table["architectures"]), blocks


@cache
def tables() -> dict[str, Blocks]:
    """All tables by architecture."""
    read = map(read_blocks, sorted(data_path("blocks").glob("*.toml")))
    return {architecture: blocks for architectures, blocks in read for architecture in architectures}


def block_names(architecture: str | None) -> tuple[str, ...]:
    """The blocks of an architecture in order ("BASE", "IN00", …); empty if there is no table of it."""
    blocks = tables().get(architecture or "")
    return blocks.names if blocks else ()


def block_of(architecture: str | None, component: str, name: str) -> str | None:
    """The block of a tensor: "IN00", "BASE"; None if it is in none, as all of a VAE, or if there is no table.

    `component` is "unet", "te1", "te2", "t5", "vae" or "", and `name` what follows the component's prefix.
    """
    blocks = tables().get(architecture or "")
    return blocks.of(component, name) if blocks else None


@cache
def _orders() -> tuple[tuple[str, ...], ...]:
    """The different orders of names, the longest first."""
    return tuple(sorted({blocks.names for blocks in tables().values()}, key=lambda names: (-len(names), names)))


@cache
def all_blocks() -> tuple[str, ...]:
    """The names of the blocks of all architectures, each order after the other."""
    return tuple(dict.fromkeys(name for names in sorted(_orders(), key=_by_first) for name in names))


def _by_first(names: tuple[str, ...]) -> tuple[bool, int]:
    return ("IN00" not in names, -len(names))


@cache
def block_lists() -> Mapping[int, tuple[str, ...]]:
    """The names that a bare list of so many numbers stands for: 26 of SD 1 and 2, 20 of SDXL, 61 of Flux."""
    return {len(blocks.names): blocks.names for blocks in tables().values() if blocks.listed}


def block_range(first: str, last: str) -> tuple[str, ...]:
    """All blocks from `first` to `last`; empty if no architecture has both in this order."""
    for names in _orders():
        if first in names and last in names:
            return names[names.index(first) : names.index(last) + 1]
    return ()
