"""Work in a process of its own: what computes for minutes would hold up the interface's thread, key by key.

The interpreter runs one thread at a time. A process of its own also bears what a hostile or huge file may do to it:
when it is ended, the interface is not. Parent and child speak over a pair of sockets that nobody else has.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import IO, Any, Literal, TypeVar

from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.text import shorten
from modelhub.tui.work import attempt

R = TypeVar("R")
#: What comes from the child: an event of its job, something that its work tells, its result, or its error.
Kind = Literal["event", "told", "result", "error"]

#: Seconds between two looks whether the job was cancelled.
_LOOK = 0.05
_CHILD = "from modelhub.tui.jobs.elsewhere import child; child()"


def run(job: Job, work: Callable[..., R], *args: Any, told: Callable[[Any], None] | None = None) -> R:
    """What `work(*args, job=…)` returns, run in a process of its own; its events are told to `job`.

    `work` is a function of a module, and like `args` and the result it can be pickled. With `told`, work gets an
    argument `told`, too, and what it tells is told here. A cancelled job cancels that of the child, which clears up
    behind itself, also when this process is gone. Raises what `work` raises; ModelhubError when the process was ended.
    """
    job.check()
    with tempfile.TemporaryFile() as talk:
        ours, process = _start(talk)
        with ours:
            ours.send((work, args, told is not None))
            ended = _follow(ours, job, told)
        code = process.wait()
        if ended is None:
            raise _lost(code, talk)
    kind, value = ended
    if kind == "error":
        raise value
    return value  # type: ignore[no-any-return]


def _start(talk: IO[bytes]) -> tuple[Connection, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        # a session of its own: what the terminal sends to this one's group is not for it
        process = subprocess.Popen(  # noqa: S603 (this program)
            [sys.executable, "-c", _CHILD], stdin=theirs.fileno(), stdout=talk, stderr=talk, start_new_session=True
        )
    return Connection(ours.detach()), process


def _follow(ours: Connection, job: Job, told: Callable[[Any], None] | None) -> tuple[Kind, Any] | None:
    """Pass on what the child says until it has a result or an error; None if it ends without."""
    asked = False
    with suppress(EOFError, OSError):
        while True:
            if job.cancelled and not asked:
                asked = True
                ours.send("stop")
            if not ours.poll(_LOOK):
                continue
            kind, value = ours.recv()
            if kind == "event":
                job.relay(value)
            elif kind == "told" and told is not None:
                told(value)
            else:
                return kind, value
    return None


def _lost(code: int, talk: IO[bytes]) -> ModelhubError:
    talk.seek(0)
    lines = talk.read().decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    if code < 0:
        name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
        why, hint = f"was ended by {name}", "Is memory short? Nothing else was harmed; start it again."
    else:
        why, hint = f"ended with exit code {code}", "Start it again; what it had begun to write can be deleted."
    return ModelhubError(f"The process of this job {why}{': ' if last else '.'}{shorten(last, 300)}", hint)


# -- the child ---------------------------------------------------------------------------------------------------------


class _Parent:
    """The other end, for several threads; nobody may be there any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def say(self, kind: Kind, value: Any) -> None:
        """Send something. Raises what pickling it raises."""
        with suppress(OSError), self._lock:
            self._connection.send((kind, value))

    def follow(self, job: Job) -> None:
        """Cancel a job as soon as the other end says so or is gone."""
        with suppress(EOFError, OSError):
            self._connection.recv()
        job.cancel()


def child() -> None:
    """Do what the other end of stdin asks for, and end this process. What is printed goes where the parent reads it."""
    connection = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    parent = _Parent(connection)
    work, args, tells = connection.recv()
    job = Job("", partial(parent.say, "event"))
    threading.Thread(target=parent.follow, args=(job,), daemon=True).start()
    words = {"told": partial(parent.say, "told")} if tells else {}
    _, error = attempt(lambda: parent.say("result", work(*args, job=job, **words)))
    if error is not None:
        parent.say("error", error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # to take torch apart module by module would cost half a second
