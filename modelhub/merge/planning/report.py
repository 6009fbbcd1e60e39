"""PlanReport: what a plan does with every tensor and why, with which weights, and what is to be warned of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class WeightRow(NamedTuple):
    """The numbers that one step is applied with to some tensors.

    `step` counts from 1; `component` and `block` are as in a Spot; `tensors`: how many there are.
    """

    step: int
    method: str
    component: str
    block: str | None
    parameters: Mapping[str, float]
    tensors: int


class Because(NamedTuple):
    """Tensors with which the same was done for the same reason."""

    done: str
    reason: str
    names: list[str]


@dataclass
class PlanReport:
    """What a plan does with the tensors, by their names in the result.

    `merged` are computed, `copied` and `added` are those of one model bit by bit (or in the output's dtype), where
    `added` are not in the first. `dropped` are left out of the first model, and `extra` has those left out of the
    others, by their letter. `baked`: those that LoRAs change, which may be merged, too. `reasons` tells why of all that
    is neither. `passes`: how often every input is read.
    """

    merged: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    extra: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    weights: list[WeightRow] = field(default_factory=list)
    passes: int = 1
    baked: list[str] = field(default_factory=list)

    def bake(self, names: Collection[str]) -> None:
        """LoRAs change the tensors `names`: these are no longer as in one model."""
        self.baked, changed = list(names), set(names)
        self.copied, self.added = ([one for one in old if one not in changed] for old in (self.copied, self.added))
        self.reasons = {name: why for name, why in self.reasons.items() if name not in changed}

    def because(self) -> list[Because]:
        """The tensors that are not merged, by what is done with them and why."""
        found: dict[tuple[str, str], list[str]] = {}
        for done, name in self._others():
            found.setdefault((done, self.reasons.get(name, "")), []).append(name)
        return [Because(done, reason, names) for (done, reason), names in found.items()]

    def _others(self) -> Iterator[tuple[str, str]]:
        yield from (("copied", name) for name in self.copied)
        yield from (("added", name) for name in self.added)
        yield from (("dropped", name) for name in self.dropped)


class Weighed:
    """Gathers the rows of `PlanReport.weights` while expressions are made."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str, str, str | None, tuple[tuple[str, float], ...]], int] = {}

    def note(self, step: int, method: str, where: tuple[str, str | None], numbers: Mapping[str, float]) -> None:
        """One more tensor, of the component and block `where`."""
        key = (step, method, *where, tuple(numbers.items()))
        self._counts[key] = self._counts.get(key, 0) + 1

    def rows(self) -> list[WeightRow]:
        """All rows, step by step, in the order in which they were met."""
        rows = [WeightRow(*key[:4], dict(key[4]), count) for key, count in self._counts.items()]
        return sorted(rows, key=lambda row: row.step)
