"""The scanner: a status line that scans folders in a thread and tells what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from textual import on
from textual.message import Message

from modelhub.scan.report import ScanReport
from modelhub.scan.run import scan
from modelhub.text import one_line, plural, shorten
from modelhub.tui.library import Library
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Progress, WorkerJob, background

_REFRESH = 1.0


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


class Scanner(StatusLine):
    """One scan at a time; `stop` ends it, and what was indexed by then stays. `hashes`: none, fast or full."""

    @dataclass
    class Found(Message):
        """The catalog has more than before: once a second while a scan runs, and at its end."""

    @dataclass
    class Scanned(Message):
        """A scan is through."""

        report: ScanReport

    def __init__(self, library: Library, *, hashes: str = "none", id: str | None = None) -> None:
        super().__init__(id=id)
        self._library, self._hashes = library, hashes
        self._told = 0.0

    @background("scan")
    def start(self, job: WorkerJob, folders: Sequence[Path]) -> None:
        """Scan `folders`, or the remembered ones if there are none."""
        with self._library.open() as catalog:
            job.post(self.Scanned(scan(catalog, folders, hashes=self._hashes, job=job)))

    def stop(self) -> bool:
        """Stop the scan; False if none runs."""
        running = self.event is not None
        self.workers.cancel_group(self, "scan")
        self.event = None
        return running

    @on(Progress)
    def _moved(self, message: Progress) -> None:
        message.stop()
        if message.event.level != "progress":
            return
        self.event = message.event
        if monotonic() - self._told > _REFRESH:
            self._told = monotonic()
            self.post_message(self.Found())

    @on(Done)
    def _ended(self, message: Done) -> None:
        message.stop()
        self.event = None
        self.post_message(self.Found())
