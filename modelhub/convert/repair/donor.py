"""Donors: tensors that a damaged model lacks, taken from the same place in another model of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.belonging import Belonging, Owned, belonging
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.cast import PRECISIONS, Cast
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.views import Renamed
from modelhub.text import one_line


@dataclass(frozen=True)
class Donor:
    """An opened model to take tensors from; `name` is what it is called in messages.

    `stats` are its files, and how they were before they were opened.
    """

    source: TensorSource
    name: str
    stats: Mapping[Path, FileStat] = field(default_factory=dict)

    def identity(self) -> Identity:
        """What it is, by its header."""
        return identify(self.source.header, name=self.name)


@dataclass(frozen=True)
class Grafts:
    """Where the donor has tensors of another model: its name for each of theirs, for those that fit."""

    donor: Donor
    names: Mapping[str, str]

    def source(self, dtypes: Mapping[str, str]) -> TensorSource:
        """The donor's tensors under the other model's names, in the float dtypes that these have there."""
        old = {theirs: ours for ours, theirs in self.names.items() if ours in dtypes}
        view = Renamed(self.donor.source, old.get, {})
        tensors = view.header.tensors
        cast = {
            name: dtype
            for name, dtype in dtypes.items()
            if dtype in PRECISIONS.values() and tensors[name].dtype in FLOAT_DTYPES and tensors[name].dtype != dtype
        }
        return Cast(view, cast) if cast else view


def grafts(where: Belonging, donor: Donor) -> Grafts:
    """Every place of a model that `donor` has, too. Raises IncompatibleError where no component is of one build."""
    identity = donor.identity()
    theirs = belonging(donor.source.header, identity)
    pairs = [(ours, other) for ours in where.owned if (other := _counterpart(ours, theirs))]
    if where.owned and not pairs:
        there = ", ".join(one.words for one in theirs.owned) or f"it is {identity.kind}"
        raise IncompatibleError(
            f"{one_line(donor.name)} has no component of the same build ({there}).",
            "Name a model of the same architecture.",
        )
    inside = {f"{ours.component.prefix}{name}": full for ours, other in pairs for name, full in _inside(other).items()}
    same = {} if where.owned else {name: name for name in donor.source.header.tensors}
    return Grafts(donor, {**same, **inside})


def _counterpart(ours: Owned, theirs: Belonging) -> Owned | None:
    """The donor's component of the same role and architecture; both must be known."""
    known = ours.component.architecture
    same = [one for one in theirs.of_role(ours.role) if known and one.component.architecture == known]
    return next((one for one in same if one.label == ours.label), same[0] if same else None)


def _inside(owned: Owned) -> dict[str, str]:
    prefix = owned.component.prefix
    return {name[len(prefix) :]: name for name in owned.names if name.startswith(prefix)}
