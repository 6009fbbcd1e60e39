"""A terminal for benchmarks: a program behind a pseudo-terminal, keys typed to it, and the time until a text is painted."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable

#: Control sequences: what is left without them is the text that was painted.
_CONTROL = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")

#: What every terminal is asked and answers at once: what it is. This one has no graphics.
_WHO, _A_PLAIN_ONE = b"\x1b[c", b"\x1b[?62;22c"


class Terminal:
    """`command` on a screen of `columns` × `rows`; the clock starts with the process."""

    def __init__(self, command: list[str], env: dict[str, str], columns: int = 120, rows: int = 40) -> None:
        self.started = time.perf_counter()
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(sys.stdout.fileno(), termios.TIOCSWINSZ, size)
            words = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
            os.execvpe(command[0], command, {**env, **words})
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, fits: Callable[[bytes], object], seconds: float = 120.0) -> tuple[bytes, float]:
        """The text painted from now on once it `fits`, and the moment of it by the performance counter.

        Exits when it never does.
        """
        seen, end = b"", time.perf_counter() + seconds
        while time.perf_counter() < end:
            if select.select([self._file], [], [], 0.5)[0]:
                now = time.perf_counter()
                seen = (seen + self._read())[-200_000:]
                if fits(text := _CONTROL.sub(b"", seen)):
                    return text, now
        sys.exit(f"what was waited for was never painted; the last output was {seen[-400:]!r}")

    def drain(self, silence: float = 0.1, most: float = 3.0) -> bytes:
        """The text that was painted since the last look, when nothing more has come for `silence` seconds, or after `most`."""
        seen, end = b"", time.perf_counter() + most
        while time.perf_counter() < end and select.select([self._file], [], [], silence)[0]:
            seen += self._read()
        return _CONTROL.sub(b"", seen)

    def type(self, keys: str) -> float:
        """Type keys; the moment just before."""
        now = time.perf_counter()
        os.write(self._file, keys.encode())
        return now

    def close(self) -> None:
        """End the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)

    def _read(self) -> bytes:
        try:
            seen = os.read(self._file, 1 << 16)
        except OSError:
            sys.exit("the program ended")
        if _WHO in seen:
            os.write(self._file, _A_PLAIN_ONE)
        return seen
