"""A place: a screen that stays while others are gone to, below the bar of all places and above the running jobs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from modelhub.text import human_seconds
from modelhub.tui.jobs.job_line import JobLine
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.widgets.key_bar import KeyBar
from modelhub.tui.widgets.nav_bar import NavBar

if TYPE_CHECKING:
    from modelhub.errors import ModelhubError
    from modelhub.settings import Settings
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.jobs.center import JobCenter
    from modelhub.tui.jobs.record import JobRecord

NARROW, WIDE = 100, 160
#: Seconds after which a job is not stopped without a question.
_LONG = 30.0


class Place(Screen[None]):
    """A subclass gives its `scope`, which is its id among the places, and its `body`.

    What `remember` returns is there as `remembered` after a restart: plain values, of which none can be relied upon.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-normal"), (WIDE, "-wide")]  # noqa: RUF012 (Textual's)
    scope: ClassVar[str] = ""

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.library = library

    def body(self) -> ComposeResult:
        """What stands between the bar and the jobs."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The bar, the body, the running jobs, the keys."""
        yield NavBar(self.scope)
        yield from self.body()
        yield JobLine()
        yield KeyBar()

    @property
    def hub(self) -> ModelhubApp:
        """The app, by its own class."""
        return cast("ModelhubApp", self.app)

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.hub.settings

    @property
    def jobs(self) -> JobCenter:
        """Where long work is started, so that it outlives this place."""
        return self.hub.jobs

    @property
    def remembered(self) -> dict[str, Any]:
        """What `remember` said before the last restart."""
        return self.hub.memory.get(self.scope)

    def remember(self) -> dict[str, Any]:
        """Plain values to be remembered."""
        return {}

    def explain(self, error: ModelhubError) -> None:
        """Show an error with its next step."""
        self.hub.explain(error)

    def stop(self, record: JobRecord) -> None:
        """Ask a job to stop; the user is asked first if it has run for long."""
        if record.seconds <= _LONG:
            self.jobs.cancel(record)
            return
        text = f"{record.title} has run for {human_seconds(record.seconds)}. Nothing half-written is left behind."
        confirm(self, "Stop the job", text, "Stop it", partial(self.jobs.cancel, record))

    def stop_last(self) -> bool:
        """`stop` the newest of the jobs of this place, which is the one that the line of jobs shows."""
        running = [record for record in self.jobs.open if record.place == self.scope]
        for record in running[-1:]:
            self.stop(record)
        return bool(running)

    def action_back(self) -> None:
        """To the library."""
        self.hub.go("browse")
