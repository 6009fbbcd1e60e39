"""Prune: leave out of a model what no picture needs, or all but some components; every tensor is accounted for.

A plan reads headers only. Kept tensors keep their bytes unless another precision is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelhub.catalog.becoming import Part
from modelhub.catalog.belonging import Belonging, Owned, belonging, groups
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.unpacking import refuse_blocks, unpacked
from modelhub.convert.conversion import Conversion
from modelhub.convert.describing import Described, truthful
from modelhub.convert.precision import in_precision, precision_findings
from modelhub.convert.prune.averaged import Averages, averages
from modelhub.convert.telling import Telling
from modelhub.errors import UsageError
from modelhub.formats.header import Header
from modelhub.formats.leaving import kept
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.views import Renamed
from modelhub.text import one_line, plural, shorten

Ema = Literal["keep", "use", "drop"]

#: Why a group goes, unless something else is asked for.
_WHY = {
    "ema": "a copy for training; pictures are made with the others",
    "training": "of no use to a finished model",
    "schedule": "every program computes it for itself (--strict)",
}
#: The kind that a file of one component should be, by its role.
_KINDS = {"denoiser": "diffusion-model", "vae": "vae", "text_encoder": "text-encoder"}
_NOT_ASKED = "not asked for"


@dataclass(frozen=True)
class Pruning:
    """What to leave out and what to change.

    `ema`: what becomes of EMA weights; `use` puts them in the denoiser's place. `drop` and `only` name components:
    vae, text_encoder, te1, denoiser, clip-l, t5. `strict`: leave out what programs compute for themselves, and what no
    rule knows. `keep_names`: a single component keeps its prefix.
    """

    dtype: str = "keep"
    vae_dtype: str = "keep"
    ema: Ema = "drop"
    drop: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    strict: bool = False
    keep_names: bool = False

    def as_dict(self) -> dict[str, object]:
        """What differs from the defaults, as plain values."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in own.items() if value != getattr(Pruning, name)}


def prune(
    source: TensorSource, identity: Identity, wish: Pruning, stats: Mapping[Path, FileStat] | None = None
) -> Conversion:
    """Plan what `wish` makes of `source`, which is what `identity` says.

    `stats` are its files, and how they were before they were opened.

    Raises UsageError for a component that is not there, or when nothing would be left; IncompatibleError for EMA
    weights that do not fit, and for packed weights that are to be cast and cannot be unpacked.
    """
    telling = Telling(source.header)
    plain, told, warnings = source, list[Part](), list[str]()
    if wish.dtype == "keep":
        refuse_blocks(source.header)
    else:
        plain, told, warnings = unpacked(source, identity)
    if plain is not source:
        telling.take(told)
        telling.follow(plain)
        identity = identify(plain.header, form=identity.format)
    made = _Pruner(plain, identity, wish, telling).conversion(stats or {})
    stays = {name for one in made.parts if one.action != "drop" for name in one.names}
    made.warnings += warnings if any(stays.intersection(one.names) for one in told) else []
    return made


