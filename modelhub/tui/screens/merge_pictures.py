"""The pictures of the merge lab: the merge between its parents, what each shows already, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from modelhub.catalog.asset import Asset
from modelhub.tui.widgets.frame import Frame

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.kitchen import Part
    from modelhub.tui.widgets.picture import Pixels

_WAITING = "waiting…"
#: Number of models to the frames, from left to right.
_ORDER = {1: ("A", "merge"), 2: ("A", "merge", "B")}
FRAMES = ("A", "B", "C", "merge")


class MergePictures(Horizontal):
    """One frame for the merge, and one for each of its first three models."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: dict[str, tuple[Part, Request]] = {}

    def compose(self) -> ComposeResult:
        """All frames; `show_models` shows those that are needed."""
        yield from (Frame(id=f"frame-{letter}") for letter in ("A", "merge", "B", "C"))

    def frame(self, letter: str) -> Frame:
        """The frame of a letter, or of "merge"."""
        return self.query_one(f"#frame-{letter}", Frame)

    def show_models(self, models: Sequence[Asset | None]) -> None:
        """Frames for so many models, with their names."""
        order = _ORDER.get(len(models), FRAMES)
        for frame in self.query(Frame):
            frame.display = (frame.id or "").removeprefix("frame-") in order
        self.sort_children(key=lambda frame: [*order, "B", "C"].index((frame.id or "").removeprefix("frame-")))
        for letter, asset in zip("ABC", models, strict=False):
            self.frame(letter).title = f"{letter} {asset.path.stem}" if asset else letter
        self.frame("merge").title = "merge"

    def expect(self, parts: Sequence[Part], request: Request) -> list[Part]:
        """Those of `parts` that are not shown as `request` asks for; their frames wait for them from now on."""
        todo = [part for part in parts if self._shown.get(part.letter) != (part, request)]
        for part in todo:
            self._shown.pop(part.letter, None)
            frame = self.frame(part.letter)
            frame.note = _WAITING
            frame.title = part.title if part.letter == "merge" else f"{part.letter} {part.title}"
        return todo

    def on_the_way(self, letter: str, pixels: Pixels) -> None:
        """A picture that is being made."""
        if letter in FRAMES:
            self.frame(letter).note = ""
            self.frame(letter).show(pixels)

    def rendered(self, part: Part, request: Request, pixels: Pixels | None, note: str) -> None:
        """A picture that is done, or why there is none."""
        frame = self.frame(part.letter)
        frame.note = note
        frame.show(pixels)
        if pixels is not None:
            self._shown[part.letter] = (part, request)

    def give_up(self, note: str = "") -> None:
        """Nothing more comes: say so where something was waited for."""
        for frame in self.query(Frame):
            frame.note = note if frame.note == _WAITING else frame.note
