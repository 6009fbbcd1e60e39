"""The table of keys: every binding by where it holds, with its keys, and those that were changed marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.tui.keys.binding_table import Bound
from modelhub.tui.keys.key_names import keys_in_words
from modelhub.tui.widgets.cut import cut
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

_WHERE, _LABEL, _KEYS = 18, 22, 18


class KeyList(LineList):
    """Rows of bindings."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--label", "list--muted", "list--key", "list--mark", "list--heading"}
    header = 1

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.bound: Sequence[Bound] = ()
        self.keys: Mapping[str, str] = {}

    def show(self, bound: Sequence[Bound], keys: Mapping[str, str]) -> None:
        """Others than before."""
        self.bound, self.keys = bound, dict(keys)
        self.count = len(bound)
        self.refresh()

    @property
    def current(self) -> Bound | None:
        """The binding under the cursor."""
        return self.bound[self.cursor] if self.cursor < len(self.bound) else None

    def heading(self, y: int, width: int) -> list[Segment]:
        """The titles."""
        style = self.rich_style + ink(self, "list--heading")
        titles = cell("  Where", _WHERE) + cell("Action", _LABEL) + cell("Keys", _KEYS)
        return [Segment(cell(titles + "What it does", width), style)]

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """One binding."""
        one = self.bound[number]
        changed = one.id in self.keys
        rest = max(0, width - _WHERE - _LABEL - _KEYS)
        help = f"(was {keys_in_words(one.keys)})  {one.help}" if changed else one.help
        return [
            Segment("● " if changed else "  ", style + ink(self, "list--mark")),
            Segment(cut(one.title, _WHERE - 3) + " ", style + ink(self, "list--muted")),
            Segment(cell(one.label, _LABEL), style + ink(self, "list--label")),
            Segment(cell(keys_in_words(one.effective(self.keys)), _KEYS), style + ink(self, "list--key")),
            Segment(cut(help, rest), style + ink(self, "list--muted")),
        ]
