"""Running a command as a process of its own: what it prints, what it says of its progress, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event, Job
from modelhub.text import printable

#: Seconds that a command has to stop by itself, before it is made to.
_GRACE = 10.0
_LOOK = 0.05
#: Lines that are kept; what was printed before them is forgotten.
_MOST_LINES = 50_000
_STOPPED = 130


class OutputLine(NamedTuple):
    """A printed line: the answer (`out`), talk (`talk`) or an error (`error`)."""

    kind: str
    text: str


class Output:
    """What a command printed, line by line; written by threads, read by the interface."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[OutputLine] = []
        self.dropped = 0

    def add(self, kind: str, text: str) -> None:
        """A line more, harmless: escape codes are shown as such, tabs are spaces."""
        line = OutputLine(kind, printable(text.expandtabs(), keep_lines=False))
        with self._lock:
            self._lines.append(line)
            if len(self._lines) > _MOST_LINES:
                del self._lines[: _MOST_LINES // 10]
                self.dropped += _MOST_LINES // 10

    def since(self, number: int) -> tuple[list[OutputLine], int]:
        """The lines after the first `number` that were ever printed, and how many were printed now."""
        with self._lock:
            lines = self._lines[max(0, number - self.dropped) :]
            return lines, self.dropped + len(self._lines)

    def error(self) -> str:
        """The sentences of the error at the end: what the command says after `error:`."""
        with self._lock:
            said = [line.text.strip() for line in self._lines if line.kind == "error"]
        return " ".join(said).removeprefix("error: ")


class Ended(NamedTuple):
    """How a command ended: its exit code, and how long it ran."""

    code: int
    seconds: float


def run_command(words: Sequence[str], folder: Path, columns: int, output: Output, job: Job) -> Ended:
    """Run `modelhub` with `words` on the catalog in `folder`, until it ends or `job` is cancelled.

    Raises CancelledError if it was stopped, ModelhubError for an exit code other than 0, with what the command said.
    """
    began = time.monotonic()
    process = _start(words, folder, columns)
    readers = [
        threading.Thread(target=_answer, args=(process.stdout, output), daemon=True),
        threading.Thread(target=_talk, args=(process.stderr, output, job), daemon=True),
    ]
    for reader in readers:
        reader.start()
    code = _wait(process, job)
    for reader in readers:
        reader.join(2)
    if job.cancelled or code == _STOPPED:
        raise CancelledError
    if code:
        raise ModelhubError(output.error() or "The command gave no reason.", f"Its exit code is {code}.")
    return Ended(code, time.monotonic() - began)


def _start(words: Sequence[str], folder: Path, columns: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MODELHUB_HOME": str(folder),
        "MODELHUB_EVENTS": "json",
        "COLUMNS": str(columns),
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    # a session of its own: what the terminal sends to this one's group is not for it
    return subprocess.Popen(  # noqa: S603 (this program, with words that the user saw)
        [sys.executable, "-m", "modelhub", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], job: Job) -> int:
    """Its exit code; a cancelled job asks it to stop, and does not ask for ever."""
    asked = 0.0
    while True:
        try:
            return process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            pass
        if job.cancelled and not asked:
            asked = time.monotonic()
            process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        elif asked and time.monotonic() - asked > _GRACE:
            process.kill()


def _answer(stream: IO[bytes], output: Output) -> None:
    for line in stream:
        output.add("out", _text(line))


def _talk(stream: IO[bytes], output: Output, job: Job) -> None:
    """Events go to the job; sentences are shown. The last of them is the error, from its first word on."""
    kind = "talk"
    for line in stream:
        text = _text(line)
        event = _event(text)
        if event is None:
            kind = "error" if text.startswith("error:") else kind
            output.add(kind, text)
        else:
            job.relay(event)
            if event.level != "progress":
                output.add("talk", event.item if event.level == "info" else f"{event.level}: {event.item}")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _event(text: str) -> Event | None:
    """The event that a line of stderr holds, if it does."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
        return Event(**{name: found[name] for name in ("job", "phase", "done", "total", "unit", "item", "level")})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
