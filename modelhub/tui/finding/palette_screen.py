"""The palette: type a few letters of an action, a place, an asset, a command or a theme, and choose it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, Static

from modelhub.catalog.asset import Asset
from modelhub.errors import BadQueryError
from modelhub.tui.finding.palette import (
    MOST_ASSETS,
    Entry,
    action_entries,
    asset_entries,
    command_entries,
    ranked,
    recipe_entries,
    theme_entries,
)
from modelhub.tui.themes import settled_theme, try_theme
from modelhub.tui.widgets.cut import cut
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.commands.form import CommandForm
    from modelhub.tui.lab.history import Entry as Recipe

#: Seconds that typing pauses before the catalog is asked, and that the cursor rests before a theme is tried on.
_PAUSE = 0.06
_KIND, _LABEL = 9, 26


class PaletteList(LineList):
    """Entries: what each is, its name, what it does, and its keys at the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--kind", "list--label", "list--muted", "list--key"}

    def __init__(self) -> None:
        super().__init__()
        self.can_focus = False
        self.entries: Sequence[Entry] = ()

    def show(self, entries: Sequence[Entry], *, more: bool = False) -> None:
        """Others than before, from the first; `more` of the same: a cursor that was moved stays on its entry."""
        here = self.current if more and self.cursor else None
        self.entries = entries
        self.count = len(entries)
        self.cursor = next((at for at, one in enumerate(entries) if one is here), 0)
        self.tell(self.Highlighted(self, self.cursor))
        self.refresh()

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """One entry."""
        entry = self.entries[number]
        keys = min(len(entry.keys) + 2, 14) if entry.keys else 0
        label = max(_LABEL, len(entry.label) + 2) if entry.kind in ("Asset", "Command") else _LABEL
        label = min(label, max(_LABEL, (width - _KIND - keys) * 2 // 3))
        rest = max(0, width - _KIND - label - keys - 1)
        return [
            Segment(cell(f" {entry.kind}", _KIND), style + ink(self, "list--kind")),
            Segment(cell(entry.label, label), style + ink(self, "list--label")),
            Segment(cut(entry.help, rest), style + ink(self, "list--muted")),
            Segment(cell(entry.keys, keys, right=True) + " ", style + ink(self, "list--key")),
        ]


class PaletteScreen(ModalScreen[None]):
    """Everything by its name; or the `themes` alone, each worn while the cursor is on it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False, priority=True, id="palette.close"),
        Binding("down,ctrl+n", "move('cursor_down')", "Next", show=False, priority=True, id="palette.down"),
        Binding("up,ctrl+p", "move('cursor_up')", "Previous", show=False, priority=True, id="palette.up"),
        Binding("pagedown", "move('page_down')", "Page down", show=False, priority=True, id="palette.page_down"),
        Binding("pageup", "move('page_up')", "Page up", show=False, priority=True, id="palette.page_up"),
    ]
    AUTO_FOCUS = "Input"

    @dataclass
    class Assets(Message):
        """What the catalog found for what was typed."""

        typed: str
        assets: list[Asset]

    @dataclass
    class Commands(Message):
        """The commands of the command line are known."""

        forms: Sequence[CommandForm]

    @dataclass
    class Recipes(Message):
        """What the history of the merge lab has."""

        kept: Sequence[Recipe]

    def __init__(self, *, themes: bool = False) -> None:
        super().__init__()
        self._themes = themes
        self._entries: list[Entry] = []
        self._found: list[Entry] = []
        self._pause: Timer | None = None
        self._rest: Timer | None = None

    @property
    def _hub(self) -> ModelhubApp:
        return cast("ModelhubApp", self.app)

    def compose(self) -> ComposeResult:
        """A field over what it finds."""
        what = "a theme" if self._themes else "an action, a place, an asset, a command, a theme"
        with Vertical(classes="dialog -tall", id="palette") as box:
            box.border_title = "Theme" if self._themes else "Palette"
            yield TextField(placeholder=what, compact=True, select_on_focus=False)
            yield PaletteList()
            yield Static("type to find · arrows move · enter takes · escape leaves", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Themes at once, or actions at once and commands when they are known."""
        if self._themes:
            self._entries = theme_entries(self._hub, tries=True)
            self._show()
            names = [entry.label for entry in self._entries]
            self.list.cursor = names.index(self.app.theme) if self.app.theme in names else 0
            return
        below = self.app.screen_stack[-2]
        self._entries = action_entries(self._hub, below) + theme_entries(self._hub, tries=False)
        self._show()
        self._read_commands()
        self._read_recipes()

    @property
    def list(self) -> PaletteList:
        """What was found."""
        return self.query_one(PaletteList)

    @property
    def _typed(self) -> str:
        return self.query_one(Input).value

    def _show(self, *, more: bool = False) -> None:
        self.list.show(ranked([*self._entries, *self._found], self._typed), more=more)

    # -- what is looked for in threads -----------------------------------------------------------------------------

    @background("commands")
    def _read_commands(self, job: WorkerJob) -> None:
        from modelhub.tui.commands.form import all_forms

        if self._hub.parser is not None:
            job.post(self.Commands(all_forms(self._hub.parser)))

    @on(Commands)
    def _commands(self, message: Commands) -> None:
        self._entries += command_entries(self._hub, message.forms)
        if self._typed:
            self._show(more=True)

    @background("recipes")
    def _read_recipes(self, job: WorkerJob) -> None:
        from modelhub.tui.lab.history import History

        job.post(self.Recipes(History(self._hub.library.folder).entries()))

    @on(Recipes)
    def _recipes(self, message: Recipes) -> None:
        self._entries += recipe_entries(self._hub, message.kept)
        if self._typed:
            self._show(more=True)

    @background("assets")
    def _search(self, job: WorkerJob, typed: str) -> None:
        found: list[Asset] = []
        with suppress(BadQueryError), self._hub.library.open() as catalog:
            found = catalog.assets(catalog.ids(typed)[:MOST_ASSETS])
        job.post(self.Assets(typed, found))

    @on(Assets)
    def _assets(self, message: Assets) -> None:
        if message.typed == self._typed:
            self._found = asset_entries(self._hub, message.assets)
            self._show(more=True)

    # -- typing and choosing ---------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _changed(self) -> None:
        self._found = []
        self._show()
        if self._pause is not None:
            self._pause.stop()
        if len(self._typed.strip()) > 1 and not self._themes:
            self._pause = self.set_timer(_PAUSE, lambda: self._search(self._typed))

    @on(LineList.Highlighted)
    def _highlighted(self) -> None:
        """A theme is tried on where the cursor rests."""
        if self._rest is not None:
            self._rest.stop()
        entry = self.list.current
        if entry is not None and entry.tries is not None:
            self._rest = self.set_timer(_PAUSE, entry.tries)

    def action_move(self, how: str) -> None:
        """The cursor moves while the field keeps the focus."""
        getattr(self.list, f"action_{how}")()

    @on(Input.Submitted)
    @on(LineList.Clicked)
    def _take(self) -> None:
        entry = self.list.current
        if entry is None:
            self.app.bell()
            return
        if self._rest is not None:
            self._rest.stop()
        self.dismiss(None)
        self.app.call_later(entry.run)

    def action_leave(self) -> None:
        """Close; the theme is what it was."""
        if self._rest is not None:
            self._rest.stop()
        if self._themes:
            try_theme(self._hub, settled_theme(self._hub))
        self.dismiss(None)