@dataclass
class _Pruner:
    """Decides, part by part, what stays, and tells so."""

    source: TensorSource
    identity: Identity
    wish: Pruning
    telling: Telling
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.where: Belonging = belonging(self.header, self.identity)
        self.kept = _chosen(self.where, self.wish, self.identity)
        uses = self.wish.ema == "use"
        self.averages: Averages | None = averages(self.header, self.where) if uses else None
        if uses and not any(one.role == "denoiser" for one in self.kept):
            raise UsageError("EMA weights are the denoiser's, which is left out.", "Leave --ema use away.")

    @property
    def header(self) -> Header:
        return self.source.header

    def conversion(self, stats: Mapping[Path, FileStat]) -> Conversion:
        self._sort()
        self.warnings += _advice(self.identity, self.header, self.kept)
        names = self._names()
        renamed = Renamed(self.source, names.get)
        self.telling.follow(renamed)
        cast, told, warnings = self._cast(renamed)
        for one in told:
            self.telling.tell(one.action, "", one.reason, one.names)
        parts = self.telling.parts(cast.header)
        is_new = self.telling.changes or any(old != new for old, new in names.items())
        view, lies = self._described(cast, parts, is_new=is_new)
        made = Conversion(view, stats, parts, [*self.warnings, *warnings, *lies])
        made.afterwards = lambda: precision_findings(cast)
        return made

    def _cast(self, view: TensorSource) -> tuple[TensorSource, list[Part], list[str]]:
        """What stays in the precision that is wanted."""
        dtype, vae_dtype = self.wish.dtype, self.wish.vae_dtype
        if dtype == vae_dtype == "keep":  # what it is now need not be known
            return view, [], []
        identity = identify(view.header, form=self.identity.format)
        return in_precision(view, identity, dtype, vae_dtype, self.telling.stored)

    def _described(self, view: TensorSource, parts: list[Part], *, is_new: bool) -> tuple[TensorSource, list[str]]:
        """The view with metadata that is true of it and what was done, and warnings; a mere copy keeps its own."""
        if not is_new and self.identity.format == "safetensors":
            return view, []
        metadata, warnings = truthful(kept(self.header.metadata), view.header.tensors)
        gone = {one.what: len(one.names) for one in parts if one.action == "drop"}
        done = json.dumps({**self.wish.as_dict(), "dropped": gone}, ensure_ascii=False, sort_keys=True)
        return Described(view, {"format": "pt", **metadata, **({"modelhub.pruned": done} if is_new else {})}), warnings

    def _sort(self) -> None:
        """Give every tensor of the source to one part."""
        for one in self.where.owned:
            self._component(one)
        for group in groups():
            self._group(group.id, group.what, self.where.group(group.id))
        self._extras()

    def _component(self, one: Owned) -> None:
        if one not in self.kept:
            self.telling.tell("drop", one.words, _NOT_ASKED, one.names)
        elif one.role == "denoiser" and self.averages is not None:
            self._averaged(one, self.averages)
        else:
            self.telling.tell("keep", one.words, "", one.names)

    def _averaged(self, one: Owned, found: Averages) -> None:
        own = [name for name in one.names if name not in found.of]
        self.telling.tell("change", "EMA weights", f"take the place of the {one.words}", found.of.values())
        self.telling.tell("drop", one.words, "EMA weights take their place", found.of)
        self.telling.tell("keep", one.words, "has no EMA weights", own)
        if found.lacking:
            few = f"{plural(len(found.lacking), 'weight')} of the denoiser"
            self.warnings.append(f"{few} without EMA weights: kept as they are ({shorten(found.lacking[0], 80)}).")

    def _group(self, which: str, what: str, names: list[str]) -> None:
        if which == "marker":
            stay, go = _divided(names, self._stays)
            self.telling.tell("keep", what, "say how the model is to be used", stay)
            self.telling.tell("drop", what, _NOT_ASKED, go)
        elif which == "ema" and self.averages is not None:
            self.telling.tell("drop", what, "left over: counters of the training", self.averages.spare)
        elif self._keeps(which):
            self.telling.tell("keep", what, "--ema keep" if which == "ema" else "", names)
        else:
            why = _NOT_ASKED if self.wish.only and which == "schedule" else _WHY[which]
            self.telling.tell("drop", what, why, names)

    def _keeps(self, which: str) -> bool:
        """Whether a group of what belongs to the denoiser stays."""
        denoiser = not self.where.of_role("denoiser") or any(one.role == "denoiser" for one in self.kept)
        if which == "ema":
            return self.wish.ema == "keep" and denoiser
        return which == "schedule" and denoiser and not self.wish.strict and not self.wish.only

    def _stays(self, name: str) -> bool:
        """Whether a marker stays: with its component, or with the denoiser where it stands at the top."""
        owner = self.where.owner.get(name)
        if owner is not None:
            return owner in self.kept
        return not self.where.of_role("denoiser") or any(one.role == "denoiser" for one in self.kept)

    def _extras(self) -> None:
        names = self.where.extras
        if not self.where.owned:
            self.telling.tell("keep", "weights", "", names)
        elif self.wish.only or self.wish.strict:
            self.telling.tell("drop", f"unknown: {_some(names)}", _NOT_ASKED if self.wish.only else "--strict", names)
        else:
            why = "may matter to some program (--strict leaves it out)"
            self.telling.tell("keep", f"unknown: {_some(names)}", why, names)

    def _names(self) -> dict[str, str]:
        """Old names of what stays to the new ones. Raises UsageError when there is none."""
        stay = {name: name for name in self.header.tensors if self.telling.action(name) != "drop"}
        if not stay:
            raise UsageError("Nothing would be left.", "Leave out less.")
        if self.averages is not None:
            stay |= {average: name for name, average in self.averages.of.items()}
        return self._bare(stay)

    def _bare(self, stay: dict[str, str]) -> dict[str, str]:
        """The names of a single component without their prefix, as programs expect it of files with only that."""
        one = self.kept[0] if len(self.kept) == 1 and len(self.where.owned) > 1 else None
        if one is None or self.wish.keep_names or one.role not in _KINDS:
            return stay
        bare = {old: _without(new, (one.component.prefix, one.prefix)) for old, new in stay.items()}
        ways = [stay, bare] if one.role == "denoiser" else [bare, stay]
        fitting = [names for names in ways if self._kind(names) == _KINDS[one.role]]
        if not fitting:
            self.warnings.append(f"The result is not recognised as {_KINDS[one.role]}; its names stay as they are.")
        found = fitting[0] if fitting else stay
        if found is bare and bare != stay:
            why = f"names without {one_line(one.component.prefix)}, as other programs expect"
            self.telling.tell("keep", "", why, one.names)
        return found

    def _kind(self, names: dict[str, str]) -> str:
        tensors = self.header.tensors
        entries = ((new, tensors[old].dtype, tensors[old].shape) for old, new in names.items())
        return identify(Header.of(entries), form="safetensors").kind if len({*names.values()}) == len(names) else ""


