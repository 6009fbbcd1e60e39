"""Questions to the terminal, answered before Textual reads the keyboard: what it draws, and how large a cell is."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.message import Message

#: `ESC [ c` asks what the terminal is (DA1), `ESC [ 16 t` how large a cell is. All answer DA1, so it comes last.
_WHAT_ARE_YOU = b"\x1b[c"
_HOW_LARGE = b"\x1b[16t"
#: Asks for kitty's graphics protocol by one pixel that is not kept.
_KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_KITTY_OK = re.compile(rb"\x1b_Gi=31[^;\x1b]*;OK\x1b\\")
#: Any of these answers, when it comes later than it was waited for.
_LATE = re.compile("\x1b\\[\\?[\\d;]*c|\x1b\\[6;\\d+;\\d+t|\x1b_G[^\x1b]*\x1b\\\\")
_SIXEL = b"4"


class Terminal:
    """The terminal behind stdin and stderr, which Textual uses; it is given `patience` seconds in all to answer."""

    def __init__(self, patience: float) -> None:
        self._end = time.monotonic() + patience
        self._in, self._out = sys.__stdin__, sys.__stderr__
        self.is_silent = False

    def sixel(self) -> tuple[bool, tuple[int, int] | None]:
        """Whether it says to draw sixels, and the width and height of a cell as `ESC [ 16 t` tells it."""
        answer = self._ask(_HOW_LARGE + _WHAT_ARE_YOU)
        attributes, cell = _ATTRIBUTES.search(answer), _CELL.search(answer)
        size = (int(cell[2]), int(cell[1])) if cell and int(cell[1]) and int(cell[2]) else None
        return attributes is not None and _SIXEL in attributes[1].split(b";")[1:], size

    def kitty(self) -> bool:
        """Whether it answers to kitty's graphics protocol."""
        return not self.is_silent and _KITTY_OK.search(self._ask(_KITTY + _WHAT_ARE_YOU)) is not None

    def _ask(self, question: bytes) -> bytes:
        """What the terminal says, until it has said what it is; b"" where it cannot be asked."""
        answer = b""
        if self._in is None or self._out is None or not (self._in.isatty() and self._out.isatty()):
            return answer
        with _unbuffered(self._in.fileno()) as is_ready:
            if is_ready:
                os.write(self._out.fileno(), question)
                while not _ATTRIBUTES.search(answer) and (more := self._read()):
                    answer += more
        self.is_silent = not _ATTRIBUTES.search(answer)
        return answer

    def _read(self) -> bytes:
        assert self._in is not None
        left = self._end - time.monotonic()
        ready = left > 0 and select([self._in.fileno()], [], [], left)[0]
        return os.read(self._in.fileno(), 1024) if ready else b""


@contextmanager
def _unbuffered(descriptor: int) -> Iterator[bool]:
    """Input comes byte by byte and is not shown; False where the terminal cannot do that."""
    try:
        import termios
        import tty

        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor, termios.TCSANOW)
    except (ImportError, termios.error):
        yield False
        return
    try:
        yield True
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def cell_size() -> tuple[int, int] | None:
    """Width and height of a cell in pixels, as the system knows it; it follows when the user zooms."""
    try:
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(sys.__stderr__.fileno() if sys.__stderr__ else 2, termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError):
        return None
    rows, columns, width, height = struct.unpack("4H", answer)
    return (width // columns, height // rows) if rows and columns and width >= columns and height >= rows else None


def drop_late_answers() -> None:
    """Keep what a terminal answers too late from being read as keys, by taking it out of what Textual reads."""
    from textual._xterm_parser import XTermParser
    from textual.drivers import linux_driver

    class Parser(XTermParser):
        def feed(self, data: str) -> Iterable[Message]:
            keys = _LATE.sub("", data)
            return super().feed(keys) if keys or not data else ()  # no data at all is the end of the input

    vars(linux_driver)["XTermParser"] = Parser
