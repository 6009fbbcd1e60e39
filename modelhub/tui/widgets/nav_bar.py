"""The bar of places at the top: where one is, where one can go, and how many jobs run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.text import plural
from modelhub.tui.places import PLACES
from modelhub.tui.widgets.ink import ink

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

_BRAND, _MARK = " ◆ modelhub ", " ◆ "
#: Columns from which the whole name of the program is shown.
_ROOMY = 100


class NavBar(Widget):
    """All places, with the one at hand lit; a click goes there."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"nav--brand", "nav--place", "nav--here", "nav--jobs"}

    running: reactive[int] = reactive(0)

    def __init__(self, here: str) -> None:
        super().__init__()
        self.here = here

    def on_mount(self) -> None:
        """Follow the jobs."""
        jobs = cast("ModelhubApp", self.app).jobs
        jobs.changed.subscribe(self, lambda _: self._count())
        self._count()

    def _count(self) -> None:
        self.running = len(cast("ModelhubApp", self.app).jobs.open)

    def spans(self) -> dict[str, tuple[int, int]]:
        """Place to the columns that its title has, from and to."""
        at = len(self._brand)
        found = {}
        for place in PLACES:
            found[place.id] = (at, at + len(place.title) + 2)
            at += len(place.title) + 2
        return found

    @property
    def _brand(self) -> str:
        return _BRAND if self.size.width >= _ROOMY else _MARK

    def render(self) -> Text:
        """One line."""
        text = Text(self._brand, ink(self, "nav--brand"), no_wrap=True, end="")
        for place in PLACES:
            here = place.id == self.here
            style = self.get_component_rich_style("nav--here") if here else ink(self, "nav--place")
            text.append(f" {place.title} ", style)
        if self.running:
            says = f"{plural(self.running, 'job')} "
            room = self.size.width - text.cell_len - len(says)
            if room >= 0:
                text.append(" " * room)
                text.append(says, ink(self, "nav--jobs"))
        return text

    def on_click(self, event: events.Click) -> None:
        """Go to the place that was clicked; the number of jobs leads to the jobs."""
        app = cast("ModelhubApp", self.app)
        for place, (first, last) in self.spans().items():
            if first <= event.x < last:
                app.go(place)
                return
        if self.running and event.x > max(last for _, last in self.spans().values()):
            app.go("jobs")
