"""The one matcher: conditions on tensor names and shapes, tested below a prefix.

Patterns are names; `#` stands for a number in them, a trailing `*` for any ending, a leading one for any
beginning, a leading `/` for a name that is not below the prefix. In shapes None stands for any size.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

Shape = tuple[int, ...]
Dims = tuple[int | None, ...]
#: The shape of a tensor, and those that it should have one of.
Misfit = tuple[Shape, tuple[Dims, ...]]


#: Longer numbers are not block indices, and Python refuses to read very long ones.
_NUMBER = r"\d{1,6}"


class Names:
    """Tensor names and their shapes, with fast answers to "which names look like this?"."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes

    @cached_property
    def ordered(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.shapes)

    @cached_property
    def lines(self) -> str:
        """All names, sorted, each with a line break behind it: for searches that run over all of them at once."""
        return "\n".join((*self.ordered, ""))

    def span(self, prefix: str) -> tuple[int, int]:
        """Where the names that start with `prefix` lie in `ordered`: first, and behind the last."""
        begin = bisect_left(self.ordered, prefix)
        # Names below a prefix lie together; the largest character ends the range.
        return begin, bisect_left(self.ordered, prefix + "\U0010ffff", begin)

    def under(self, prefix: str) -> list[str]:
        """All names that start with `prefix`, sorted."""
        begin, end = self.span(prefix)
        return self.ordered[begin:end]

    def any_ends(self, ending: str) -> bool:
        """Whether a name ends with `ending`."""
        return ending + "\n" in self.lines

    def any_under(self, prefix: str) -> bool:
        """Whether a name starts with `prefix`."""
        begin = bisect_left(self.ordered, prefix)
        return begin < len(self.ordered) and self.ordered[begin].startswith(prefix)

    def like(self, prefix: str, pattern: str) -> list[str]:
        """Names below `prefix` that are `pattern`, where `#` is any number."""
        fits, begin = _regex(pattern).fullmatch, len(prefix)
        head, *_, tail = pattern.split("#")
        return [name for name in self.under(prefix + head) if name.endswith(tail) and fits(name, begin)]


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(_NUMBER.join(re.escape(part) for part in pattern.split("#")))


@dataclass(frozen=True, slots=True)
class View:
    """The names below one prefix."""

    names: Names
    prefix: str = ""

    def find(self, pattern: str) -> list[str]:
        """Full names that fit `pattern`, sorted when there can be several."""
        prefix = self.prefix
        if pattern.startswith("/"):
            prefix, pattern = "", pattern[1:]
        if pattern.endswith("*"):
            return self.names.under(prefix + pattern[:-1])
        if pattern.startswith("*"):
            return [name for name in self.names.under(prefix) if name.endswith(pattern[1:])]
        if "#" in pattern:
            return self.names.like(prefix, pattern)
        return [prefix + pattern] if prefix + pattern in self.names.shapes else []

    def has(self, pattern: str) -> bool:
        """Whether any name fits `pattern`."""
        return bool(self.find(pattern))

    def shapes(self, pattern: str) -> list[Shape]:
        """Shapes of the tensors that fit `pattern`."""
        return [self.names.shapes[name] for name in self.find(pattern)]


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold: every name of `all`, one of `any`, none of `none`, each shape, each rank.

    `max_keys` is the most names that the file may have; `only` allows none but those of `all`. A shape or rank given
    for a pattern holds if one tensor fits.
    """

    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    shape: tuple[tuple[str, Dims], ...] = ()
    rank: tuple[tuple[str, int], ...] = ()
    max_keys: int | None = None
    only: bool = False

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of which one has to exist if this is to hold; none if it names no tensor in full."""
        named = (*((name,) for name in (*self.all, *dict((*self.shape, *self.rank)))), self.any)
        return next((names for names in named if names and not any(map(_is_pattern, names))), ())

    def holds(self, view: View) -> bool:
        """Whether all of it is true below the view's prefix."""
        return (
            self._counts(view)
            and all(map(view.has, self.all))
            and (not self.any or any(map(view.has, self.any)))
            and all(_fits(view, name, dims) for name, dims in self.shape)
            and all(any(len(shape) == rank for shape in view.shapes(name)) for name, rank in self.rank)
            and not any(map(view.has, self.none))
        )

    def _counts(self, view: View) -> bool:
        size = len(view.names.shapes)
        return (self.max_keys is None or size <= self.max_keys) and (not self.only or size == len(self.all))

    def proof(self, view: View) -> tuple[tuple[str, str], ...]:
        """The tensors this looked at and what it found, in the order of the condition; empty if it names none."""
        wanted = (*(name for name, _ in self.shape), *(name for name, _ in self.rank), *self.all, *self.any)
        found = {name: str(list(view.names.shapes[name])) for pattern in wanted for name in view.find(pattern)[:1]}
        return tuple(found.items())

    def misfits(self, view: View) -> tuple[tuple[str, Shape, Dims], ...]:
        """The tensors that exist and have another shape than this condition wants: (name, shape, wanted)."""
        return tuple(
            (name, view.names.shapes[name], dims)
            for pattern, dims in self.shape
            for name in view.find(pattern)[:1]
            if not same_shape(view.names.shapes[name], dims)
        )


def _is_pattern(name: str) -> bool:
    return "#" in name or name.startswith(("*", "/")) or name.endswith("*")


def _fits(view: View, pattern: str, dims: Dims) -> bool:
    return any(same_shape(shape, dims) for shape in view.shapes(pattern))


def same_shape(shape: Shape, dims: Dims) -> bool:
    """Whether `shape` is `dims`, where None is any size."""
    return len(shape) == len(dims) and all(want is None or size == want for size, want in zip(shape, dims, strict=True))


def misfits(view: View, released: Mapping[str, tuple[Dims, ...]]) -> dict[str, Misfit]:
    """The tensors of `released` that exist with none of the sizes given for them.

    A matrix of one column has no size: bitsandbytes packs weights so, and theirs is lost.
    """
    there = ((name, view.names.shapes.get(view.prefix + name), choices) for name, choices in released.items())
    return {
        view.prefix + name: (shape, choices)
        for name, shape, choices in there
        if shape is not None
        and (len(shape), shape[-1:]) != (2, (1,))
        and not any(same_shape(shape, dims) for dims in choices)
    }


def show_dims(dims: Iterable[int | None]) -> str:
    """A wanted shape as people read it: [320, _, 3, 3]."""
    return "[" + ", ".join("_" if size is None else str(size) for size in dims) + "]"
