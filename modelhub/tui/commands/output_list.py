"""What a command printed, as it was printed: long lines go on below, escape codes are shown and not obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import chop_cells
from rich.segment import Segment
from rich.style import Style

from modelhub.tui.commands.run import Output, OutputLine
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell


class OutputList(LineList):
    """Follows an `output`; while the cursor is on the last line, it stays there."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--out", "list--talk", "list--error", "list--end"}

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.output = Output()
        self._read = 0
        self._printed: list[OutputLine] = []
        self._lines: list[OutputLine] = []

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return max(20, self.size.width)

    def follow(self, output: Output) -> None:
        """Show another output, from its first line on."""
        self.output, self._read = output, 0
        self._printed, self._lines = [], []
        self.count = self.cursor = 0
        self.look()

    def look(self) -> None:
        """Take in what was printed since."""
        new, self._read = self.output.since(self._read)
        if new:
            self.append(new)

    def append(self, lines: Iterable[OutputLine]) -> None:
        """More lines at the end."""
        at_end = self.cursor >= self.count - 1
        lines = list(lines)
        self._printed += lines
        self._lines += self._folded(lines)
        self.count = len(self._lines)
        if at_end:
            self.cursor = self.count - 1
        self.refresh()

    def _folded(self, lines: Iterable[OutputLine]) -> list[OutputLine]:
        columns, found = self.columns, []
        for line in lines:
            if line.text.isascii() and len(line.text) <= columns:  # as most are: a look at every character takes long
                found.append(line)
            else:
                found += [OutputLine(line.kind, part) for part in chop_cells(line.text, columns)]
        return found

    def on_resize(self) -> None:
        """Lines break elsewhere."""
        self._lines = self._folded(self._printed)
        self.count = len(self._lines)

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """One line."""
        line = self._lines[number]
        return [Segment(cell(line.text, width), style + ink(self, f"list--{line.kind}"))]

    @property
    def text(self) -> str:
        """All that was printed."""
        return "\n".join(line.text for line in self._printed)
