"""Help: every key from the table of actions, and the query language by example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from modelhub.tui.actions import SCOPES, Action, actions
from modelhub.tui.widgets.ink import ink

QUERIES = (
    ("anime portrait", "both words, anywhere"),
    ("kind:lora arch:sdxl", "LoRAs for SDXL"),
    ("tag:anime -tag:nsfw", "tagged anime, and not nsfw"),
    ("size:>2GB dtype:fp16", "larger than 2 GB, half precision"),
    ("rating:>=4 OR tag:keep", "four stars or more, or tagged keep"),
    ('"two words" (arch:sd1 OR arch:sd2)', "a phrase, and one of two architectures"),
    ("missing:yes", "files that are gone"),
    ("override:yes", "files whose kind or architecture you set"),
    ("problem:yes", "files that could not be read"),
)

#: Keys of what stands in the merge lab, where the focus is.
FIELDS = (
    ("tab", "From field to field; shift-tab goes back."),
    ("enter", "Choose a model for a slot, add a LoRA, open a list, press a button, take a typed number."),
    ("delete", "Empty a slot, or take a LoRA out."),
    ("left right", "Less or more on a slider; the next of the bars of block weights. With shift a little."),
    ("up down", "More or less on a bar; with shift a little."),
    ("home end", "The lowest or the highest."),
    ("0-9 . -", "Type the number itself, also one beyond the ends."),
    ("mouse", "Click or drag a slider; draw over the bars."),
)

_NAMES = {"slash": "/", "question_mark": "?", "escape": "esc", "pageup": "pgup", "pagedown": "pgdn"}


class HelpBody(Widget):
    """The text of the help."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"help--heading", "help--key", "help--text"}

    def __init__(self, *scopes: str) -> None:
        super().__init__()
        self._scopes = scopes

    def render(self) -> RenderableType:
        """A table for each scope, and one of queries."""
        parts: list[RenderableType] = []
        for scope in self._scopes:
            parts += [self._heading(SCOPES[scope]), self._table((self._keys(a), a.help) for a in actions(scope))]
            parts += [self._heading("Fields"), self._table(FIELDS)] if scope == "lab" else []
        return Group(*parts, self._heading("Queries"), self._table(QUERIES))

    def _heading(self, text: str) -> Text:
        return Text(f"\n{text.upper()}", ink(self, "help--heading"))

    def _table(self, rows: Iterable[tuple[str, str]]) -> Table:
        rows = list(rows)
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=max(len(left) for left, _ in rows))
        table.add_column(ratio=1)
        for left, right in rows:
            table.add_row(Text(left, ink(self, "help--key")), Text(right, ink(self, "help--text")))
        return table

    def _keys(self, action: Action) -> str:
        keys = getattr(self.app, "keys", {}).get(action.id, action.keys)
        return " ".join(key_name(key) for key in keys.split(","))


def key_name(key: str) -> str:
    """What a key is called on a keyboard: `^p`, `/`, `pgup`."""
    *modifiers, last = key.strip().split("+")
    return "".join("^" if m == "ctrl" else f"{m}-" for m in modifiers) + _NAMES.get(last, last)


class HelpScreen(ModalScreen[None]):
    """The help over whatever screen it was asked from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss(None)", "Close", show=False, id="help.close"),
    ]

    def __init__(self, *scopes: str) -> None:
        super().__init__()
        self._scopes = scopes

    def compose(self) -> ComposeResult:
        """A scrolling box."""
        with Vertical(classes="dialog -tall") as box:
            box.border_title = "Keys and queries"
            with VerticalScroll():
                yield HelpBody(*self._scopes)
            yield Static("arrows scroll · escape closes", markup=False, classes="keys")
