"""Scanning from the interface: what the job does, and what is said at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelhub.jobs import Job
from modelhub.scan.report import ScanReport
from modelhub.scan.run import scan
from modelhub.text import one_line, plural, shorten
from modelhub.tui.library import Library


def scan_folders(library: Library, folders: Sequence[Path], hashes: str, job: Job) -> ScanReport:
    """Scan `folders`, or the remembered ones if there are none. Raises what `scan` raises."""
    with library.open() as catalog:
        return scan(catalog, folders, hashes=hashes, job=job)


def scan_words(report: ScanReport) -> str:
    """What a scan found, in a sentence or two, with the first problem below."""
    counts = (
        (report.added, "new"), (report.updated, "changed"), (report.moved, "moved"), (report.missing, "gone"),
        (report.hashed, "hashed"),
    )  # fmt: skip
    found = [f"{count:,} {word}" for count, word in counts if count]
    if report.links:
        found.append(f"{plural(report.links, 'link')} to the same contents")
    text = f"{plural(report.files, 'file')}: {', '.join(found) or 'nothing new'}."
    if not report.problems:
        return text
    first = shorten(one_line(report.problems[0].message), 160)
    return f"{text[:-1]}; {plural(len(report.problems), 'file')} could not be read (problem:yes).\n{first}"
