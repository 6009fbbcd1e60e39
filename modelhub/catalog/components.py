"""Components: tensors sorted by the prefixes of `catalog/components.toml`, and the best architecture for each part."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from typing import Any

from modelhub.catalog.architectures import Architecture, Signature, with_role
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Component, Evidence
from modelhub.catalog.match import Misfit, Names, View, misfits, show_dims
from modelhub.catalog.weights import Weights

#: Evidence of one signature that is worth keeping.
_PROOFS = 6
#: Real files have up to four text encoders; each part costs a search.
_MOST_PARTS = 32


@dataclass(frozen=True)
class Match:
    """An architecture, the signature that proved it, and the prefix below which it did."""

    architecture: Architecture
    signature: Signature
    view: View

    @property
    def confidence(self) -> str:
        """How sure: that of the signature, or structure if the sizes are no released model's."""
        return "structure" if self._misfits else self.signature.confidence

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What proved it; for a structure also each width that is not the released model's."""
        layout = f" ({self.signature.layout})" if self.signature.layout else ""
        word = "structure of" if self.confidence == "structure" else "signature of"
        rule = f"{word} {self.architecture.id}{layout}"
        proof = self.signature.condition.proof(self.view)[:_PROOFS]
        found = [Evidence(rule, name, shape) for name, shape in proof] or [Evidence(rule)]
        return (*found, *(self._widths() if self.confidence == "structure" else ()))

    @cached_property
    def _misfits(self) -> dict[str, Misfit]:
        """Tensors with none of the sizes that released models have, by name."""
        return misfits(self.view, self.architecture.released)

    def _widths(self) -> Iterable[Evidence]:
        released = [
            one
            for one in self.architecture.signatures
            if one.confidence == "header" and one.layout == self.signature.layout
        ]
        other = {name: (shape, (dims,)) for one in released for name, shape, dims in one.condition.misfits(self.view)}
        for name, (shape, choices) in {**other, **self._misfits}.items():
            wanted = " or ".join(map(show_dims, choices))
            yield Evidence("widths differ", name, f"{list(shape)}, released models have {wanted}")


def best(views: Sequence[View], role: str) -> Match | None:
    """The first match: full signatures before structures, views in their order, then architectures in theirs."""
    populated = [view for view in views if view.names.any_under(view.prefix)]
    for candidates in _candidates(role):
        for view in populated:
            for one, signature in candidates.possible(view):
                if signature.condition.holds(view):
                    return Match(one, signature, view)
    return None


@dataclass(frozen=True)
class _Candidates:
    """Signatures in the order in which they are tried, and where each stands by the names of which it needs one."""

    rows: tuple[tuple[Architecture, Signature], ...]
    by_anchor: Mapping[str, tuple[int, ...]]
    free: frozenset[int]

    def possible(self, view: View) -> list[tuple[Architecture, Signature]]:
        """Those that could hold, by one look for each name."""
        prefix, shapes = view.prefix, view.names.shapes
        if prefix:
            there = [name for name in self.by_anchor if prefix + name in shapes]
        else:
            there = list(self.by_anchor.keys() & shapes.keys())
        return [self.rows[at] for at in sorted(self.free.union(*map(self.by_anchor.__getitem__, there)))]


@cache
def _candidates(role: str) -> tuple[_Candidates, ...]:
    """The full signatures of a role, then the structures."""
    rows = [(owner, one) for owner in with_role(role) for one in owner.signatures]
    return tuple(
        _indexed([row for row in rows if row[1].confidence == confidence]) for confidence in ("header", "structure")
    )


def _indexed(rows: list[tuple[Architecture, Signature]]) -> _Candidates:
    by_anchor: dict[str, tuple[int, ...]] = {}
    for at, (_, signature) in enumerate(rows):
        for name in signature.condition.anchors:
            by_anchor[name] = (*by_anchor.get(name, ()), at)
    free = frozenset(at for at, (_, signature) in enumerate(rows) if not signature.condition.anchors)
    return _Candidates(tuple(rows), by_anchor, free)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("components.toml").read_text(encoding="utf-8"))


@cache
def _certain(folders: bool) -> tuple[tuple[str, str, re.Pattern[str] | None], ...]:
    """Role, prefix, and a pattern where the prefix is one: then only its head is given."""
    rows = []
    tables = [_table()["certain"], *([_table()["certain_folders"]] if folders else [])]
    for role, prefixes in (row for table in tables for row in table.items()):
        for prefix in prefixes:
            head = re.split(r"[#*]", prefix)[0]
            rows.append((role, head, None if head == prefix else re.compile(_prefix_pattern(prefix))))
    return tuple(rows)


def _prefix_pattern(prefix: str) -> str:
    return re.escape(prefix).replace(r"\#", r"\d+").replace(r"\*", r"[^.]+")


@dataclass(frozen=True, slots=True)
class Part:
    """A prefix that some names have and that proves their role."""

    role: str
    prefix: str


def split(names: Names, folders: bool = False) -> tuple[Part, ...]:
    """The parts of a file by its certain prefixes, in the order of the names; `folders` for a diffusers pipeline."""
    parts = []
    for role, head, pattern in _certain(folders):
        if pattern is not None:
            parts += [Part(role, prefix) for prefix in islice(_prefixes(names, head, pattern), _MOST_PARTS)]
        elif names.any_under(head):
            parts.append(Part(role, head))
    return tuple(sorted(parts, key=lambda part: part.prefix))


def _prefixes(names: Names, head: str, pattern: re.Pattern[str]) -> Iterable[str]:
    """The prefixes that fit `pattern`; from each to the next in one leap."""
    index, end = names.span(head)
    while index < end:
        name = names.ordered[index]
        fits = pattern.match(name)
        if fits is not None:
            yield fits[0]
        group = fits[0] if fits else name[: name.find(".", len(head)) + 1]
        index = names.span(group)[1] if group else index + 1


def find_whole(names: Names, role: str) -> Match | None:
    """A match of the file as a whole (small kinds, upscalers), below one of the usual wrappers."""
    return best([View(names, prefix) for prefix in _table()["whole"][role]], role)


def find_denoiser(names: Names) -> Match | None:
    """The denoiser of a file: the longest prefix below which a signature holds."""
    prefixes = [prefix for prefix in _table()["denoiser"] if names.any_under(prefix)]
    return best([View(names, prefix) for prefix in prefixes], "denoiser")


def find_inside(names: Names, role: str, prefix: str) -> Match | None:
    """The VAE or text encoder below a prefix, also one level further in (`transformer.`, `model.`)."""
    views = [View(names, prefix + inner) for inner in _table()["inner"][role]]
    return best(views, role)


def component(role: str, found: Match | None, prefix: str, weights: Weights, without: Iterable[str] = ()) -> Component:
    """The component of the names below a prefix, but for those below the prefixes `without`."""
    counts = [weights.below(prefix), *(weights.below(other) for other in without)]
    tensors, parameters = (2 * whole[0] - sum(whole) for whole in zip(*counts, strict=True))
    return Component(role, found.architecture.id if found else None, prefix, tensors, parameters)
