"""The registry of merge methods: everything an interface shows of a method is read from its function.

A method is a small pure function of tensors. Its signature says the rest: positional parameters are models (`*models`:
as many as there are), keyword-only ones with a `number`, `whole`, `choice`, `flag` or `per_model` are what the user
may set, and keyword-only ones of these names are given by the engine when the function has them:

    stats    what the method's `measure` found in this tensor before (a first pass over its windows)
    survey   what the method's `survey` found in all tensors before (a first pass over the whole model)
    chance   random numbers for this window, the same whatever the windows are (`Chance`)
    at       where this window lies in its tensor (`Stretch`)
    out      a tensor to put the result into (methods that are `native`)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from modelhub.errors import NotFoundError
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

    Formula = Callable[..., torch.Tensor]

#: What a parameter may be set to.
Value = float | int | str | bool | tuple[float, ...]
#: How much of a tensor a method must see at once: any stretch of elements (flat), whole rows of the first dimension
#: (in the tensor's own further dimensions), or the tensor.
Scope = Literal["element", "rows", "tensor"]
_GIVEN = ("stats", "survey", "chance", "at", "out")


class Windows(Protocol):
    """One tensor of every input, window by window, in the shape of the method's scope and in fp32 (or fp64).

    May be gone through several times; the windows are the same each time, and each is gone when the next one comes.
    `shape` is that of the whole tensors.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]: ...

    def some(self, most: int) -> Windows:
        """At most so many of the windows, spread evenly; itself, if there are no more."""


class Stretch(NamedTuple):
    """Where a window lies: `start` is its first element in the flattened tensor, whose whole shape is `shape`."""

    start: int
    shape: tuple[int, ...]


class Chance(Protocol):
    """Random numbers for the elements of one window, that depend on the seed, the tensor and the element only."""

    def uniform(self, stream: int = 0) -> torch.Tensor:
        """Numbers in [0, 1), fp32, in the window's shape; other numbers for each `stream`."""


#: A first pass over one tensor, and one over all of them by name; both get the parameters that they name.
Measure = Callable[..., Any]
Survey = Callable[..., Any]
#: Given the parameters by name, the number of the input that the result is, bit by bit; None if it must be computed.
Pick = Callable[[Mapping[str, Any]], int | None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a method: its default, what it does, and the range of a slider (any finite number may be typed).

    Only a `number` may differ from block to block. A `list` has a number for every model.
    """

    name: str
    kind: Literal["number", "whole", "choice", "flag", "list"]
    default: Value
    help: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()


def number(default: float, *, low: float, high: float, help: str) -> Any:
    """A number, which may have another value for each block, component or tensor."""
    return Parameter("", "number", float(default), help, low, high)


def whole(default: int, *, low: int, high: int, help: str) -> Any:
    """A whole number, one for all tensors."""
    return Parameter("", "whole", default, help, low, high)


def choice(default: str, choices: tuple[str, ...], *, help: str) -> Any:
    """One of several words."""
    return Parameter("", "choice", default, help, choices=choices)


def flag(*, help: str) -> Any:
    """Something that is off unless it is asked for."""
    return Parameter("", "flag", False, help)


def per_model(*, help: str) -> Any:
    """A number for each of the method's `*models`; none at all means 1 for each."""
    return Parameter("", "list", (), help)


@dataclass(frozen=True)
class Method:
    """One way to merge: some tensors of one shape go in, one comes out.

    `names` are the fixed inputs ("a", "b", "c", or "base"), and `many` tells whether any number follows, of which
    there must be `least` in all. `native` functions round once in whatever float dtype they are given; all others are
    computed in fp32. `scope` says how much of a tensor the function must see at once. `adds`: its inputs are weighed
    against each other, so that a tensor of only some of them goes into the result; what is made of differences leaves
    such a tensor as the first input has it, or out. `rounds` says how often `measure` goes through its windows.
    `delta`: the result is a difference, no weights; where an input lacks a tensor there is none.
    """

    name: str
    title: str
    names: tuple[str, ...]
    many: bool
    least: int
    parameters: tuple[Parameter, ...]
    function: Formula
    scope: Scope = "element"
    native: bool = False
    measure: Measure | None = None
    survey: Survey | None = None
    pick: Pick | None = None
    wants: frozenset[str] = frozenset()
    adds: bool = False
    rounds: int = 1
    delta: bool = False

    @property
    def formula(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def help(self) -> str:
        """The rest of the function's docstring: what the method is for, and its source."""
        return "\n".join(line.strip() for line in (self.function.__doc__ or "").strip().splitlines()[1:]).strip()

    @property
    def passes(self) -> int:
        """How often every input is read, at most: more than once where something is measured first."""
        return 1 + (self.rounds if self.measure else 0) + (1 if self.survey else 0)

    @property
    def models(self) -> str:
        """The models that it takes, as words of the command line: `A B`, `BASE A…`."""
        fixed = [name.upper() for name in self.names]
        return " ".join([*fixed, "A…" if "base" in self.names or not fixed else "MORE…"] if self.many else fixed)

    def accepts(self, count: int) -> bool:
        """Whether it can be applied to that many models."""
        return count >= self.least if self.many else count == self.least

    def parameter(self, name: str) -> Parameter | None:
        """Its parameter of that name, if it has one."""
        return next((p for p in self.parameters if p.name == name), None)


_METHODS: dict[str, Method] = {}


def method(
    name: str,
    title: str,
    *,
    scope: Scope = "element",
    native: bool = False,
    least: int | None = None,
    measure: Measure | None = None,
    survey: Survey | None = None,
    pick: Pick | None = None,
    adds: bool | None = None,
    rounds: int = 1,
    delta: bool = False,
) -> Callable[[Formula], Formula]:
    """Register a function as a method; `least` models for one of `*models` (default: one more than the fixed ones).

    `adds` is True by default unless an input is called `base` or `c`: those are what differences are taken from.
    """

    def register(function: Formula) -> Formula:
        signature = inspect.signature(function).parameters.values()
        names = tuple(p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD)
        many = any(p.kind is p.VAR_POSITIONAL for p in signature)
        settings = [p for p in signature if p.kind is p.KEYWORD_ONLY]
        parameters = tuple(replace(p.default, name=p.name) for p in settings if isinstance(p.default, Parameter))
        wants = frozenset(p.name for p in settings if p.name in _GIVEN)
        count = least or len(names) + many
        weighs = not {"base", "c"} & set(names) if adds is None else adds
        _METHODS[name] = Method(
            name, title, names, many, count, parameters, function,
            scope, native, measure, survey, pick, wants, weighs, rounds, delta,
        )  # fmt: skip
        return function

    return register


def named_only(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that `function` has keyword-only parameters for."""
    wanted = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    return {name: value for name, value in values.items() if name in wanted}


@cache
def methods() -> dict[str, Method]:
    """All methods by name, in alphabetical order; needs no torch."""
    from modelhub.merge import methods as folder

    for module in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{module.name}")
    return dict(sorted(_METHODS.items()))


def find_method(name: str) -> Method:
    """The method of a name. Raises NotFoundError with the names that are near."""
    plain = name.lower().replace("_", "-").replace(" ", "-")
    found = methods().get(plain)
    if found is None:
        near = get_close_matches(plain[:100], methods(), 2)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        raise NotFoundError(f"There is no merge method '{brief(name)}'.", f"{meant}`modelhub methods` lists them.")
    return found


#: Only for annotations of a survey: every tensor by name.
Tensors = Iterable[tuple[str, Windows]]
