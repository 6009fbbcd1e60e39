"""The stack: a line for each LoRA with its verdict, a slider for its strength, and what else is set of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive

from modelhub.lora.checking.answer import SIGNS, Answer
from modelhub.tui.fits.fit_facts import LOOKS
from modelhub.tui.loras.entry import Entry, counted, moved
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.widgets.typed import TypedNumber, shown
from modelhub.tui.widgets.typed import moved as nudged

Side = Literal["unet", "text"]
#: The ends of a track; more or less can be typed.
LOW, HIGH = -1.0, 2.0
_STEP = (HIGH - LOW) / 60
_NUMBER, _TEXT, _BLOCKS, _FLAG = 6, 10, 9, 6
_LEAST_TRACK, _MOST_TRACK = 6, 30
_WAITING = "…"


class Columns(NamedTuple):
    """Columns of a line: of the name and the track, and whether there is room for block weights."""

    name: int
    track: int
    blocks: int

    @classmethod
    def of(cls, width: int, *, blocks: bool) -> Columns:
        """Those of a list that is so wide."""
        wide = _BLOCKS if blocks else 0
        rest = width - _HEAD - _NUMBER - _TEXT - _FLAG - wide - 2
        track = max(_LEAST_TRACK, min(_MOST_TRACK, rest * 2 // 5))
        return cls(max(4, rest - track), track, wide)

    @property
    def left(self) -> int:
        """Where the track begins."""
        return _HEAD + self.name + 1


#: Columns of number and sign.
_HEAD = 6


class StackList(LineList, TypedNumber):
    """`entries` in the order in which they are baked in, `answers` by the id of the LoRA.

    Arrows change the strength of the one under the cursor: that of the U-Net, or of the text encoders (`side`).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "nudge(-3)", "Less", show=False, id="stack.less"),
        Binding("right,l", "nudge(3)", "More", show=False, id="stack.more"),
        Binding("shift+left,H", "nudge(-1)", "A little less", show=False, id="stack.little_less"),
        Binding("shift+right,L", "nudge(1)", "A little more", show=False, id="stack.little_more"),
        Binding("enter", "choose", "Take the typed number, or show the evidence", show=False, id="stack.choose"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("good", "warn", "bad", "muted", "number", "knob", "typing", "set")
    }
    signs: ClassVar[frozenset[str]] = frozenset("0123456789.-")

    entries: reactive[tuple[Entry, ...]] = reactive(())
    answers: reactive[Mapping[int, Answer]] = reactive({})
    side: reactive[Side] = reactive("unet")
    judging: reactive[bool] = reactive(False)

    @dataclass
    class Changed(Message):
        """Another stack: `members` tells whether LoRAs came, went or changed places."""

        stack: StackList
        members: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._drags = False

    # -- what is in it -------------------------------------------------------------------------------------------------

    @property
    def current(self) -> Entry | None:
        """The one under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    @property
    def answer(self) -> Answer | None:
        """The answer for the one under the cursor."""
        return self.answers.get(self.current.asset.id) if self.current else None

    def put(self, entries: Sequence[Entry]) -> None:
        """Another stack."""
        self.entries = tuple(entries)

    def change(self, entry: Entry) -> None:
        """Another entry in place of the one under the cursor."""
        here = self.cursor
        self.entries = tuple(entry if at == here else other for at, other in enumerate(self.entries))

    def watch_entries(self, before: tuple[Entry, ...], after: tuple[Entry, ...]) -> None:
        """Draw, and tell who listens."""
        self.count = len(after)
        self.virtual_size = Size(1, max(1, self.count))
        self.refresh()
        members = [entry.asset.id for entry in before] != [entry.asset.id for entry in after]
        if members:
            self.tell(self.Highlighted(self, self.cursor))
        self.post_message(self.Changed(self, members))

    def watch_answers(self) -> None:
        """Draw the signs."""
        self.refresh()
        self.tell(self.Highlighted(self, self.cursor))

    def watch_side(self) -> None:
        """Draw which number the arrows change."""
        self.refresh()

    def watch_typed(self) -> None:
        """Draw what is typed."""
        self.refresh()

    def watch_judging(self) -> None:
        """Draw whether verdicts are still to come."""
        self.refresh()

    def watch_cursor(self, before: int, after: int) -> None:
        """What was typed belongs to the line that was left."""
        self.typed = ""
        super().watch_cursor(before, after)

    # -- what the user does --------------------------------------------------------------------------------------------

    def action_nudge(self, steps: float) -> None:
        """A little more or less."""
        self.typed = ""
        if (entry := self.current) is not None:
            self._set(nudged(self._value(entry), steps * _STEP, LOW, HIGH))

    def action_choose(self) -> None:
        """A typed number is taken; else the line is chosen."""
        if self.typed:
            self.action_take()
        elif self.count:
            self.tell(self.Chosen(self, self.cursor))

    def take_number(self, number: float) -> None:
        """The typed number."""
        self._set(number)

    def move(self, by: int) -> None:
        """The one under the cursor to another place; the cursor goes with it."""
        goal = self.cursor + by
        if self.current is None or not 0 <= goal < self.count:
            self.app.bell()
            return
        self.entries = moved(self.entries, self.cursor, by)
        self.cursor = goal

    def take_out(self) -> None:
        """Without the one under the cursor."""
        here = self.cursor
        self.entries = tuple(entry for at, entry in enumerate(self.entries) if at != here)

    def _value(self, entry: Entry) -> float:
        return entry.unet if self.side == "unet" or entry.text is None else entry.text

    def _set(self, value: float) -> None:
        if (entry := self.current) is None:
            return
        if self.side == "unet":
            self.change(replace(entry, unet=value))
        elif entry.has_text:
            self.change(replace(entry, text=value))
        else:
            self.app.bell()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click on a track puts the knob there, and it follows until the button is let go."""
        number = self._row_at(event)
        if number is None:
            return
        columns = self._columns()
        if columns.left <= event.x < columns.left + columns.track:
            self.cursor, self.side, self._drags = number, "unet", True
            self.capture_mouse()
            self._drag(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The knob follows."""
        if self._drags:
            self._drag(event)

    def on_mouse_up(self) -> None:
        """There it stays."""
        if self._drags:
            self._drags = False
            self.release_mouse()

    def _drag(self, event: events.MouseEvent) -> None:
        columns = self._columns()
        place = max(0.0, min(1.0, (event.x - columns.left) / max(1, columns.track - 1)))
        self.typed = ""
        self._set(round(LOW + place * (HIGH - LOW), 2))

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _columns(self) -> Columns:
        return Columns.of(self.size.width, blocks=any(entry.blocks for entry in self.entries))

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Number, verdict, name, track, strengths, block weights, mute."""
        entry, columns = self.entries[number], self._columns()
        counts = any(entry is one for one in counted(self.entries))
        dim = style + ink(self, "list--muted")
        track = style + ink(self, "list--number") if counts else dim
        return [
            Segment(f" {number + 1:>2} ", dim),
            *self._sign(entry, style),
            Segment(cell(entry.asset.path.stem, columns.name), style if counts else dim),
            Segment(" ", style),
            *_track(entry.unet, columns.track, track, style + ink(self, "list--knob") if counts else dim, dim),
            *self._numbers(entry, number, style, dim),
            Segment(cell(f" {entry.blocks}", columns.blocks), style + ink(self, "list--set")),
            Segment(cell(f" {_flag(entry)}", _FLAG), style + ink(self, "list--warn")),
        ]

    def _sign(self, entry: Entry, style: Style) -> list[Segment]:
        answer = self.answers.get(entry.asset.id)
        if entry.asset.missing:
            return [Segment(f"{SIGNS['incompatible']} ", style + ink(self, "list--bad"))]
        if answer is None:
            return [Segment(f"{_WAITING if self.judging else ' '} ", style + ink(self, "list--muted"))]
        return [Segment(f"{SIGNS[answer.verdict]} ", style + ink(self, f"list--{LOOKS[answer.verdict]}"))]

    def _numbers(self, entry: Entry, number: int, style: Style, dim: Style) -> list[Segment]:
        here = number == self.cursor and self.has_focus
        unet, text = shown(entry.unet), "=" if entry.text is None else shown(entry.text)
        looks = {"unet": style, "text": style if entry.text is not None else dim}
        words = {"unet": unet, "text": text if entry.has_text else "–"}
        if here:
            looks[self.side] = style + ink(self, "list--typing" if self.typed else "list--knob")
            words[self.side] = f"{self.typed}▏" if self.typed else words[self.side]
        return [
            Segment(cell(words["unet"], _NUMBER), looks["unet"]),
            Segment(" te ", dim),
            Segment(cell(words["text"], _TEXT - 4), looks["text"]),
        ]


def _flag(entry: Entry) -> str:
    return "mute" if entry.muted else "solo" if entry.alone else ""


def _track(value: float, span: int, done: Style, knob: Style, rest: Style) -> list[Segment]:
    """The line with the knob, and a blank behind it."""
    at = round((span - 1) * max(0.0, min(1.0, (value - LOW) / (HIGH - LOW))))
    return [Segment("━" * at, done), Segment("●", knob), Segment("─" * (span - at - 1), rest), Segment(" ", done)]
