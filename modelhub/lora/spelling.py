"""Spellings: every name that the layers of one component go by, found once for all files with the same tensors.

A layer has a native name, that of the original layout, and one or more in diffusers, which may mean a part of it: the
query of a `qkv`. Which of the two the file itself has does not matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from modelhub.catalog.canonical import Section
from modelhub.catalog.folder.inverse import Inverse
from modelhub.catalog.folder.renames import Target, files, rules
from modelhub.catalog.keymaps import adapter_table, flatten

#: Tables that a component of unknown architecture may fit; widths that no model has lead to a wrong one, too.
_TABLES = {"unet": ("unet", "flux1", "sd3"), "te": ("clip", "openclip", "t5")}
#: A table is that of a component if it knows so large a share of its names.
_MOST = 0.5
#: So many names are passed over for each that is tried.
_EVERY = 7


class Tensor(NamedTuple):
    """A tensor of the file that is a native layer, or the part or arrangement of one that `target` says."""

    target: Target
    name: str


class Alias(NamedTuple):
    """A name for `parts` of the native layer `stem` (flat); `written` is it with its dots, "" if only files have it."""

    stem: str
    parts: tuple[Target, ...]
    written: str


@dataclass(frozen=True)
class Spelling:
    """The layers of a component, or their biases, by flat names.

    `native`: all tensors of a layer of the original, in its order; `own`: names of the file, where these are those of
    diffusers, to a tensor; `aliases`: other names. `dotted` gives native names with their dots, `written` the own names
    with theirs. `table` is that of `catalog/renames/` for the component, if there is one.
    """

    native: Mapping[str, tuple[Tensor, ...]]
    dotted: Mapping[str, str]
    own: Mapping[str, str]
    written: Mapping[str, str]
    aliases: Mapping[str, Alias]
    table: str | None

    def find(self, flat: str) -> tuple[tuple[Tensor, ...], tuple[Target, ...]] | None:
        """The tensors of a layer, and the parts of them together that a name means; no parts for all as they stand."""
        if (name := self.own.get(flat)) is not None:
            return (Tensor(Target(name), name),), ()
        if (alias := self.aliases.get(flat)) is not None and alias.stem in self.native:
            return self.native[alias.stem], alias.parts
        found = self.native.get(flat)
        return None if found is None else (found, ())


def stem_of(name: str, kind: str) -> str | None:
    """A layer's name, of its tensor: `attn.in_proj_weight` and `attn.in_proj.weight` are both of `attn.in_proj`.

    None for a tensor that is no `kind` ("weight" or "bias"). A bare parameter is a weight.
    """
    for ending in (f".{kind}", f"_{kind}"):
        if name.endswith(ending):
            return name[: -len(ending)]
    if kind == "weight":
        if name.endswith(".scale"):
            return name[: -len(".scale")]
        return None if name.endswith(("bias", "position_ids")) else name
    return None


def table_of(section: Section) -> str | None:
    """The table of `catalog/renames/` that a component's names fit: its architecture's, or else another."""
    known = section.owned.component.architecture
    table = files()["component"].get(known) or adapter_table()["layers"]["like"].get(known)
    if section.is_renamed:
        return None if table is None else str(table)
    guesses = _TABLES["unet" if section.label == "unet" else "te"] if table is not None or known is None else ()
    return _fitting(tuple(map(section.below, section.owned.names)), tuple(dict.fromkeys([table, *guesses])))


@lru_cache(maxsize=64)
def _fitting(names: tuple[str, ...], tables: tuple[str | None, ...]) -> str | None:
    """The first table that knows most of the names."""
    for table in filter(None, tables):
        inverse = Inverse(table, names)
        some = names[::_EVERY]
        if sum(any(True for _ in inverse.sources(name)) for name in some) > _MOST * len(some):
            return table
    return None


def spelling(section: Section, kind: str) -> Spelling:
    """The spellings of a component's weights or biases (`kind` is "weight" or "bias")."""
    below = tuple(map(section.below, section.owned.names))
    return _spelling(tuple(section.owned.names), below, tuple(section.targets.items()), table_of(section), kind)


@lru_cache(maxsize=64)
def _spelling(
    names: tuple[str, ...],
    below: tuple[str, ...],
    targets: tuple[tuple[str, Target], ...],
    table: str | None,
    kind: str,
) -> Spelling:
    goals = dict(targets)
    native: defaultdict[str, list[Tensor]] = defaultdict(list)
    dotted: dict[str, str] = {}
    own: dict[str, str] = {}
    written: dict[str, str] = {}
    for name, short in zip(names, below, strict=True):
        target = goals.get(name) or Target(short)
        if (stem := stem_of(target.name, kind)) is not None:
            native[flatten(stem)].append(Tensor(target, name))
            dotted[flatten(stem)] = stem
        if goals and (mine := stem_of(short, kind)) is not None:
            written[flatten(mine)] = _whole(mine, table)
            own |= dict.fromkeys(_spelled(mine, table), name)
    whole = {flat: tuple(sorted(found, key=_part)) for flat, found in native.items()}
    aliases = dict(_overlapping(whole, table))
    others = {} if goals else _inverted(below, table, kind)
    return Spelling(whole, dotted, own, written, {**others, **aliases}, table)


def _part(tensor: Tensor) -> int:
    return tensor.target.part


def _inverted(below: tuple[str, ...], table: str | None, kind: str) -> dict[str, Alias]:
    """What diffusers calls the layers of a component that has the names of the original."""
    found: dict[str, Alias] = {}
    inverse = Inverse(table, below) if table is not None else None
    for name in below:
        stem = stem_of(name, kind)
        if inverse is None or stem is None:
            continue
        for old, target in inverse.sources(name):
            if (mine := stem_of(old, kind)) is not None:
                alias = Alias(flatten(stem), (target,), _whole(mine, table))
                found |= dict.fromkeys(_spelled(mine, table), alias)
    return found


def _whole(stem: str, table: str | None) -> str:
    """A name with the prefix that some versions leave out."""
    start = rules(table).optional if table is not None else ""
    if not start or stem.startswith(start) or re.match(adapter_table()["layers"]["free"], stem):
        return stem
    return start + stem


def _spelled(stem: str, table: str | None) -> set[str]:
    """A name, flat, with and without the prefix that some versions leave out."""
    start = rules(table).optional if table is not None else ""
    return {flatten(stem), flatten(_whole(stem, table)), flatten(stem.removeprefix(start))}


def _overlapping(native: Mapping[str, tuple[Tensor, ...]], table: str | None) -> Iterator[tuple[str, Alias]]:
    """Names that some adapters have for several parts of a layer together, by `[parts]` of `catalog/adapters.toml`."""
    for name, row in adapter_table()["parts"].get(table, {}).items():
        fits = re.compile(row["of"].replace("#", r"(\d+)")).fullmatch
        for flat in native:
            if found := fits(flat):
                parts = tuple(Target(flat, part - 1, row["all"]) for part in row["parts"])
                yield name.replace("#", found[1]), Alias(flat, parts, "")
