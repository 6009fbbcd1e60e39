"""The list of files to be converted: what each is, how large it is and would be, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.text import human_size
from modelhub.tui.convert.batch import Entry
from modelhub.tui.convert.words import DONE
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

#: Sign and look by status; what is dangerous, and what runs, has its own.
SIGNS = {
    "planned": ("○", "run"), "converted": ("✓", "good"), "already": ("=", "good"), "idle": ("=", "muted"),
    "skipped": ("–", "warn"), "failed": ("✗", "bad"),
}  # fmt: skip
_SIGN, _FORMAT, _SIZE = 3, 14, 19
_WITH_FORMAT, _WITH_SIZE = 74, 50


class ConvertList(LineList):
    """Entries under headings. `empty` is what an empty list says."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("heading", "good", "bad", "warn", "run", "muted")
    }
    header = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: list[Entry] = []
        #: Where each file stands in the list.
        self.places: dict[Path, int] = {}

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def show(self, entries: list[Entry]) -> None:
        """Other entries; the cursor stays on its line."""
        self.entries = entries
        self.places = {entry.path: at for at, entry in enumerate(entries)}
        self.count = len(entries)
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    def put(self, number: int, entry: Entry) -> None:
        """Another state of one entry."""
        self.entries[number] = entry
        self._refresh_row(number)
        if number == self.cursor:
            self.tell(self.Highlighted(self, number))

    def _widths(self, width: int) -> tuple[int, int, int, int]:
        """Columns of name, format, sizes and outcome."""
        form = _FORMAT if width >= _WITH_FORMAT else 0
        size = _SIZE if width >= _WITH_SIZE else 0
        room = width - _SIGN - form - size
        name = max(12, room * 3 // 5)
        return name, form, size, max(0, room - name)

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """What the columns are."""
        name, form, size, rest = self._widths(width)
        parts = (cell("", _SIGN), cell("File", name), cell("  Format", form), cell("Now → then ", size, right=True))
        return [Segment(cell("".join(parts) + cell(" Outcome", rest), width), self._plain)]

    @property
    def _plain(self) -> Style:
        return self.get_component_rich_style("list--heading")

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Sign, name, format, sizes, outcome."""
        entry = self.entries[number]
        name, form, size, rest = self._widths(width)
        sign, look = _sign(entry)
        muted = style + ink(self, "list--muted")
        lit = style + ink(self, f"list--{look}")
        return [
            Segment(f" {sign} ", lit),
            Segment(cell(entry.path.name, name), style),
            Segment(cell(f"  {_format(entry)}", form), muted),
            Segment(cell(f"{_sizes(entry)} ", size, right=True), muted),
            Segment(cell(f" {outcome(entry)}", rest), lit if look in ("bad", "warn", "good") else muted),
        ]


def _sign(entry: Entry) -> tuple[str, str]:
    if entry.runs:
        return "▶", "run"
    if entry.item is None:
        return "·", "muted"
    sign, look = SIGNS[entry.item.status]
    if entry.glance is not None and entry.glance.verdict == "dangerous" and not entry.is_over:
        return "!", "bad"
    return sign, look


def _format(entry: Entry) -> str:
    if entry.glance is not None:
        return entry.glance.format
    asset = entry.source.asset
    return asset.format if asset is not None else entry.path.suffix.lstrip(".") or "folder"


def _sizes(entry: Entry) -> str:
    item = entry.item
    if item is None:
        return human_size(entry.source.asset.size) if entry.source.asset is not None else ""
    before = human_size(item.before)
    return f"{before} → {human_size(item.size)}" if item.status in ("planned", "converted", "already") else before


def outcome(entry: Entry) -> str:
    """What becomes of it, in a few words."""
    item = entry.item
    if entry.runs:
        return "at work"
    if item is None:
        return "looking…"
    if entry.glance is not None and entry.glance.verdict == "dangerous" and item.status == "failed":
        return "dangerous: refused"
    dropped = sum(part.size for part in item.parts if part.action == "drop")
    if item.status == "planned" and dropped:
        return f"leaves out {human_size(dropped)}"
    if item.status == "planned" and item.health:
        return f"mends {sum(text.startswith('mended') for _, text in item.health)} of {len(item.health)}"
    return DONE[item.status]
