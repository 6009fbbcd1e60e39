"""A conversion that has not been written: a view of its source, what becomes of the tensors in words, and the writing.

`convert`, `prune` and `repair` each plan one from headers; `carry_out` writes it, reads it back, and reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.catalog.becoming import Part
from modelhub.errors import UsageError, file_error
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.watching import watched
from modelhub.formats.writer import Written, check_target, write
from modelhub.jobs import QUIET, Job


@dataclass
class Conversion:
    """What a source would become: `view` is the file, `parts` say what stays, changes and goes, `warnings` the rest.

    `stats` are the files that it is made of, none of which may be written over, and how they were before they were
    opened: one that changes while it is converted ends the work. `findings` are about the source: what a pickle would
    have run, what is damaged in it; `losses` tell why the result is no full replacement for it. `afterwards` gives the
    warnings that are known only once every tensor was read, such as numbers that did not fit the precision.
    """

    view: TensorSource
    stats: Mapping[Path, FileStat] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    afterwards: Callable[[], Iterable[str]] = tuple

    @property
    def changes(self) -> bool:
        """Whether anything but the container changes."""
        return any(one.action != "keep" for one in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "size": self.view.header.file_size, "tensors": len(self.view.header.tensors),
            "parts": [one.as_dict() for one in self.parts], "warnings": self.warnings, "findings": self.findings,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """A conversion that was written and read back: the plan, the file, and seconds of wall time.

    `damaged` are tensors that were written though their checksum in the source says that they are not what they were.
    """

    conversion: Conversion
    written: Written
    seconds: float
    damaged: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        written = self.written
        return {
            **self.conversion.as_dict(), "path": str(written.path), "size": written.size, "sha256": written.sha256,
            "verified": True, "damaged": list(self.damaged), "seconds": self.seconds,
        }  # fmt: skip


def carry_out(
    conversion: Conversion,
    path: str | Path,
    *,
    force: bool = False,
    hashes: bool = False,
    salvage: bool = False,
    job: Job = QUIET,
) -> ConversionReport:
    """Write a conversion to `path` and read it back; `hashes`: also make its SHA256.

    With `salvage`, tensors that are damaged in the source are written as they are, and told in the findings. Memory
    does not grow with the model. Raises UsageError when `path` is a file that it is made of, CorruptFileError when a
    checksum in the source does not fit its bytes (without `salvage`) or the source changes meanwhile, and else as
    `modelhub.formats.writer.write`.
    """
    started = time.monotonic()
    goal = Path(path)
    check_goal(conversion, goal, force=force)
    guarded = watched(job, conversion.stats)
    damaged: list[str] | None = [] if salvage else None
    written = write(conversion.view, goal, force=force, hashes=hashes, verify=True, damaged=damaged, job=guarded)
    broken = tuple(sorted(damaged or ()))
    conversion.findings += map(_damage, broken)
    conversion.losses += map(_damage, broken)
    conversion.warnings += conversion.afterwards()
    return ConversionReport(conversion, written, round(time.monotonic() - started, 3), broken)


def _damage(name: str) -> str:
    return f"Tensor {name[:200]!r} is damaged: the checksum that the file keeps of it does not fit its bytes."


def check_goal(conversion: Conversion, goal: Path, *, force: bool = False) -> None:
    """Raise what writing to `goal` would end in, as far as it can be told beforehand."""
    if _is_one_of(goal, conversion.stats):
        raise UsageError(f"{goal} is one of the files that it is made of.", "Choose another name for the result.")
    check_target(goal, conversion.view.header.file_size, force=force)


def _is_one_of(goal: Path, files: Iterable[Path]) -> bool:
    try:
        return goal.exists() and any(goal.samefile(path) for path in files if path.exists())
    except OSError as error:
        raise file_error(error, goal) from error
