"""Repair: what is damaged in a model, and a copy in which it is mended as far as it can be.

Looked for are old names, position_ids that averaging spoiled, missing and misshapen tensors, and numbers that are none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.catalog.becoming import Action
from modelhub.catalog.belonging import Belonging, Owned, belonging
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Component, Identity
from modelhub.convert.conversion import Conversion
from modelhub.convert.describing import truthful
from modelhub.convert.repair.completeness import Completeness, completeness
from modelhub.convert.repair.donor import Donor, Grafts, grafts
from modelhub.convert.repair.health import Cleaned, Health, examine, totals
from modelhub.convert.repair.position_ids import damaged_positions, right_positions
from modelhub.convert.telling import Telling
from modelhub.formats.header import Header
from modelhub.formats.leaving import kept
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.views import Combined, Renamed
from modelhub.formats.watching import watched
from modelhub.jobs import QUIET, Job
from modelhub.text import brief, few, one_line, plural

#: CLIP as the first leaked anime model names it: without `text_model.`.
_OLD = re.compile(r"(cond_stage_model\.transformer\.)((?:embeddings|encoder|final_layer_norm)\..+)")
_WITH_DONOR = "not mended: name a model that has them with --from REF"
_UNMENDED = {
    "missing": _WITH_DONOR,
    "misshapen": _WITH_DONOR,
    "not-finite": "not mended: name the original with --from REF, or set them to 0 with --nan zero",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of damage: a `code` for scripts, a sentence, the tensors, and how it was mended; empty if it was not."""

    code: str
    sentence: str
    names: tuple[str, ...]
    mended: str = ""

    @property
    def outcome(self) -> str:
        """What became of it, or what would mend it."""
        return f"mended: {self.mended}" if self.mended else _UNMENDED.get(self.code, "cannot be mended")

    def as_dict(self) -> dict[str, Any]:
        """As plain values, with the first names."""
        return {
            "code": self.code,
            "message": self.sentence,
            "tensors": len(self.names),
            "names": list(self.names[:100]),
            "mended": self.mended or None,
        }


