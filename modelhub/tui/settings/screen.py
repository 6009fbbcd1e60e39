"""Settings: appearance, folders, downloads, previews, tokens, keys, and where everything lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from modelhub.settings import Settings
from modelhub.tui.actions import bindings
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.keys.keys_pane import KeysPane
from modelhub.tui.screens.place import Place
from modelhub.tui.settings.fields import FIELDS, SECTIONS
from modelhub.tui.settings.folders_pane import FoldersPane
from modelhub.tui.settings.section_list import SectionList
from modelhub.tui.settings.setting_rows import SettingRow
from modelhub.tui.settings.theme_list import ThemeList
from modelhub.tui.settings.tokens_pane import TokensPane
from modelhub.tui.widgets.line_list import LineList


class SettingsScreen(Place):
    """Sections at the left, what is in one at the right. Whatever is changed is written at once."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("settings")]
    AUTO_FOCUS = "SectionList"
    scope: ClassVar[str] = "settings"

    def body(self) -> ComposeResult:
        """Two columns."""
        with Horizontal(id="settings-panes"):
            yield SectionList(id="sections")
            with ContentSwitcher(initial="section-look", id="section"):
                for name in SECTIONS:
                    fixed = name in ("look", "folders", "keys")
                    with VerticalScroll(id=f"section-{name}", classes="-fixed" if fixed else "", can_focus=False):
                        yield from self._parts(name)

    def _parts(self, name: str) -> Iterator[Widget]:
        if name == "look":
            yield Static("Theme: arrows try one on, enter keeps it.", markup=False, classes="title")
            yield ThemeList(id="themes")
        special: dict[str, Any] = {
            "folders": lambda: FoldersPane(self.library),
            "tokens": TokensPane,
            "keys": KeysPane,
            "files": lambda: FilesPane(self.hub.library.folder),
        }
        if name in special:
            yield special[name]()
        yield from self._rows(name)

    def _rows(self, section: str) -> Iterable[SettingRow]:
        values, defaults = self.settings._asdict(), Settings()._asdict()
        return [SettingRow(one, values[one.name], defaults[one.name]) for one in FIELDS if one.section == section]

    def on_mount(self) -> None:
        """The section that was looked at last."""
        self.show_section(str(self.remembered.get("section")))

    def remember(self) -> dict[str, Any]:
        """The section."""
        return {"section": self.list.current}

    @property
    def list(self) -> SectionList:
        """The sections."""
        return self.query_one(SectionList)

    def show_section(self, name: str) -> None:
        """Show one by its id; any other id changes nothing."""
        if name in SECTIONS:
            self.list.cursor = list(SECTIONS).index(name)

    @on(LineList.Highlighted, "#sections")
    def _highlighted(self) -> None:
        self.query_one("#section", ContentSwitcher).current = f"section-{self.list.current}"

    @on(SectionList.Entered)
    @on(LineList.Clicked, "#sections")
    def action_enter(self) -> None:
        """Into the section, when it is there."""
        self.call_after_refresh(self._go_in)

    def _go_in(self) -> None:
        """To the first list in it, or else the first thing that takes keys."""
        shown = self.query_one(f"#section-{self.list.current}")
        found = [one for one in self.focus_chain if shown in one.ancestors]
        first = next((one for one in found if isinstance(one, LineList)), next(iter(found), None))
        if first is not None:
            first.focus()

    @on(SettingRow.Said)
    def _said(self, message: SettingRow.Said) -> None:
        self.hub.keep_settings(**{message.name: message.value})

    def action_back(self) -> None:
        """Stop what runs, or back to the sections, or to the library."""
        if self.stop_last():
            return
        if self.focused is not self.list:
            self.list.focus()
        else:
            super().action_back()


class FilesPane(SectionBody):
    """Where everything lies, and what helps."""

    def __init__(self, home: Any) -> None:
        super().__init__()
        self._home = home

    def sections(self) -> Iterable[Section]:
        """Files, then hints."""
        names = {
            "settings": "settings.toml", "keys": "keys.toml", "catalog": "catalog.db", "the TUI": "state.json",
        }  # fmt: skip
        facts = tuple(Fact(label, str(self._home / name)) for label, name in names.items())
        yield Section("Where everything lies", facts)
        yield Section(
            "Clipboard and mouse",
            (
                Fact("copying", "goes to the clipboard of your own machine by OSC 52, also over SSH."),
                Fact("in tmux", "it needs `set -g set-clipboard on` in tmux.conf; the mouse `set -g mouse on`."),
                Fact("selecting", "with shift and the mouse selects text as your terminal does (option on a Mac)."),
            ),
        )
        yield Section(
            "Files by hand",
            (
                Fact("settings.toml", "may be edited while modelhub runs: comments and what it does not know stay."),
                Fact("keys.toml", 'has lines such as "browse.tag" = "t,ctrl+t"; "none" takes all keys away.'),
            ),
        )
