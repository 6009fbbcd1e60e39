"""Run a plan: stream it to a file, and report what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import UsageError, file_error
from modelhub.formats.watching import watched
from modelhub.formats.writer import BLOCK, Written, check_target, write
from modelhub.jobs import QUIET, Job
from modelhub.merge.engine.starting import start_torch
from modelhub.merge.planning.unwritten import Plan
from modelhub.text import plural


@dataclass(frozen=True, slots=True)
class MergeReport:
    """A merge that was written: counts of tensors, warnings as sentences, seconds of wall time.

    LoRAs change `baked` of them, of which some may be merged, too.
    """

    written: Written
    merged: int
    copied: int
    dropped: int
    warnings: tuple[str, ...]
    seconds: float
    baked: int = 0


def merge(
    plan: Plan,
    path: str | Path,
    *,
    force: bool = False,
    hashes: bool = False,
    workers: int = 2,
    block: int = BLOCK,
    job: Job = QUIET,
) -> MergeReport:
    """Write the merge to `path`; `hashes`: also make its SHA256, which takes longer than the merge.

    Memory does not grow with the models; the bytes do not depend on `workers` or `block`. Raises as
    `modelhub.formats.writer.write`; UsageError when `path` is one of the merged files, CorruptFileError when one of
    these changes meanwhile.
    """
    started = time.monotonic()
    goal = Path(path)
    check_goal(plan, goal, force=force)
    if plan.computes:
        start_torch()
    guarded = watched(job, plan.stats)
    plan.heed(guarded)
    try:
        written = write(plan, goal, force=force, hashes=hashes, workers=workers, block=block, job=guarded)
    finally:
        plan.heed(QUIET)
    warnings = (*plan.report.warnings, *_finding_warnings(plan))
    for warning in warnings:
        job.say(warning, "warning")
    copied = len(plan.report.copied) + len(plan.report.added)
    counts = len(plan.report.merged), copied, len(plan.report.dropped)
    return MergeReport(written, *counts, warnings, round(time.monotonic() - started, 3), len(plan.report.baked))


def check_goal(plan: Plan, goal: Path, *, force: bool = False) -> None:
    """Raise what writing `plan` to `goal` would end in, as far as it can be told beforehand."""
    try:
        own = goal.exists() and any(goal.samefile(path) for path in _files(plan))
    except OSError as error:
        raise file_error(error, goal) from error
    if own:
        raise UsageError(f"{goal} is one of the models that are merged.", "Choose another name for the result.")
    check_target(goal, plan.header.file_size, force=force)


def _files(plan: Plan) -> set[Path]:
    """All files and folders of the models."""
    return {*plan.stats, *(model.parent.path for model in plan.models.values())}


def _finding_warnings(plan: Plan) -> list[str]:
    found = []
    for name, finding in list(plan.findings.items())[:20]:
        what = f"{plural(finding.not_finite, 'element')} NaN or infinite"
        why = f", {finding.overflowed} of them too large for the output's precision" if finding.overflowed else ""
        found.append(f"{name}: {what}{why}.")
    if len(plan.findings) > 20:
        found.append(f"{len(plan.findings) - 20} more tensors have elements that are NaN or infinite.")
    return found
