"""Chains: what is computed of a tensor is the rows of the file, and what one module after another adds to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from modelhub.lora.baking.links import Link

if TYPE_CHECKING:
    import torch

#: Rows `start` to `stop` of a tensor as it is: [stop - start, ...], fp32 or fp64, in memory of their own.
Read = Callable[[str, int, int], "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class Step(ABC):
    """What one module adds to `count` rows of a tensor from `start` on, which are those from `at` on of its layer."""

    link: Link
    strength: float
    start: int
    at: int
    count: int

    def add(self, to: torch.Tensor, low: int, high: int) -> None:
        """Add to rows `low` to `high` of the tensor, which `to` has as they were before."""
        first, last = max(low, self.start), min(high, self.start + self.count)
        shift = self.at - self.start
        if first == low and last == high:
            self._add(to, low + shift, high + shift)
        elif first < last:
            self._add(to[first - low : last - low], first + shift, last + shift)

    @abstractmethod
    def _add(self, to: torch.Tensor, start: int, stop: int) -> None:
        """Add to rows `start` to `stop` of the layer."""


@dataclass(frozen=True, slots=True)
class Weighted(Step):
    """What is added to the weight."""

    def _add(self, to: torch.Tensor, start: int, stop: int) -> None:
        self.link.add(to, start, stop, self.strength)


@dataclass(frozen=True, slots=True)
class Transposed(Step):
    """What is added to a weight that lies turned in the file."""

    def _add(self, to: torch.Tensor, start: int, stop: int) -> None:
        to.add_(self.link.columns(start, stop), alpha=self.strength)


@dataclass(frozen=True, slots=True)
class Biased(Step):
    """What is added to the bias."""

    def _add(self, to: torch.Tensor, start: int, stop: int) -> None:
        added = self.link.added_bias()
        if added is not None:
            to.add_(added.reshape(-1, 1)[start:stop], alpha=self.strength)


@dataclass(eq=False)
class Chain:
    """A tensor of this shape as it becomes, a matrix; what `read` gives as it is."""

    tensor: str
    whole: tuple[int, ...]
    read: Read
    steps: list[Step] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.whole[0] if self.whole else 1), prod(self.whole[1:])

    def rows(self, start: int, stop: int, steps: int | None = None) -> torch.Tensor:
        """Rows after all steps, or the first so many, as a matrix [stop - start, …]."""
        found = self.read(self.tensor, start, stop).reshape(stop - start, -1)
        self.add(found, start, stop, steps)
        return found

    def add(self, to: torch.Tensor, start: int, stop: int, steps: int | None = None) -> None:
        """Take these rows, which `to` has as they are at first, through the steps."""
        for step in self.steps[:steps]:
            step.add(to, start, stop)

    def now(self) -> Before:
        """The tensor as the steps so far make it."""
        return Before(self, len(self.steps))


@dataclass(frozen=True, slots=True)
class Before:
    """A tensor after the first `steps` of its chain."""

    chain: Chain
    steps: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.chain.shape

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """As they are then."""
        return self.chain.rows(start, stop, self.steps)
