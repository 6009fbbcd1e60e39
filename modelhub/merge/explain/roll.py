"""Which tensors of a merge and its candidate parents are compared, and which are left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelhub.catalog.canonical import Place
from modelhub.catalog.weighing.spots import spot
from modelhub.catalog.weighing.weights import Spot
from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.merge.inputs.model import Model

#: Elements of a tensor that may be held whole, to take a part of its channels.
_SMALL = 1 << 22


@dataclass(frozen=True, slots=True)
class Shared:
    """One weight of the merge, and the parents (by number) that have it under the names `theirs`.

    `channels`: how many of the second dimension are common, where an inpainting model has more than another.
    """

    spot: Spot
    parents: tuple[int, ...]
    theirs: tuple[str, ...]
    channels: int | None = None


@dataclass
class Roll:
    """All tensors of the merge: `shared` weights, those `beside` that are compared for equality only (its name, and
    that of each parent or None), and sentences' worth of those left out: reason to names.
    """

    shared: list[Shared] = field(default_factory=list)
    beside: list[tuple[str, tuple[str | None, ...]]] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, why: str, name: str) -> None:
        """Leave a tensor out."""
        self.skipped.setdefault(why, []).append(name)


def call_roll(merge: Model, parents: Sequence[Model]) -> Roll:
    """Sort the tensors of `merge`. Raises IncompatibleError for a parent that shares nothing with it."""
    roll = Roll()
    weights: dict[Place, Spot] = {}
    for name, info in merge.source.header.tensors.items():
        place = merge.place(name)
        component = place[0]
        if merge.role(place) == "ema":
            roll.skip("EMA weights", name)
        elif info.dtype not in FLOAT_DTYPES or (not component and merge.identity.components) or not info.numel:
            roll.beside.append((name, tuple(parent.places.get(place) for parent in parents)))
        else:
            weights[place] = spot(merge.identity.architecture, component, place[1], name)
    present = _present(merge, parents, weights)
    for place, where in weights.items():
        _enroll(roll, merge, parents, place, where, present.get(where.component, ()))
    return roll


def _present(merge: Model, parents: Sequence[Model], weights: dict[Place, Spot]) -> dict[str, tuple[int, ...]]:
    """For each component the parents that have at least half of its weights."""
    sizes = Counter(one.component for one in weights.values())
    found: dict[str, tuple[int, ...]] = {}
    for component, size in sizes.items():
        places = [place for place, one in weights.items() if one.component == component]
        has = [sum(place in parent.places for place in places) for parent in parents]
        found[component] = tuple(i for i, count in enumerate(has) if 2 * count >= size)
    for number, parent in enumerate(parents):
        if not any(number in those for those in found.values()):
            raise IncompatibleError(
                f"{parent.parent.name} has no component that {merge.parent.name} has.",
                "Compare them with `modelhub identify`.",
            )
    return found


def _enroll(
    roll: Roll, merge: Model, parents: Sequence[Model], place: Place, where: Spot, present: tuple[int, ...]
) -> None:
    names = [parents[i].places.get(place) for i in present]
    lacking = [parents[i].parent.name for i, name in zip(present, names, strict=True) if name is None]
    theirs = tuple(name for name in names if name is not None)
    if not present:
        roll.skip("in none of the parents", where.full)
    elif lacking:
        roll.skip(f"not in {', '.join(lacking)}", where.full)
    else:
        infos = [parents[i].source.info(name) for i, name in zip(present, theirs, strict=True)]
        own = merge.source.info(where.full)
        shapes = {own.shape, *(info.shape for info in infos)}
        channels = _common_channels(shapes)
        if {info.dtype for info in infos} - FLOAT_DTYPES:
            roll.skip("no floats in one of the models", where.full)
        elif len(shapes) > 1 and channels is None:
            roll.skip("of another shape in one of the models", where.full)
        else:
            roll.shared.append(Shared(where, present, theirs, channels))


def _common_channels(shapes: set[tuple[int, ...]]) -> int | None:
    """The input channels that convolutions of these shapes have in common; None if they differ in more, or in none."""
    alike = len({(shape[0], *shape[2:]) for shape in shapes if len(shape) == 4}) == 1
    small = all(len(shape) == 4 and shape[0] * shape[1] * shape[2] * shape[3] <= _SMALL for shape in shapes)
    return min(shape[1] for shape in shapes) if len(shapes) > 1 and alike and small else None
