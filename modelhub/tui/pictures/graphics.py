"""How pictures are shown: by half-blocks everywhere, by kitty's graphics or sixel where terminal and user want it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from weakref import WeakSet

from textual.app import App

from modelhub.tui.pictures.terminal import Terminal, cell_size, drop_late_answers

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen

    from modelhub.tui.pictures.picture import Picture

Result = TypeVar("Result")
Way = Literal["blocks", "kitty", "sixel", "off"]

#: Seconds that a terminal gets to answer; over SSH the answer has a way to go.
_PATIENCE, _PATIENCE_SSH = 0.4, 0.7
#: They show no graphics, or what goes through them does not arrive; nothing is asked there.
_PLAIN = ("tmux", "screen", "linux", "dumb")
#: What a cell measures in most terminals.
_USUAL_CELL = (10, 20)
#: Pixels of the longer side of a picture that is read to be shown: by half-blocks two in each row, else fine ones.
_COARSE, _FINE = 256, 768


@dataclass
class Graphics:
    """What the terminal can do beside half-blocks; `asked_cell` is the size of a cell that it told, if it had to.

    `failed`: ways that did not work after all. `painters`: the widgets that paint sixels over their text.
    """

    ways: frozenset[str] = frozenset()
    asked_cell: tuple[int, int] | None = None
    failed: set[str] = field(default_factory=set)
    painters: WeakSet[Picture] = field(default_factory=WeakSet)

    def way(self, wish: str) -> Way:
        """How to show a picture when the user wishes auto, blocks, kitty, sixel or off."""
        if wish in ("blocks", "off"):
            return cast(Way, wish)
        for way in ("sixel", "kitty") if wish == "auto" else (wish,):
            if way in self.ways and way not in self.failed and (way == "kitty" or self.known_cell):
                return cast(Way, way)
        return "blocks"

    @property
    def known_cell(self) -> tuple[int, int] | None:
        """Width and height of a cell in pixels, if that is known."""
        return (cell_size() or self.asked_cell) if self.ways else None

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of a cell in pixels, as near as it is known."""
        return self.known_cell or _USUAL_CELL

    def side(self, wish: str) -> int:
        """Pixels of the longer side that a picture need not exceed; 0 where none is shown."""
        return {"blocks": _COARSE, "off": 0}.get(self.way(wish), _FINE)


class GraphicApp(App[Result], inherit_bindings=False):
    """An app whose pictures are shown as `graphics` can."""

    graphics = Graphics()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Sixels are painted over the text that was written."""
        if self.graphics.painters:
            from modelhub.tui.pictures.picture_sixel import paint_over

            renderable = paint_over(screen, renderable, self.graphics.painters)
        super()._display(screen, renderable)


def side_in(app: App[Any]) -> int:
    """`Graphics.side` in an app, which need not be the whole of modelhub."""
    found = getattr(app, "graphics", None)
    graphics = found if isinstance(found, Graphics) else Graphics()
    return graphics.side(getattr(getattr(app, "settings", None), "pictures", "auto"))


def find_graphics(wish: str, environment: Mapping[str, str] = os.environ) -> Graphics:
    """Ask the terminal what it can do, before Textual reads from it; at once where the answer is known.

    Sixel comes first: of the terminals that have both, none shows kitty's pictures among text.
    """
    if wish in ("blocks", "off") or not _may_ask(environment):
        return Graphics()
    terminal = Terminal(_PATIENCE_SSH if "SSH_CONNECTION" in environment else _PATIENCE)
    ways, cell = set(), None
    if wish in ("auto", "sixel"):
        has_sixel, cell = terminal.sixel()
        if has_sixel and find_spec("textual_image") is not None:
            ways.add("sixel")
    if not ways and wish in ("auto", "kitty") and terminal.kitty():
        ways.add("kitty")
    if terminal.is_silent:
        drop_late_answers()
    return Graphics(frozenset(ways), cell)


def _may_ask(environment: Mapping[str, str]) -> bool:
    """Whether this is a terminal that may have graphics, and that nobody stands before who would swallow them."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    through = {"TEXTUAL_DRIVER", "TMUX", "STY", "ZELLIJ", "NO_COLOR"} & set(environment)
    return not through and not environment.get("TERM", "dumb").startswith(_PLAIN)


def tell_colours(graphics: Graphics, environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """A terminal with kitty's graphics has all colours, though SSH does not pass on that it says so.

    Its pictures are numbered by the colour of text, which must arrive as it is.
    """
    if "kitty" in graphics.ways:
        environment.setdefault("COLORTERM", "truecolor")
