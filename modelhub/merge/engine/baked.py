"""Baked: a tensor with what LoRAs add to it, computed in the precision of the merge, before the one rounding."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Protocol

from modelhub.merge.engine.expression import WINDOW, Leaf, Node, forget, precise

if TYPE_CHECKING:
    import torch


class Changes(Protocol):
    """What LoRAs make of a model, tensor by tensor, from rows that it reads."""

    @property
    def changed(self) -> Set[str]:
        """The tensors that are changed."""

    @property
    def origin(self) -> Hashable:
        """What they are made of: where two origins are equal, the changes of equal tensors are equal."""

    def rows(self, tensor: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a changed tensor as a matrix [stop - start, …], in the dtype that they are read in."""

    def add(self, tensor: str, start: int, rows: torch.Tensor) -> None:
        """Change rows of a tensor from `start` on in place: `rows` has them as they were, [count, …]."""

    def step(self, tensor: str) -> int:
        """Rows that are computed together."""

    def forget(self, tensor: str) -> None:
        """Let go of what was read for a tensor."""

    def warnings(self) -> list[str]:
        """What is to be said of them, as sentences."""


class _Current(threading.local):
    """The tensor that the calling thread computes."""

    node: Baked | None = None


_CURRENT = _Current()


class Rows:
    """Reads rows of a model that is an expression for each tensor."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes

    def __call__(self, tensor: str, start: int, stop: int) -> torch.Tensor:
        """Rows `start` to `stop` of a tensor as it is before: [stop - start, …], fp32 or fp64, in memory of its own."""
        node = self._nodes[tensor]
        if _CURRENT.node is not None:
            _CURRENT.node.read.add(node)
        row = prod(node.shape[1:])
        return node.window(start * row, (stop - start) * row, precise(node)).view(stop - start, *node.shape[1:])


@dataclass(eq=False)
class Baked(Node):
    """The tensor `name`, which `changes` make of `before`. `read`: whatever else it was made of, so far."""

    before: Node
    name: str
    changes: Changes
    read: set[Node] = field(default_factory=set)

    @property
    def shape(self) -> tuple[int, ...]:
        """As before."""
        return self.before.shape

    @property
    def dtypes(self) -> frozenset[str]:
        """As before."""
        return self.before.dtypes

    @property
    def children(self) -> tuple[Node, ...]:
        """What it was before."""
        return (self.before,)

    @property
    def origin(self) -> Hashable:
        """What it was before, and what the changes are made of."""
        return (self.before.origin, self.name, self.changes.origin)

    @cached_property
    def grid(self) -> int:
        """Elements of the rows that are computed together."""
        step = self.changes.step(self.name)
        return max(1, WINDOW // self._row // step) * step * self._row

    @cached_property
    def _row(self) -> int:
        return max(1, prod(self.shape[1:]))

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Compute the rows of the grid that have these elements."""
        import torch

        cell, stop = self.grid, start + count
        if start % cell == 0 and 0 < count == min(cell, self.numel - start):
            return self._cell(start, dtype)
        out = torch.empty(count, dtype=dtype)
        for low in range(start // cell * cell, stop, cell):
            part = self._cell(low, dtype)
            first, last = max(low, start), min(low + len(part), stop)
            out[first - start : last - start] = part[first - low : last - low]
        return out

    def lent(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """The same in the buffer that a tensor of a file is read into, where the rows are those of the grid."""
        fits = start % self.grid == 0 and 0 < count == min(self.grid, self.numel - start)
        if not (fits and isinstance(self.before, Leaf) and dtype == precise(self.before)):
            return self.window(start, count, dtype)
        rows = self.before.lent(start, count, dtype)
        outer, _CURRENT.node = _CURRENT.node, self
        try:
            self.changes.add(self.name, start // self._row, rows.view(-1, self._row))
        finally:
            _CURRENT.node = outer
        return rows

    def _cell(self, low: int, dtype: torch.dtype) -> torch.Tensor:
        """The rows of the grid that begin at element `low`, flat."""
        high = min(low + self.grid, self.numel)
        outer, _CURRENT.node = _CURRENT.node, self
        try:
            return self.changes.rows(self.name, low // self._row, high // self._row).reshape(-1).to(dtype)
        finally:
            _CURRENT.node = outer

    def forget(self) -> None:
        """Let go of what was read of the LoRAs, and of whole tensors that rows were read of."""
        self.changes.forget(self.name)
        read, self.read = self.read, set()
        for node in read:
            forget(node)
