"""The registry of merge methods: everything an interface shows of a method is read from its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Self

from modelhub.errors import NotFoundError

if TYPE_CHECKING:
    import torch

    Formula = Callable[..., torch.Tensor]


class Number(float):
    """The default of a method's parameter, with a help and the range of a slider (any finite number may be typed)."""

    low: float
    high: float
    help: str

    def __new__(cls, default: float, *, low: float, high: float, help: str) -> Self:
        number = super().__new__(cls, default)
        number.low, number.high, number.help = low, high, help
        return number


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a method: its default, the range of a slider, and what it does."""

    name: str
    default: float
    low: float
    high: float
    help: str


@dataclass(frozen=True)
class Method:
    """One way to merge. `inputs` tensors of one shape go in, one comes out, element by element.

    `native` methods round once in whatever dtype they are given; all others are computed in fp32.
    """

    name: str
    title: str
    inputs: int
    parameters: tuple[Parameter, ...]
    function: Formula
    native: bool = False

    @property
    def formula(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def help(self) -> str:
        """The rest of the function's docstring: what the method is for, and its source."""
        return "\n".join(line.strip() for line in (self.function.__doc__ or "").strip().splitlines()[1:]).strip()


_METHODS: dict[str, Method] = {}


def method(name: str, title: str, *, native: bool = False) -> Callable[[Formula], Formula]:
    """Register a function: its positional parameters are tensors, its keyword-only ones `Number`s."""

    def register(function: Formula) -> Formula:
        signature = inspect.signature(function).parameters.values()
        tensors = [p for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
        numbers = [(p.name, p.default) for p in signature if p.kind is p.KEYWORD_ONLY]
        parameters = tuple(Parameter(name, float(n), n.low, n.high, n.help) for name, n in numbers)
        _METHODS[name] = Method(name, title, len(tensors), parameters, function, native)
        return function

    return register


@cache
def methods() -> dict[str, Method]:
    """All methods by name, in alphabetical order; needs no torch."""
    from modelhub.merge import methods as folder

    for module in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{module.name}")
    return dict(sorted(_METHODS.items()))


def find_method(name: str) -> Method:
    """The method of a name. Raises NotFoundError with the names there are."""
    found = methods().get(name.lower().replace("_", "-").replace(" ", "-"))
    if found is None:
        raise NotFoundError(f"There is no merge method '{name}'.", f"There are: {', '.join(methods())}.")
    return found
