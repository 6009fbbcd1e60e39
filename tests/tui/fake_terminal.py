"""A terminal behind a real pty: it answers questions as some terminals do, and keeps every byte that is written to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What each kind of terminal answers to what it is asked: the end of a question, and the answer.
ANSWERS: dict[str, dict[bytes, bytes]] = {
    "kitty": {b"\x1b[16t": b"\x1b[6;20;10t", b"AAAA\x1b\\": b"\x1b_Gi=31;OK\x1b\\", b"\x1b[c": b"\x1b[?62;c"},
    "sixel": {b"\x1b[16t": b"\x1b[6;20;10t", b"\x1b[c": b"\x1b[?62;4;22c"},
    "plain": {b"\x1b[c": b"\x1b[?6c"},
    "silent": {},
}
_QUESTION = re.compile(rb"\x1b\[16t|\x1b_G[^\x1b]*a=q[^\x1b]*AAAA\x1b\\|\x1b\[c")


class FakeTerminal:
    """modelhub in a terminal of 120 × 40 cells; `late` seconds pass before each answer."""

    def __init__(
        self,
        kind: str,
        home: Path,
        *,
        late: float = 0,
        environment: dict[str, str] | None = None,
        pixels: tuple[int, int] = (0, 0),
        words: tuple[str, ...] = ("-m", "modelhub"),
    ) -> None:
        self.answers, self.late = ANSWERS[kind], late
        self.written = b""
        self._times: list[tuple[float, int]] = []
        self._asked = 0
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, *pixels))
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environment(home) | (environment or {}),
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @staticmethod
    def _environment(home: Path) -> dict[str, str]:
        outer = ("TMUX", "TMUX_PANE", "STY", "NO_COLOR", "COLUMNS", "LINES", "SSH_CONNECTION", "COLORTERM", "ZELLIJ")
        kept = {key: value for key, value in os.environ.items() if key not in outer}
        return kept | {"MODELHUB_HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}

    def _read(self) -> None:
        while True:
            try:
                if not select.select([self.master], [], [], 0.2)[0]:
                    continue
                data = os.read(self.master, 65536)
            except OSError:  # the program has ended
                return
            if not data:
                return
            self.written += data
            self._times.append((time.monotonic(), len(self.written)))
            self._answer()

    def _answer(self) -> None:
        for question in _QUESTION.finditer(self.written, self._asked):
            self._asked = question.end()
            said = [answer for end, answer in self.answers.items() if question[0].endswith(end)]
            if said and self.late:
                threading.Timer(self.late, os.write, (self.master, said[0])).start()
            elif said:
                os.write(self.master, said[0])

    @property
    def questions(self) -> list[bytes]:
        """What the terminal was asked."""
        return _QUESTION.findall(self.written)

    def type(self, keys: str) -> int:
        """Press keys; returns how much was written before."""
        before = len(self.written)
        os.write(self.master, keys.encode())
        return before

    def wait(self, pattern: bytes, after: int = 0, seconds: float = 120) -> re.Match[bytes]:
        """The first match of what is written after a position, as soon as it is there."""
        end = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.DOTALL).search(self.written, after)):
            assert time.monotonic() < end, f"{pattern!r} was not written, but {self.written[-3000:]!r}"
            time.sleep(0.02)
        return found

    def rest(self, seconds: float = 0.5) -> int:
        """Wait until nothing was written for a while; returns how much was written by then."""
        before, since = len(self.written), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.02)
            if len(self.written) != before:
                before, since = len(self.written), time.monotonic()
        return before

    def since(self, position: int) -> bytes:
        """What was written after a position, when nothing more comes."""
        end = self.rest()
        return self.written[position:end]

    def moments(self, first: int, second: int) -> float:
        """Seconds between the writing of two positions."""
        when = [next(at for at, size in self._times if size > position) for position in (first, second)]
        return when[1] - when[0]

    def end(self) -> int:
        """Quit, and wait for the end; returns the exit code."""
        if self.process.poll() is None:
            self.type("\x11")  # ctrl+q
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(60)
        return code
