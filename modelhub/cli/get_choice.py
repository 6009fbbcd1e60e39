"""The choice among several files of one model: a numbered list on a terminal, Enter takes what is marked."""

from __future__ import annotations

import re
import select
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.cli.streams import columns, live
from modelhub.errors import CancelledError
from modelhub.fetch.file_words import file_words
from modelhub.text import brief, human_size, one_line, pad, shorten, width

if TYPE_CHECKING:
    from modelhub.fetch.offer import RemoteFile
    from modelhub.jobs import Job

_QUESTION = "Which? 2, 1,3 or 1-3; a for all, q to stop: "
_WITH_MARKED = "Which? Enter takes what is marked; 2, 1,3 or 1-3; a for all, q to stop: "
#: Seconds between two looks at whether the job was stopped while the question stands.
_LOOK = 0.1


def can_ask() -> bool:
    """Whether somebody sits before it: a terminal to show the question on, and one to answer from."""
    return live(sys.stdin) and live(sys.stderr)


def ask(title: str, files: Sequence[RemoteFile], marked: Sequence[RemoteFile], job: Job) -> list[RemoteFile]:
    """The files that the user picks on the terminal; `marked` are those that Enter takes, if any.

    Raises CancelledError for q, an end of the input, or a job that is stopped while it waits.
    """
    print(shorten(one_line(title), columns(sys.stderr)), file=sys.stderr)
    for line in choice_lines(files, marked):
        print(line, file=sys.stderr)
    while True:
        print(_WITH_MARKED if marked else _QUESTION, end="", file=sys.stderr, flush=True)
        answer = _line(job)
        if not answer or answer.strip().lower() in ("q", "quit"):
            raise CancelledError("Nothing was downloaded.")
        picked = picked_by(answer, files, marked)
        if picked:
            return picked
        print(f"There are numbers from 1 to {len(files)} to choose from.", file=sys.stderr)


def picked_by(answer: str, files: Sequence[RemoteFile], marked: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files that an answer means, in their order; none if it means nothing."""
    word = answer.strip().lower()
    if word in ("a", "all"):
        return list(files)
    if not word:
        return list(marked)
    numbers: set[int] = set()
    for part in re.split(r"[,\s]+", word):
        found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if found is None:
            return []
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= len(files):
            return []
        numbers |= set(range(first, last + 1))
    return [files[number - 1] for number in sorted(numbers)]


def choice_lines(files: Sequence[RemoteFile], marked: Sequence[RemoteFile]) -> Iterator[str]:
    """A line for each file: its number, what it is, its name; `>` marks those that Enter takes."""
    cells = [_cells(at, file, file in marked) for at, file in enumerate(files, 1)]
    widths = [max(width(row[column]) for row in cells) for column in range(4)]
    for *row, name in cells:
        shown = (pad(cell, size, right=at < 2) for at, (cell, size) in enumerate(zip(row, widths, strict=True)))
        line = "  ".join(shown)
        yield f"{line}  {shorten(name, max(columns(sys.stderr) - width(line) - 2, 12))}"


def _cells(at: int, file: RemoteFile, marked: bool) -> tuple[str, str, str, str, str]:
    number, name = f"{'>' if marked else ' '}{at:>3}", one_line(file.path or file.name)
    return number, human_size(file.size), brief(file.format or "", 11), brief(file_words(file), 16), name


def _line(job: Job) -> str:
    """One line from the terminal, empty at its end; a signal that stops the job ends the wait."""
    while True:
        if job.cancelled:
            print(file=sys.stderr)
        job.check()
        try:
            ready = select.select([sys.stdin], [], [], _LOOK)[0]
        except (OSError, ValueError):  # not a thing that can be waited for: a console of Windows
            ready = [sys.stdin]
        if ready:
            return sys.stdin.readline()
