"""Components: tensors sorted by the prefixes of `catalog/components.toml`, and the best architecture for each part."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from modelhub.catalog.architectures import Architecture, Signature, with_role
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Component, Evidence
from modelhub.catalog.match import Names, View, show_dims

#: Evidence of one signature that is worth keeping.
_PROOFS = 6


@dataclass(frozen=True, slots=True)
class Match:
    """An architecture, the signature that proved it, and the prefix below which it did."""

    architecture: Architecture
    signature: Signature
    view: View

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What proved it; for a structure also each width that is not the released model's."""
        layout = f" ({self.signature.layout})" if self.signature.layout else ""
        word = "structure of" if self.signature.confidence == "structure" else "signature of"
        rule = f"{word} {self.architecture.id}{layout}"
        proof = self.signature.condition.proof(self.view)[:_PROOFS]
        found = [Evidence(rule, name, shape) for name, shape in proof] or [Evidence(rule)]
        return (*found, *(self._widths() if self.signature.confidence == "structure" else ()))

    def _widths(self) -> Iterable[Evidence]:
        released = [
            one
            for one in self.architecture.signatures
            if one.confidence == "header" and one.layout == self.signature.layout
        ]
        misfits = {name: (shape, dims) for one in released for name, shape, dims in one.condition.misfits(self.view)}
        for name, (shape, dims) in misfits.items():
            yield Evidence("widths differ", name, f"{list(shape)}, released models have {show_dims(dims)}")


def best(views: Sequence[View], candidates: Iterable[Architecture]) -> Match | None:
    """The first match: full signatures before structures, views in their order, then architectures in theirs."""
    wanted = tuple(candidates)
    for confidence in ("header", "structure"):
        for view in views:
            for one in wanted:
                for signature in one.signatures:
                    if signature.confidence == confidence and signature.condition.holds(view):
                        return Match(one, signature, view)
    return None


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("components.toml").read_text(encoding="utf-8"))


@cache
def _certain() -> re.Pattern[str]:
    roles = []
    for role, prefixes in _table()["certain"].items():
        words = "|".join(_prefix_pattern(prefix) for prefix in sorted(prefixes, key=len, reverse=True))
        roles.append(f"(?P<{role}>{words})")
    return re.compile("|".join(roles))


def _prefix_pattern(prefix: str) -> str:
    return re.escape(prefix).replace(r"\#", r"\d+").replace(r"\*", r"[^.]+")


@dataclass(frozen=True, slots=True)
class Part:
    """Names that start with one prefix which proves their role."""

    role: str
    prefix: str
    names: tuple[str, ...]


def split(names: Names) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The parts with a certain prefix, and the names that have none."""
    ordered, parts, rest = names.ordered, [], []
    index = 0
    while index < len(ordered):
        fits = _certain().match(ordered[index])
        if fits is None:
            rest.append(ordered[index])
            index += 1
        else:
            below = tuple(names.under(fits[0]))
            parts.append(Part(fits.lastgroup or "other", fits[0], below))
            index += len(below)
    return tuple(parts), tuple(rest)


def find_whole(names: Names, role: str) -> Match | None:
    """A match of the file as a whole (small kinds, upscalers), below one of the usual wrappers."""
    return best([View(names, prefix) for prefix in _table()["whole"][role]], with_role(role))


def find_denoiser(names: Names) -> Match | None:
    """The denoiser of a file: the longest prefix below which a signature holds."""
    prefixes = [prefix for prefix in _table()["denoiser"] if names.any_under(prefix)]
    return best([View(names, prefix) for prefix in prefixes], with_role("denoiser"))


def find_inside(names: Names, role: str, prefix: str) -> Match | None:
    """The VAE or text encoder below a prefix, also one level further in (`transformer.`, `model.`)."""
    views = [View(names, prefix + inner) for inner in _table()["inner"][role]]
    return best(views, with_role(role))


def component(
    role: str, found: Match | None, prefix: str, names: Iterable[str], weights: Mapping[str, int]
) -> Component:
    """The component made of `names`; `weights` gives the number of parameters of each tensor."""
    below = [name for name in names if name.startswith(prefix)]
    parameters = sum(weights.get(name, 0) for name in below)
    return Component(role, found.architecture.id if found else None, prefix, len(below), parameters)
