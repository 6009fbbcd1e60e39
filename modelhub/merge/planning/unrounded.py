"""Arithmetic in the files' own precision, each operation rounded: what AUTOMATIC1111's merger makes of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from modelhub.formats.source import torch_dtype
from modelhub.merge.engine.expression import Node

if TYPE_CHECKING:
    import torch


@dataclass(eq=False)
class Unrounded(Node):
    """(1 - alpha) * A + alpha * B, or A + alpha * (B - C), each operation rounded in the dtype that torch gives it.

    Two inputs are for the first, three for the second; the last of three may be None for zeros.
    """

    a: Node
    b: Node
    alpha: float
    c: Node | None = None
    differs: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """That of A."""
        return self.a.shape

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below."""
        return frozenset().union(*(node.dtypes for node in self.children))

    @property
    def children(self) -> tuple[Node, ...]:
        """A, B and C."""
        return tuple(node for node in (self.a, self.b, self.c) if node is not None)

    @property
    def dtype(self) -> str:
        """What the result is stored as."""
        return promoted(self.dtypes)

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Compute in the inputs' own dtypes, and change the result's to `dtype`, which holds it exactly."""
        a, b = (_native(node, start, count) for node in (self.a, self.b))
        if not self.differs:
            return (((1 - self.alpha) * a) + (self.alpha * b)).to(dtype)
        difference = b - _native(self.c, start, count) if self.c is not None else b.new_zeros(b.shape)
        return (a + (self.alpha * difference)).to(dtype)


def _native(node: Node, start: int, count: int) -> torch.Tensor:
    return node.window(start, count, torch_dtype(promoted(node.dtypes)))


def promoted(dtypes: frozenset[str]) -> str:
    """What torch makes of floats of several dtypes."""
    if len(dtypes) == 1:
        return next(iter(dtypes))
    return "F64" if "F64" in dtypes else "F32"
