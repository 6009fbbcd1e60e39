"""The log of a job: time, level and text, long texts on several lines; at its end it follows what comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar, NamedTuple

from rich.cells import chop_cells
from rich.segment import Segment
from rich.style import Style

from modelhub.text import one_line
from modelhub.text import width as columns
from modelhub.tui.jobs.record import Line
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_TIME, _LEVEL = 9, 8
_LEAST = 12
_LOOKS = {"error": "bad", "warning": "warn", "phase": "run"}


class _Shown(NamedTuple):
    time: str
    level: str
    look: str
    text: str


class JobLog(LineList):
    """Lines of a log, wrapped to the width."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"list--{name}" for name in ("bad", "warn", "run", "muted")}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._key = ""
        self._lines: Sequence[Line] = []
        self._shown: list[_Shown] = []
        self._made: tuple[int, str, int, Line | None] | None = None

    @property
    def follows(self) -> bool:
        """Whether the last line is under the cursor, so that new ones are gone to."""
        return self.cursor >= self.count - 1

    def show(self, key: str, lines: Sequence[Line]) -> None:
        """The log of the job called `key`; another one is shown from its end."""
        follows = self.follows or key != self._key
        self._key, self._lines = key, lines
        self._wrap(follows)

    def on_resize(self) -> None:
        """Other widths break lines elsewhere."""
        self._wrap(self.follows)

    def _wrap(self, follows: bool) -> None:
        width = self.size.width - 1
        made = (width, self._key, len(self._lines), self._lines[-1] if self._lines else None)
        if width <= 0 or made == self._made:
            return
        self._made = made
        self._shown = [shown for line in self._lines for shown in _broken(line, width - _TIME - _LEVEL)]
        self.count = len(self._shown)
        if follows:
            self.cursor = max(0, self.count - 1)
        self.refresh()

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Time, level, text."""
        shown = self._shown[number]
        muted = style + ink(self, "list--muted")
        look = style + ink(self, f"list--{shown.look}") if shown.look else style
        text = cell(shown.text, max(0, width - _TIME - _LEVEL))
        return [Segment(cell(shown.time, _TIME), muted), Segment(cell(shown.level, _LEVEL), look), Segment(text, look)]


def _broken(line: Line, width: int) -> list[_Shown]:
    look = _LOOKS.get(line.level, "")
    texts = [piece for text in line.text.splitlines() or [""] for piece in _pieces(one_line(text), max(_LEAST, width))]
    at = time.strftime("%H:%M:%S", time.localtime(line.at))
    level = "" if line.level in ("info", "phase") else line.level
    return [_Shown(at, level, look, texts[0]), *(_Shown("", "", look, text) for text in texts[1:])]


def _pieces(text: str, width: int) -> list[str]:
    return (wrap(text, width) if columns(text) == len(text) else chop_cells(text, width)) or [""]
