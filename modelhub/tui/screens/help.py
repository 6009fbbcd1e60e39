"""Help: every key from the table of actions, and the query language by example."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.keys import format_key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from modelhub.tui.actions import SCOPES, Action, actions

QUERIES = (
    ("anime portrait", "both words, anywhere in path, title, trigger words, notes or tags"),
    ("kind:lora arch:sdxl", "LoRAs for SDXL"),
    ("tag:anime -tag:nsfw", "tagged anime, and not nsfw"),
    ("size:>2GB dtype:fp16", "larger than 2 GB, half precision"),
    ("rating:>=4 OR tag:keep", "four stars or more, or tagged keep"),
    ('"two words" (arch:sd1 OR arch:sd2)', "a phrase, and one of two architectures"),
    ("missing:yes", "files that are gone"),
    ("problem:yes", "files that could not be read"),
)


class HelpBody(Widget):
    """The text of the help."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"help--heading", "help--key", "help--label", "help--text"}

    def __init__(self, *scopes: str) -> None:
        super().__init__()
        self._scopes = scopes

    def render(self) -> RenderableType:
        """A table for each scope, and one of queries."""
        parts: list[RenderableType] = []
        for scope in self._scopes:
            rows = [(self._keys(action), action.label, action.help) for action in actions(scope)]
            parts += [self._heading(SCOPES[scope]), self._table(rows, 11)]
        parts += [self._heading("Queries"), self._table([(query, "", what) for query, what in QUERIES], 36)]
        return Group(*parts)

    def _heading(self, text: str) -> Text:
        return Text(f"\n{text.upper()}", self._style("heading"))

    def _table(self, rows: list[tuple[str, str, str]], width: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=width)
        if any(label for _, label, _ in rows):
            table.add_column(width=12)
        table.add_column(ratio=1)
        for row in rows:
            looks = zip(row, ("key", "label", "text"), strict=True)
            table.add_row(*(Text(text, self._style(look)) for text, look in looks if text))
        return table

    def _keys(self, action: Action) -> str:
        keys = self.app.keys_of(action) if hasattr(self.app, "keys_of") else action.keys
        return " ".join("^" + key[5:] if key.startswith("ctrl+") else format_key(key) for key in keys.split(","))

    def _style(self, look: str) -> Style:
        return self.get_component_rich_style(f"help--{look}", partial=True)


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