def _chosen(where: Belonging, wish: Pruning, identity: Identity) -> list[Owned]:
    """The components that stay."""
    if wish.only and wish.drop:
        raise UsageError("--only and --drop say two things at once.", "Name what stays, or what goes.")
    for word in (*wish.only, *wish.drop):
        if not any(one.is_called(word) for one in where.owned):
            there = ", ".join(one.label for one in where.owned)
            raise UsageError(
                f"There is no component {one_line(word)!r} in this model.",
                f"It has: {there}." if there else f"Its kind is {identity.kind}, and it is not made of components.",
            )
    stays = [
        one
        for one in where.owned
        if (not wish.only or any(map(one.is_called, wish.only))) and not any(map(one.is_called, wish.drop))
    ]
    if where.owned and not stays:
        raise UsageError("Nothing would be left.", "Leave out fewer components.")
    return stays


def _advice(identity: Identity, header: Header, stay: list[Owned]) -> Iterator[str]:
    """Where `convert` makes a file that more programs read."""
    if identity.layout == "diffusers" and len(stay) > 1:
        yield "The result has the names of diffusers; `modelhub convert` makes a usual checkpoint."
    if identity.kind == "embedding" and any(name.startswith("string_to_param.") for name in header.tensors):
        yield "`modelhub convert` gives an embedding the names that programs look for."


def _divided(names: list[str], stays: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    return [name for name in names if stays(name)], [name for name in names if not stays(name)]


def _without(name: str, prefixes: Iterable[str]) -> str:
    return next((name[len(prefix) :] for prefix in prefixes if prefix and name.startswith(prefix)), name)


def _some(names: list[str]) -> str:
    return shorten(", ".join(one_line(shorten(name, 60)) for name in names[:3]), 60) + (", …" if len(names) > 3 else "")
