"""A small program for the fake terminal: a picture with a line under it, a dialog, a notice, another picture, a hole."""

from __future__ import annotations

import os
import sys
from typing import ClassVar

import numpy as np
from textual import events
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from modelhub.settings import Settings
from modelhub.tui.pictures import graphics
from modelhub.tui.pictures.graphics import GraphicApp
from modelhub.tui.pictures.picture import Picture


def picture(turn: int):
    """A picture [120,160,3] with few colours, another for each turn."""
    y, x = np.mgrid[:120, :160]
    return np.stack([x // 40 * 60, y // 40 * 80, np.full_like(x, 40 * turn % 256)], -1).astype(np.uint8)


KEYS = {"d": "dialog", "t": "tell", "n": "next", "x": "none", "h": "hide", "s": "scroll", "ctrl+q": "quit"}


class Dialog(ModalScreen[None]):
    BINDINGS: ClassVar = [Binding("escape", "app.pop_screen")]
    CSS = "Dialog { align: center middle; } #box { width: 20; height: 5; }"

    def compose(self):
        yield Static("a dialog", id="box")


class Show(GraphicApp[None]):
    """A picture between two texts, in what can be scrolled."""

    CSS = "Picture { height: 20; width: 60; } #below { height: 60; }"
    BINDINGS: ClassVar = [Binding(*pair) for pair in KEYS.items()]

    def __init__(self, wish: str) -> None:
        super().__init__()
        self.settings = Settings(pictures=wish)
        self.turn, self.keys = 0, ""

    def compose(self):
        with VerticalScroll():
            yield Static("above", id="above")
            yield Picture()
            yield Static("below", id="below")

    def on_mount(self) -> None:
        if "WIDE" in os.environ:
            self.query_one(Picture).styles.width, self.query_one(Picture).styles.height = "100%", 37
        self.action_next()

    def on_key(self, event: events.Key) -> None:
        self.keys += event.character or ""
        self.query_one("#above", Static).update(f"typed: {self.keys}")

    def action_next(self) -> None:
        self.turn += 1
        self.query_one(Picture).pixels = picture(self.turn)

    def action_none(self) -> None:
        self.query_one(Picture).pixels = None

    def action_hide(self) -> None:
        self.query_one(Picture).display ^= True

    def action_dialog(self) -> None:
        self.push_screen(Dialog())

    def action_tell(self) -> None:
        self.notify("a notice", timeout=2)

    def action_scroll(self) -> None:
        self.query_one(VerticalScroll).scroll_to(y=0 if self.query_one(VerticalScroll).scroll_y else 10, animate=False)


def main() -> None:
    wish = os.environ.get("PICTURES", "auto")
    for name in ("PATIENCE", "PATIENCE_SSH"):  # for a terminal that answers late only because this machine is busy
        if name in os.environ:
            setattr(graphics, f"_{name}", float(os.environ[name]))
    found = graphics.find_graphics(wish)
    graphics.tell_colours(found)
    app = Show(wish)
    app.graphics = found
    app.run()
    if app.return_code:
        sys.exit(app.return_code)


if __name__ == "__main__":
    main()
