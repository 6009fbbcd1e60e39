"""The terminal interface itself: one catalog, the places, the jobs, and the dialog that every error ends in."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.binding import BindingType
from textual.css.query import NoMatches

from modelhub.errors import ModelhubError, UsageError
from modelhub.settings import Settings, load_settings, save_settings
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.jobs.center import JobCenter, JobEnded, JobMoved
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.keys.keymap import load_keys
from modelhub.tui.library import Library
from modelhub.tui.memory import Memory
from modelhub.tui.pictures.graphics import GraphicApp, find_graphics, tell_colours
from modelhub.tui.places import PLACES
from modelhub.tui.screens.dialogs import ErrorDialog, confirm
from modelhub.tui.screens.place import Place
from modelhub.tui.stylesheet import Styles
from modelhub.tui.themes import INK, wear_density
from modelhub.tui.work import Failed

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset

_STYLES = Path(__file__).parent / "styles"
#: Seconds between two looks at what is to be remembered.
_REMEMBER = 5.0


class ModelhubApp(GraphicApp[int], inherit_bindings=False):
    """modelhub in a terminal. `keys` are those of keys.toml, `parser` makes the parser of the command line."""

    CSS_PATH = sorted(_STYLES.glob("*.tcss"))
    TITLE = "modelhub"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self,
        library: Library,
        settings: Settings | None = None,
        keys: Mapping[str, str] | None = None,
        parser: Callable[[], ArgumentParser] | None = None,
    ) -> None:
        super().__init__()
        self.library, self.settings = library, settings or Settings()
        self._wear_theme()
        self.keys, self.parser = dict(keys or {}), parser
        self.jobs = JobCenter(self)
        self.memory = Memory(library.folder)
        self.jobs.recall(self.memory.get("jobs"))
        #: Whether a theme is tried on, and not to be kept.
        self.trying = False

    def _wear_theme(self) -> None:
        """The theme of the settings, before the styles are read: with another one they would be read again."""
        self.register_theme(INK)
        known = self.settings.theme in self.available_themes
        self.set_reactive(type(self).theme, self.settings.theme if known else INK.name)
        self.stylesheet = Styles(variables=self.get_css_variables())

    async def on_mount(self) -> None:
        """Keys, and the first place."""
        self.set_keymap(self.keys)
        wear_density(self)
        for place in PLACES:
            self.add_mode(place.id, partial(place.make, self.library))
        await self.switch_mode("browse")
        self.watch(self, "theme", self._keep_theme, init=False)
        self.set_interval(_REMEMBER, self._remember)
        if self.settings.theme not in self.available_themes:
            self.notify(f"There is no theme '{self.settings.theme}'; F2 lists them.", severity="warning", markup=False)

    # -- places --------------------------------------------------------------------------------------------------------

    @property
    def here(self) -> str:
        """The id of the place at hand."""
        return self.current_mode

    def place(self, name: str) -> Place | None:
        """The screen of a place, if it was gone to."""
        stack = self._screen_stacks.get(name)
        return cast(Place, stack[0]) if stack else None

    def go(self, name: str) -> None:
        """To a place; what is open over it is as it was."""
        self.switch_mode(name)

    def action_go(self, name: str) -> None:
        """To a place."""
        self.go(name)

    def action_beside(self, steps: int) -> None:
        """To the place left or right of this one."""
        names = [place.id for place in PLACES]
        at = names.index(self.here) if self.here in names else 0
        self.go(names[(at + steps) % len(names)])

    async def merge(self, models: Sequence[Asset], loras: Sequence[Asset] = ()) -> None:
        """To the merge lab, with these models and LoRAs in its form."""
        from modelhub.tui.lab.screen import MergeLab

        await self.switch_mode("lab")
        await cast(MergeLab, self.place("lab")).take(models, loras)

    async def stack(self, models: Sequence[Asset], loras: Sequence[Asset]) -> None:
        """To the LoRA place, with the first of these models, and these LoRAs below those of its stack."""
        from modelhub.tui.loras.screen import LoraScreen

        await self.switch_mode("lora")
        cast(LoraScreen, self.place("lora")).take(models, loras)

    async def convert(self, assets: Sequence[Asset]) -> None:
        """To the place where files are converted, with these among its files."""
        from modelhub.tui.convert.screen import ConvertScreen

        await self.switch_mode("convert")
        cast(ConvertScreen, self.place("convert")).take(assets)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    @on(JobMoved)
    def _moved(self, message: JobMoved) -> None:
        self.jobs.moved(message)

    @on(JobEnded)
    def _ended(self, message: JobEnded) -> None:
        self.jobs.ended(message)
        self._announce(message.record)

    def _announce(self, record: JobRecord) -> None:
        """What came of a job: an error where it was started is a dialog, all else is a notice."""
        if record.state is State.FAILED and record.error is not None:
            if record.place == self.here:
                self.explain(record.error)
            else:
                self.notify(record.error.message, title=f"{record.title} failed", severity="error", markup=False)
        elif record.state is State.DONE and record.says:
            self.notify(record.says, title=record.title, markup=False)
        elif record.state is State.STOPPED:
            self.notify("Stopped; nothing half-written is left behind.", title=record.title, markup=False, timeout=3)

    # -- memory --------------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Keep what the places say of themselves; a full disk is no reason to disturb anybody every five seconds."""
        for place in PLACES:
            screen = self.place(place.id)
            if screen is not None and screen.is_mounted:
                with suppress(NoMatches):  # what is half built or half taken down stays as it was remembered
                    self.memory.put(place.id, screen.remember())
        self.memory.put("jobs", self.jobs.remember())
        try:
            self.memory.save()
        except ModelhubError as error:
            self.log.error(error.message)

    def _keep_theme(self, theme: str) -> None:
        """Write a theme that was chosen to settings.toml, beside what stands there by now."""
        if not self.trying:
            self.keep_settings(theme=theme)

    def keep_settings(self, **changed: Any) -> bool:
        """Take other settings, and write them to settings.toml beside what stands there by now; False if that fails."""
        try:
            save_settings(load_settings(self.library.folder)._replace(**changed), self.library.folder)
        except ModelhubError as error:
            self.explain(error)
            return False
        self.settings = self.settings._replace(**changed)
        wear_density(self)
        return True

    # -- small things --------------------------------------------------------------------------------------------------

    def explain(self, error: ModelhubError) -> None:
        """Show an error with its next step."""
        self.push_screen(ErrorDialog(error))

    def action_interrupt(self) -> None:
        """Ctrl-C by habit loses nothing: it only tells the keys that stop and leave."""
        self.notify("Press escape to stop a job, ctrl+q to leave.", markup=False, timeout=3)

    async def action_quit(self) -> None:
        """Leave; ask first if that would stop jobs."""
        running = len(self.jobs.open)
        if not running:
            self.leave()
            return
        text = f"{plural(running, 'job')} would be stopped. Nothing half-written is left behind; downloads go on later."
        confirm(self, "Leave modelhub", text, "Stop and leave", self.leave)

    def leave(self) -> None:
        """Remember, and end."""
        self._remember()
        self.exit(0)

    def on_unmount(self) -> None:
        """However it ends, no job goes on behind it."""
        self.jobs.close()

    def action_help(self) -> None:
        """The keys of this screen."""
        from modelhub.tui.finding.help import HelpScreen

        self.push_screen(HelpScreen(getattr(self.screen, "scope", ""), self.screen.focused))

    def action_command_palette(self) -> None:
        """Anything by its name."""
        from modelhub.tui.finding.palette_screen import PaletteScreen

        self.push_screen(PaletteScreen())

    def action_change_theme(self) -> None:
        """Themes alone, each worn while the cursor is on it."""
        from modelhub.tui.finding.palette_screen import PaletteScreen

        self.push_screen(PaletteScreen(themes=True))

    def action_jump(self) -> None:
        """Letters on everything that can be reached."""
        from modelhub.tui.finding.jump_screen import JumpScreen

        self.push_screen(JumpScreen(self.screen))

    def action_commands(self) -> None:
        """Any command of the command line."""
        from modelhub.tui.commands.screen import open_commands

        open_commands(self)

    async def on_paste(self, event: events.Paste) -> None:
        """What is pasted beside all fields is meant for the downloads, if it reads as an address."""
        from modelhub.tui.download.pasting import take_pasted

        await take_pasted(self, event.text)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.explain(message.error)


def run(folder: Path | None = None, parser: Callable[[], ArgumentParser] | None = None) -> int:
    """Open the interface on the catalog in `folder` (default: `settings.home()`); returns the exit code.

    `parser` makes the parser of the command line. Raises UsageError without a terminal or with settings that cannot be
    read, FileError for an unusable catalog.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        raise UsageError("The interface needs a terminal.", "Run `modelhub --help` for the commands.")
    settings = load_settings(folder)
    graphics = find_graphics(settings.pictures)
    tell_colours(graphics)
    library = Library(folder)
    try:
        app = ModelhubApp(library, settings, load_keys(library.folder), parser)
        app.graphics = graphics
        app.run()
        return app.return_code or 0
    finally:
        library.close()
