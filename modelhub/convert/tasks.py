"""What can be done to a model file: it is converted, pruned or repaired. Each is planned in the same words, so that the
same code carries all of them out, one or many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelhub.convert import converting
from modelhub.convert.conversion import Conversion
from modelhub.convert.converting import Model, Options, open_model
from modelhub.convert.goals import result_path
from modelhub.convert.handing import why_stays
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.convert.repair.donor import Donor
from modelhub.convert.repair.repairing import Repair, repair
from modelhub.formats.pickles.file import PickleFile
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True, slots=True)
class Mending:
    """How to repair: missing and damaged tensors come from `donor`, `nan` is what becomes of numbers that are none."""

    donor: Path | None = None
    nan: Literal["report", "zero"] = "report"


#: What a user asks for: to convert, to prune, to repair.
Task = Options | Pruning | Mending

NOTHING_TO_PRUNE, NOTHING_TO_REPAIR = "Nothing to prune.", "Nothing to repair."
NOT_MENDED = "Nothing was written: none of it can be mended."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a task makes of one file, open for reading until the plan is left.

    `idle` says why nothing is to be written, "" if something is. `same`: the result is the same model, and takes over
    what the user said of the source. `repair` is what was found to be damaged.
    """

    task: Task
    conversion: Conversion
    idle: str = ""
    same: bool = True
    repair: Repair | None = None

    @property
    def salvage(self) -> bool:
        """Whether damaged tensors are taken as they are."""
        return isinstance(self.task, Options) and self.task.salvage

    def why_stays(self, path: Path, goal: Path) -> str:
        """Why the original has to stay, as a sentence; "" when nothing of it would be missed."""
        if not self.same:
            return "The result is only a part of it."
        return why_stays(self.conversion, path, goal, wished=isinstance(self.task, Pruning))


@contextmanager
def planned(path: Path, task: Task, *, sha256: str | None = None, job: Job = QUIET) -> Iterator[Plan]:
    """The plan of a task for what is at `path`. Headers are read, and to repair it, every weight.

    Raises as `converting.planned`, `prune` and `repair`.
    """
    if isinstance(task, Options):
        with converting.planned(path, task, sha256=sha256) as conversion:
            yield Plan(task, conversion)
        return
    with open_model(path, Options()) as model:
        if isinstance(task, Pruning):
            yield _pruned(model, task)
        else:
            with _donor(task.donor) as donor:
                yield _repaired(model, task, donor, job)


def _pruned(model: Model, wish: Pruning) -> Plan:
    conversion = prune(model.source, model.identity, wish, model.stats)
    conversion.findings += _findings(model)
    same = not conversion.changes and {*conversion.view.header.tensors} == {*model.source.header.tensors}
    return Plan(wish, conversion, NOTHING_TO_PRUNE if same else "", same=not wish.only and not wish.drop)


def _repaired(model: Model, wish: Mending, donor: Donor | None, job: Job) -> Plan:
    found = repair(model.source, model.identity, donor=donor, zero=wish.nan == "zero", stats=model.stats, job=job)
    found.conversion.findings += _findings(model)
    idle = "" if found.mends else NOTHING_TO_REPAIR if found.healthy else NOT_MENDED
    return Plan(wish, found.conversion, idle, repair=found)


@contextmanager
def _donor(path: Path | None) -> Iterator[Donor | None]:
    if path is None:
        yield None
        return
    with open_model(path, Options()) as found:
        yield Donor(found.source, path.stem, found.stats)


def _findings(model: Model) -> list[str]:
    """What is worth knowing of a pickle."""
    return list(model.source.findings) if isinstance(model.source, PickleFile) else []


def goal_for(path: Path, given: Path | None, task: Task) -> Path:
    """Where the result goes: `given`, a file or a folder that is there, else beside the source. Raises UsageError."""
    if isinstance(task, Options):
        return converting.goal_for(path, given, task)
    return result_path(path, given, _tail(task))


def _tail(task: Pruning | Mending) -> str:
    """The end of the name of a result that was not named: `-vae`, `.pruned`, `.repaired`."""
    if isinstance(task, Mending):
        return ".repaired"
    only = "-".join(re.sub(r"\W", "", word.lower().replace("-", "_")) for word in task.only)
    return f"-{only}" if only else ".pruned"
