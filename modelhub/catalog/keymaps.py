"""Key maps: the modules of an architecture under every spelling, with their sizes, from `catalog/keymaps/*.tsv.xz`.

A spelling is `(component, flat name)`: dots and underscores are the same in it, because adapters write either.
"""

from __future__ import annotations

import lzma
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.errors import CorruptFileError

_DENOISER = "model.diffusion_model."
Spelling = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """What a module of an adapter changes: a tensor of the checkpoint, or `part` = (dimension, offset, length) of one.

    `component` is denoiser, te, te1, te2 or te3. `out_size` and `in_size` are those of the part; `rank` is the tensor's
    number of dimensions (2 linear, 4 convolution); `diffusers` is the module's name there, or "".
    """

    component: str
    tensor: str
    diffusers: str
    out_size: int
    in_size: int
    rank: int
    attention: bool
    part: tuple[int, int, int] | None = None


def flatten(module: str) -> str:
    """A module name with dots written as underscores; in no known architecture do two modules become one by it."""
    return module.replace(".", "_")


def _target(line: str) -> Target:
    component, tensor, diffusers, out_size, in_size, rank, attention, part = line.split("\t")
    numbers = tuple(map(int, part.split(","))) if part else ()
    where = (numbers[0], numbers[1], numbers[2]) if numbers else None
    return Target(component, tensor, diffusers, int(out_size), int(in_size), int(rank), attention == "1", where)


def _spellings(target: Target) -> set[str]:
    native = target.tensor.removeprefix(_DENOISER).removesuffix(".weight")
    whole = {native} if target.component == "denoiser" and target.part is None else set()
    return {flatten(name) for name in {*whole, target.diffusers} if name}


def read_keymap(path: Path) -> dict[Spelling, Target]:
    """The map of one file: (component, flat module name) to target. Raises CorruptFileError."""
    try:
        lines = lzma.decompress(path.read_bytes()).decode("utf-8").splitlines()
        targets = [_target(line) for line in lines if not line.startswith("#")]
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a key map: {error}.", "Reinstall modelhub.") from error
    return {(target.component, name): target for target in targets for name in _spellings(target)}


@cache
def keymap(architecture: str) -> dict[Spelling, Target]:
    """The map of an architecture; empty if there is none."""
    path = data_path("keymaps", f"{architecture}.tsv.xz")
    return read_keymap(path) if path.is_file() else {}


@cache
def modules(architecture: str) -> dict[Spelling, Target]:
    """The map, and the further slices of `catalog/adapters.toml` that some adapters change, overlapping the map's."""
    known = keymap(architecture)
    extra = adapter_table()["slices"].get(architecture, {}).items() if known else ()
    return {**known, **{spelling: target for name, row in extra for spelling, target in _sliced(known, name, **row)}}


def _sliced(known: Mapping[Spelling, Target], name: str, of: str, part: list[int]) -> Iterator[tuple[Spelling, Target]]:
    """`name` in place of every module that fits `of`; `#` is the same number in both."""
    axis, offset, length = part
    fits = re.compile(of.replace("#", r"(\d+)")).fullmatch
    for (place, flat), target in known.items():
        if found := fits(flat):
            piece = replace(target, diffusers="", out_size=length, part=(axis, offset, length))
            yield (place, name.replace("#", found[1])), piece


@cache
def adapter_table() -> dict[str, Any]:
    """`catalog/adapters.toml` as it is."""
    return tomllib.loads(data_path("adapters.toml").read_text(encoding="utf-8"))


@cache
def mapped() -> tuple[str, ...]:
    """The architectures that have a key map."""
    return tuple(sorted(path.name.partition(".")[0] for path in data_path("keymaps").glob("*.tsv.xz")))