@dataclass
class Repair:
    """What was found, and the conversion that mends it; `notes` are no damage but worth knowing."""

    conversion: Conversion
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing was found to be damaged."""
        return not self.problems

    @property
    def mends(self) -> bool:
        """Whether there is anything that the copy does better."""
        return any(problem.mended for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """What was found as plain values."""
        return {
            "healthy": self.healthy,
            "problems": [problem.as_dict() for problem in self.problems],
            "notes": self.notes,
        }


def repair(
    source: TensorSource,
    identity: Identity,
    *,
    donor: Donor | None = None,
    zero: bool = False,
    stats: Mapping[Path, FileStat] | None = None,
    job: Job = QUIET,
) -> Repair:
    """Look for damage and plan its repair; reads every weight once.

    `donor` is where missing and damaged tensors come from; `zero` puts 0 in place of numbers that are none where no
    donor has the tensor. `stats` are the files of `source`, and how they were before they were opened. Raises
    IncompatibleError for a donor of another build, and what reading raises.
    """
    files = {**(stats or {}), **(donor.stats if donor else {})}
    return _Mender(source, identity, donor, zero).repair(files, job)


class _Mender:
    """Looks for one kind of damage after the other; each step leaves a view in which it is mended."""

    def __init__(self, source: TensorSource, identity: Identity, donor: Donor | None, zero: bool) -> None:
        self.source, self.view, self.zero = source, source, zero
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.telling = Telling(source.header)
        self._rename(identity)
        self.where: Belonging = belonging(self.view.header, self.identity)
        self.grafts: Grafts | None = grafts(self.where, donor) if donor else None

    def repair(self, stats: Mapping[Path, FileStat], job: Job) -> Repair:
        self._positions()
        self._structure()
        self._numbers(watched(job, stats))
        changes = self.telling.changes
        rest = [name for name in self.view.header.tensors if self.telling.action(name) is None]
        self.telling.tell("keep", "everything else", "", rest)
        made = Conversion(self.view, stats, self.telling.parts(self.view.header))
        if changes:
            metadata, made.warnings = truthful(kept(self.source.header.metadata), self.view.header.tensors)
            done = {"modelhub.repaired": json.dumps({p.code: len(p.names) for p in self.problems if p.mended})}
            made.view = Renamed(self.view, str, {"format": "pt", **metadata, **done})
        return Repair(made, self.problems, self.notes)

    def _rename(self, identity: Identity) -> None:
        """Old names become those of today."""
        names = self.source.header.tensors
        new = {name: f"{fits[1]}text_model.{fits[2]}" for name in names if (fits := _OLD.fullmatch(name))}
        new = {old: name for old, name in new.items() if name not in names}
        self.identity = identity
        if new:
            self.view = Renamed(self.source, lambda name: new.get(name, name))
            self.telling.follow(self.view)
            self.identity = identify(self.view.header, form=identity.format)
            sentence = f"{plural(len(new), 'tensor')} of the text encoder have names that programs no longer know"
            self._found("old-names", sentence, new.values(), "renamed", "text encoder")

    def _positions(self) -> None:
        for one in (damaged := list(damaged_positions(self.view))):
            changes = "; pictures change by it" if one.wrong else ""
            sentence = f"{brief(one.name, 80)}: {one.words}"
            mended = f"0 to {one.length - 1} as I64{changes}"
            self._found("position-ids", sentence, [one.name], mended, "position_ids")
        if damaged:
            self.view = Combined([self.view, right_positions(damaged)])

    def _structure(self) -> None:
        """Tensors that are missing, or have a shape that they cannot have."""
        header = self.view.header
        for found in (completeness(one, header) for one in self.where.owned or self._unknown()):
            if found.note:
                self.notes.append(f"{found.owned.words}: {found.note}")
            self._fill(found, header)
        roles = {one.role for one in self.where.owned}
        if self.identity.kind == "checkpoint" and "vae" not in roles:
            self.notes.append("There is no VAE in this checkpoint; programs need one beside it.")

    def _unknown(self) -> list[Owned]:
        """A file that is nothing known may be a network that lacks what it is known by."""
        if self.identity.kind != "unknown":
            return []
        return [Owned("file", Component("other", None, "", len(self.where.extras), 0), "", self.where.extras)]

    def _fill(self, found: Completeness, header: Header) -> None:
        what = found.owned.words
        have = self._donated(found.missing, lambda name, shape: found.missing[name].fits(shape))
        self._take(dict.fromkeys(have, _usual(found, header)), "add", f"missing in {what}")
        self._told("missing", f"{what} lacks", found.missing, have)
        wrong = found.misshapen
        have = self._donated(wrong, lambda name, shape: wrong[name][1].fits(shape))
        self._take({name: header.tensors[name].dtype for name in have}, "change", f"misshapen in {what}")
        self._told("misshapen", f"{what} has, of another shape than its network takes,", wrong, have)

    def _numbers(self, job: Job) -> None:
        """NaN and infinite weights; those of a noise schedule may well be infinite."""
        aside = {name for which in ("schedule", "marker", "training") for name in self.where.group(which)}
        names = [name for name in self.view.header.tensors if name not in aside]
        found = examine(self.view, names, job)
        damaged = {name: health for name, health in found.items() if health.damaged}
        self._remark(found)
        have = self._donated(damaged, lambda name, shape: self.view.info(name).shape == shape)
        sound = examine(self._graft(have), have, job) if have else {}
        have = [name for name in have if name not in sound or not sound[name].damaged]
        rest = [name for name in damaged if name not in have]
        self._not_finite({name: damaged[name] for name in have}, self._from)
        self._take({name: self.view.info(name).dtype for name in have}, "change", "damaged numbers")
        self._not_finite({name: damaged[name] for name in rest}, "set to 0" if self.zero else "")
        if rest and self.zero:
            self.telling.tell("change", "damaged numbers", "set to 0", rest)
            self.view = Cleaned(self.view, rest)

    def _not_finite(self, damaged: dict[str, Health], mended: str) -> None:
        if damaged:
            all_of = totals(damaged)
            counts = ((all_of.nan, "NaN"), (all_of.positive, "+infinite"), (all_of.negative, "-infinite"))
            said = ", ".join(f"{count:,} {word}" for count, word in counts if count)
            sentence = f"{said} in {plural(len(damaged), 'tensor')}: {few(damaged, 80)}"
            self.problems.append(Problem("not-finite", sentence, tuple(damaged), mended))

    def _remark(self, found: dict[str, Health]) -> None:
        """What is no damage, and looks like it."""
        edge = {name: health for name, health in found.items() if health.edge and self.view.info(name).dtype == "F16"}
        if edge:
            count = plural(totals(edge).edge, "number")
            self.notes.append(f"{count} at the largest that fp16 holds, as after clipping: {few(edge, 80)}")
        owned = {name for one in self.where.owned for name in one.names}
        dead = [n for n, health in found.items() if health.zero and n in owned and len(self.view.info(n).shape) > 1]
        if dead:
            self.notes.append(f"{plural(len(dead), 'weight')} all 0, as of a layer that does nothing: {few(dead, 80)}")

    def _donated(self, names: Iterable[str], fits: Callable[[str, tuple[int, ...]], bool]) -> list[str]:
        """Those of `names` that the donor has in a shape that fits."""
        if self.grafts is None:
            return []
        theirs, tensors = self.grafts.names, self.grafts.donor.source.header.tensors
        return [name for name in names if name in theirs and fits(name, tensors[theirs[name]].shape)]

    def _graft(self, names: Iterable[str]) -> TensorSource:
        assert self.grafts is not None
        return self.grafts.source({name: self.view.info(name).dtype for name in names})

    @property
    def _from(self) -> str:
        return f"taken from {one_line(self.grafts.donor.name)}" if self.grafts else ""

    def _take(self, dtypes: dict[str, str], action: Action, what: str) -> None:
        """Put the donor's tensors into the view."""
        if dtypes and self.grafts is not None:
            self.view = Combined([self.view, self.grafts.source(dtypes)])
            self.telling.tell(action, what, self._from, dtypes)

    def _told(self, code: str, sentence: str, names: Iterable[str], have: list[str]) -> None:
        """A problem for what the donor has, and one for what it has not."""
        for some, mended in ((have, self._from), ([name for name in names if name not in have], "")):
            if some:
                said = f"{sentence} {plural(len(some), 'tensor')}: {few(some, 80)}"
                self.problems.append(Problem(code, said, tuple(some), mended))

    def _found(self, code: str, said: str, names: Iterable[str], mended: str, what: str) -> None:
        names = tuple(names)
        self.problems.append(Problem(code, said, names, mended))
        self.telling.tell("change", what, mended, names)


def _usual(found: Completeness, header: Header) -> str:
    """The dtype that most tensors of a component have."""
    dtypes = [header.tensors[name].dtype for name in found.owned.names]
    return max(sorted(set(dtypes)), key=dtypes.count, default="F16")
