"""Scanning from the interface: asking for a folder, the job, and what is said at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from modelhub.jobs import Event, Job
from modelhub.scan.report import ScanReport
from modelhub.scan.run import scan
from modelhub.settings import user_path
from modelhub.text import one_line, plural, shorten
from modelhub.tui.commands.suggestions import PathSuggester
from modelhub.tui.jobs import elsewhere
from modelhub.tui.jobs.record import JobRecord
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.place import Place


def ask_folder(place: Place, then: Callable[[Path], object]) -> None:
    """Ask which folder is to be scanned."""
    what = "The folder that holds models; it is remembered, and scanned now. Tab completes its name."

    def asked(text: str | None) -> None:
        if text:
            then(user_path(text))

    suggester = PathSuggester(folders=True)
    place.app.push_screen(AskDialog("Add a folder", what, placeholder="~/models", suggester=suggester), asked)


def start_scan(
    place: Place,
    folders: Sequence[Path],
    over: Callable[[JobRecord], None],
    listen: Callable[[Event], None] | None = None,
) -> JobRecord:
    """Scan folders beside other work; none for those that are remembered."""
    hashes = place.settings.hash

    def work(job: Job) -> ScanReport:
        return elsewhere.run(job, _scan, place.library, folders, hashes)

    return place.jobs.start(
        "Scan", work, place=place.scope, lane="scan", says=scan_words, listen=listen, over=over, again=True
    )


def _scan(library: Library, folders: Sequence[Path], hashes: str, *, job: Job) -> ScanReport:
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
