"""The registry of algorithms: a class for each, which makes the change of one layer from the parts in the file.

A weight is a matrix here, [out, in · kernel]: its rows are those of the file, and a change is computed for a few rows
at a time, so that memory does not grow with the layer. What an algorithm cannot compute by rows it says with `step`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from math import isfinite, prod
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar, Protocol

from modelhub.catalog.match import Shape
from modelhub.errors import CorruptFileError
from modelhub.lora.algorithms.fits import Shapes, Unfit, matrix
from modelhub.text import brief

if TYPE_CHECKING:
    import torch


class Rows(Protocol):
    """A weight as a matrix [out, in · kernel], of which some rows can be had."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows `start` to `stop`, fp32 (fp64 where the weight is), in memory of their own: they may be changed."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an algorithm gets of one module.

    `parts` are fp32 tensors by their names, without the algorithm, as `fits.own` picks them ("a", "b", "w1_a"; "alpha",
    "scalar", "dora", "magnitude", "bias" are those of `extra`). `shape` is that of the layer: [out, in],
    [out, in, h, w], or [d] for norms. `settings` are words of PEFT's configuration that no tensor tells:
    `use_cayley_neumann`, `num_cayley_neumann_terms`. `name` is the module's, for messages.
    """

    parts: Mapping[str, torch.Tensor]
    shape: tuple[int, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    name: str = ""

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns of the layer's weight as a matrix."""
        return self.shape[0], prod(self.shape[1:])

    def scale(self, rank: int) -> float:
        """alpha / rank, times the scalar that some LyCORIS files have beside it; 1 where there is neither.

        An alpha of 0 is taken by its word and adds nothing, as the UIs do (trainers mean "equal to the rank" by it, but
        write that). Raises CorruptFileError for an alpha or scalar that is no number.
        """
        alpha, scalar = self.number("alpha"), self.number("scalar")
        scale = 1.0 if alpha is None or not rank else alpha / rank
        return scale if scalar is None else scale * scalar

    def number(self, part: str) -> float | None:
        """The value of a part that is one number; None where it is not there. Raises CorruptFileError for others."""
        value = self.parts.get(part)
        if value is None:
            return None
        if value.numel() != 1 or not isfinite(value.item()):
            found = value.item() if value.numel() == 1 else f"{value.numel()} values"
            raise CorruptFileError(
                f"The {part} of {brief(self.name) or 'a module'} is {found}, not one finite number.",
                "Its change cannot be computed: fetch the file again, or leave this module out.",
            )
        return float(value.item())


class Change(ABC):
    """What one module adds to the weight of its layer at strength 1, and to its bias.

    At strength m, m times that is added: also for DoRA and rotations, whose results then lie on the straight line
    between the weight and what it becomes. (LyCORIS scales the norms of DoRA and each stage of BOFT instead, and PEFT
    knows only strength 1 for rotations; at strength 1 all agree.)

    `needs_weight`: whether it depends on the weight. `weight` is that of the whole layer, for what depends on more than
    the rows asked for (as the norms of columns do).
    """

    needs_weight: bool = False
    #: Parts that it knows, besides those of `extra` that are common to all.
    known: ClassVar[frozenset[str]] = frozenset()
    #: Whether it may be followed by the norms of DoRA.
    decomposes: ClassVar[bool] = False

    def __init__(self, given: Given, weight: Rows) -> None:
        self.given, self.weight = given, weight

    @classmethod
    def step(cls, shapes: Shapes, shape: Shape) -> int:
        """Rows are asked for in whole multiples of it, from multiples of it on, or to the end; by shapes of parts."""
        return 1

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """Raises Unfit if parts of these shapes make no change of a layer of this shape."""
        made = cls.made(shapes)
        if made != matrix("the layer", shape):
            raise Unfit(f"makes {made[0]} x {made[1]}, the layer is {list(shape)}")

    @classmethod
    def made(cls, shapes: Shapes) -> tuple[int, int]:
        """Rows and columns that parts of these shapes make, for algorithms where they alone tell; raises Unfit."""
        raise NotImplementedError

    @abstractmethod
    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """Rows `start` to `stop` of what is added to the weight: [stop - start, in · kernel], fp32.

        `weight` are the same rows of the weight as it was before; None unless `needs_weight`. Neither they nor the
        result are to be changed in place: the result may be what lies in the file.
        """

    def add(self, to: torch.Tensor, start: int, stop: int, weight: torch.Tensor | None, strength: float) -> None:
        """Add rows `start` to `stop` of the change, `strength` times, to the same rows of the weight in `to`.

        What can do so without a tensor in between does; `weight` is as in `rows`, and may be `to` itself.
        """
        to.add_(self.rows(start, stop, weight), alpha=strength)

    def bias(self, before: torch.Tensor | None) -> torch.Tensor | None:
        """What is added to the bias [out], fp32; None for nothing. `before` is None where the layer has none."""
        found = self.given.parts.get("diff_b")
        return None if found is None else found.reshape(-1)


_FOUND: dict[str, type[Change]] = {}


def algorithm(name: str) -> Callable[[type[Change]], type[Change]]:
    """Register a class under the name that `catalog/adapters.toml` has for the algorithm."""

    def register(found: type[Change]) -> type[Change]:
        _FOUND[name] = found
        return found

    return register


@cache
def algorithms() -> Mapping[str, type[Change]]:
    """All algorithms by name: every module of this package is imported."""
    import modelhub.lora.algorithms as package

    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(_FOUND)
