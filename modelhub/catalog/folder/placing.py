"""Where the tensors of one component of a pipeline go in a single file: each by a rule, some joined into one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from modelhub.catalog.folder.renames import Naming, Target
from modelhub.errors import IncompatibleError
from modelhub.formats.assembled import Made, Piece
from modelhub.formats.header import Header, TensorInfo
from modelhub.text import brief, plural

_ALONE = "Convert the folders of the components one by one; they keep the names of diffusers."


class Old(NamedTuple):
    """A tensor of the folder and where it goes."""

    name: str
    info: TensorInfo
    target: Target


@dataclass
class Placed:
    """A component in its place: what each tensor of the file is `made` of, and why those that are `dropped` are.

    `turned` are matrices of the source that have to be transposed first, `layers` is how many layers were counted.
    """

    made: dict[str, Made] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    turned: list[str] = field(default_factory=list)
    layers: int = 0

    @property
    def joined(self) -> int:
        """How many tensors of the file are several of the folder."""
        return sum(len({piece.name for piece in one.pieces}) > 1 for one in self.made.values())


def placed(header: Header, folder: str, table: str, prefix: str) -> Placed:
    """The tensors of `folder` below `prefix`, by the rules of `table`.

    Raises IncompatibleError for a tensor that no rule knows or that has no place, for two in one place, and for parts
    of a tensor that are missing or do not fit together.
    """
    start = f"{folder}."
    names = [name.removeprefix(start) for name in header.tensors if name.startswith(start)]
    naming = Naming(table, names)
    found = Placed(layers=naming.layers)
    slots: dict[str, list[Old]] = {}
    for name in names:
        if reason := naming.dropped(name):
            found.dropped[start + name] = reason
            continue
        target = naming.target(name)
        if target is None:
            raise _unknown(start + name, naming, names)
        slots.setdefault(prefix + target.name, []).append(Old(start + name, header.tensors[start + name], target))
    for new, olds in slots.items():
        found.made[new] = fitted(new, olds, found.turned)
    return found


def fitted(new: str, olds: list[Old], turned: list[str]) -> Made:
    """The tensor `new` that `olds` become, its parts or the one that is changed into it.

    Adds to `turned` the name of one that has to be transposed first. Raises IncompatibleError for parts that are
    missing or do not fit together, and for two in one place.
    """
    return _joined(new, olds) if olds[0].target.of > 1 else _alone(new, olds, turned)


def _joined(new: str, olds: list[Old]) -> Made:
    """All parts of a tensor one below the other."""
    olds = sorted(olds, key=lambda old: old.target.part)
    _check_twice(new, olds)
    first = olds[0].info
    there = len(olds) == olds[0].target.of and all(old.info.shape for old in olds)
    if not there or len({(old.info.dtype, old.info.shape[1:]) for old in olds}) != 1:
        raise _no_fit(new, olds)
    rows = sum(old.info.shape[0] for old in olds)
    return Made(first.dtype, (rows, *first.shape[1:]), tuple(Piece(old.name, 0, old.info.nbytes) for old in olds))


def _alone(new: str, olds: list[Old], turned: list[str]) -> Made:
    """A tensor that goes somewhere by itself, after its change; notes it in `turned` if it is transposed first."""
    _check_twice(new, olds)
    name, info, target = olds[0]
    shape, size = info.shape, info.nbytes
    if target.change == "swap":
        if not shape or shape[0] % 2:
            raise IncompatibleError(f"{_shown(name)} of shape {list(shape)} has no two halves.", _ALONE)
        return Made(info.dtype, shape, (Piece(name, size // 2, size // 2), Piece(name, 0, size // 2)))
    if target.change == "transpose":
        turned.append(name)
        shape = shape[::-1]
    elif target.change == "conv" and len(shape) == 2:
        shape = (*shape, 1, 1)
    return Made(info.dtype, shape, (Piece(name, 0, size),))


def _check_twice(new: str, olds: list[Old]) -> None:
    seen: dict[int, str] = {}
    for old in olds:
        other = seen.setdefault(old.target.part, old.name)
        if other != old.name:
            raise IncompatibleError(f"{_shown(other)} and {_shown(old.name)} would both become {_shown(new)}.", _ALONE)


def _unknown(name: str, naming: Naming, names: Iterable[str]) -> IncompatibleError:
    """The error for a tensor without a place, and how many more there are."""
    others = sum(not naming.dropped(other) and naming.target(other) is None for other in names) - 1
    more = f" and {plural(others, 'other tensor')}" if others else ""
    reason = naming.refused(name.partition(".")[2])
    why = f"it is {reason}" if reason and not others else "no rule knows where"
    return IncompatibleError(f"{_shown(name)}{more} cannot go into a single file: {why}.", _ALONE)


def _no_fit(new: str, olds: list[Old]) -> IncompatibleError:
    there = ", ".join(f"{_shown(old.name)} ({old.info.dtype} {list(old.info.shape)})" for old in olds)
    return IncompatibleError(
        f"{_shown(new)} is {olds[0].target.of} tensors joined, and these do not make it up: {there}.",
        "Download the folder again, or convert all its files to one precision first.",
    )


def _shown(name: str) -> str:
    return brief(name, 90)
