"""Frames that wait for pictures: what each shows already, what it was asked for last, what nobody waits for now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.containers import Container

from modelhub.tui.lab.frame import Frame

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.lab.recipes import Part
    from modelhub.tui.lab.shots import Shot
    from modelhub.tui.pictures.picture import Pixels

_WAITING = "waiting…"


class Shown(NamedTuple):
    """What a frame shows: the part, what was asked for, and the pictures."""

    part: Part
    request: Request
    shot: Shot


class Frames(Container):
    """A `Frame` of the id `frame-LETTER` for each part that may be rendered."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: dict[str, Shown] = {}
        self._wanted: dict[str, tuple[Part, Request]] = {}
        self._waiting: set[str] = set()

    def frame(self, letter: str) -> Frame:
        """The frame of a part."""
        return self.query_one(f"#frame-{letter}", Frame)

    def shown(self, letter: str) -> Shown | None:
        """What the frame of a letter shows, once it is done."""
        return self._shown.get(letter)

    def title(self, part: Part) -> str:
        """What the frame of a part is called when it shows it."""
        return part.title

    def expect(self, parts: Sequence[Part], request: Request) -> list[Part]:
        """Those of `parts` that are not shown as `request` asks for; their frames wait for them from now on.

        What they show stays, with its title, until something newer comes.
        """
        self._wanted = {part.letter: (part, request) for part in parts}
        todo = [part for part in parts if not self._is_shown(part, request)]
        self.give_up()
        self._waiting = {part.letter for part in todo}
        for part in parts:
            self.frame(part.letter).status = _WAITING if part in todo else ""
        return todo

    def _is_shown(self, part: Part, request: Request) -> bool:
        shown = self._shown.get(part.letter)
        return shown is not None and (shown.part, shown.request) == (part, request)

    def on_the_way(self, letter: str, status: str, pixels: Pixels | None) -> None:
        """How far a picture is that is waited for, and how it looks by now."""
        if letter not in self._waiting:
            return
        self.frame(letter).status = status
        if pixels is not None:
            self._begin(self._wanted[letter][0])
            self.frame(letter).note = ""
            self.frame(letter).show(pixels)

    def _begin(self, part: Part) -> None:
        """From now on the frame shows another one than before."""
        self._shown.pop(part.letter, None)
        self.frame(part.letter).title = self.title(part)

    def rendered(self, part: Part, request: Request, shot: Shot | None, note: str) -> None:
        """A picture that is done, or why there is none; one that nobody waits for any more is passed over."""
        if self._wanted.get(part.letter) != (part, request):
            return
        self._waiting.discard(part.letter)
        self._begin(part)
        self.fill(part.letter, shot.pixels if shot else None, note)
        if shot is not None:
            self._shown[part.letter] = Shown(part, request, shot)

    def fill(self, letter: str, pixels: Pixels | None, note: str, status: str = "") -> None:
        """What a frame shows from now on."""
        frame = self.frame(letter)
        frame.note, frame.status = note, status
        frame.show(pixels)

    def give_up(self, status: str = "") -> None:
        """Nothing more comes: say so where something was waited for."""
        for letter in self._waiting:
            self.frame(letter).status = status
        self._waiting.clear()
