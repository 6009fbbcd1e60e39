"""The terminal interface itself: one catalog, the screens, the themes, and the dialog that every error ends in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType

from modelhub.errors import ModelhubError, UsageError
from modelhub.settings import Settings, load_settings, save_settings
from modelhub.tui.actions import bindings
from modelhub.tui.keymap import load_keys
from modelhub.tui.library import Library
from modelhub.tui.palette import ActionCommands
from modelhub.tui.screens.browse import BrowseScreen
from modelhub.tui.screens.dialogs import ErrorDialog
from modelhub.tui.screens.help import HelpScreen
from modelhub.tui.themes import INK
from modelhub.tui.work import Failed


class ModelhubApp(App[int], inherit_bindings=False):
    """modelhub in a terminal. `keys` are those of keys.toml."""

    CSS_PATH = "app.tcss"
    TITLE = "modelhub"
    COMMANDS = {ActionCommands}  # noqa: RUF012 (Textual's declaration)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self, library: Library, settings: Settings | None = None, keys: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.library, self.settings = library, settings or Settings()
        self.keys = dict(keys or {})

    def on_mount(self) -> None:
        """Colours, keys, the first screen."""
        self.register_theme(INK)
        known = self.settings.theme in self.available_themes
        self.theme = self.settings.theme if known else INK.name
        self.set_keymap(self.keys)
        self.push_screen(BrowseScreen(self.library, self.settings))
        self.watch(self, "theme", self._keep_theme, init=False)
        if not known:
            self.notify(f"There is no theme '{self.settings.theme}'; F2 lists them.", severity="warning", markup=False)

    def _keep_theme(self, theme: str) -> None:
        """Write a theme that was chosen to settings.toml, beside what stands there by now."""
        try:
            save_settings(load_settings(self.library.folder)._replace(theme=theme), self.library.folder)
        except ModelhubError as error:
            self.push_screen(ErrorDialog(error))

    def action_interrupt(self) -> None:
        """Ctrl-C by habit loses nothing: it only tells the keys that stop and leave."""
        self.notify("Press escape to stop a job, ctrl+q to leave.", markup=False, timeout=3)

    def action_help(self) -> None:
        """The keys of this screen."""
        scope = getattr(self.screen, "scope", "browse")
        self.push_screen(HelpScreen(scope, "list", "app"))

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.push_screen(ErrorDialog(message.error))


def run(folder: Path | None = None) -> int:
    """Open the interface on the catalog in `folder` (default: `settings.home()`); returns the exit code.

    Raises UsageError without a terminal or with settings that cannot be read, FileError for an unusable catalog.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        raise UsageError("The interface needs a terminal.", "Run `modelhub --help` for the commands.")
    settings = load_settings(folder)
    library = Library(folder)
    try:
        app = ModelhubApp(library, settings, load_keys(library.folder))
        app.run()
        return app.return_code or 0
    finally:
        library.close()
