"""The pictures of the LoRA place: a model without and with its stack, or one LoRA at several strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from modelhub.tui.lab.frame import Frame
from modelhub.tui.loras.parts import MOST_STEPS, STRIP, WITH, WITHOUT

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.lab.kitchen import Part
    from modelhub.tui.pictures.picture import Pixels

_PAIR = (WITHOUT, WITH)
_ALL = (*_PAIR, *(f"{STRIP}{number}" for number in range(MOST_STEPS)))


class LoraFrames(Horizontal):
    """A frame for each part that may be rendered; it knows what each shows, and what it waits for."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: dict[str, tuple[Part, Request]] = {}
        self._wanted: dict[str, Part] = {}
        self._strip = False

    def compose(self) -> ComposeResult:
        """All frames; those that are needed are shown."""
        for letter in _ALL:
            frame = Frame(id=f"seen-{letter}", classes="lora-frame")
            frame.title = letter
            frame.display = letter in _PAIR
            yield frame

    def frame(self, letter: str) -> Frame:
        """The frame of a part."""
        return self.query_one(f"#seen-{letter}", Frame)

    @property
    def is_strip(self) -> bool:
        """Whether strengths are shown in place of the pair."""
        return self._strip

    def show_pair(self) -> None:
        """Without and with."""
        self._arrange(_PAIR)
        self._strip = False

    def show_strip(self, count: int) -> None:
        """So many strengths."""
        self._arrange(_ALL[2 : 2 + count])
        self._strip = True

    def _arrange(self, letters: Sequence[str]) -> None:
        for letter in _ALL:
            self.frame(letter).display = letter in letters

    def ask(self, letter: str, sentence: str) -> None:
        """No picture, and why."""
        self._shown.pop(letter, None)
        frame = self.frame(letter)
        frame.title, frame.note = letter, sentence
        frame.status = ""
        frame.show(None)

    def complain(self, sentence: str) -> None:
        """Why nothing is rendered."""
        self.ask(f"{STRIP}0" if self._strip else WITH, sentence)

    def expect(self, parts: Sequence[Part], request: Request) -> list[Part]:
        """Those of `parts` that are not shown as `request` asks for; their frames wait from now on.

        A picture that is there keeps its title until another comes.
        """
        todo = []
        self._wanted = {part.letter: part for part in parts}
        for part in parts:
            frame = self.frame(part.letter)
            if frame.pixels is None:
                self._entitle(part)
            if self._shown.get(part.letter) != (part, request):
                self._shown.pop(part.letter, None)
                frame.status = "waits…"
                todo.append(part)
            else:
                frame.status = ""
        return todo

    def _entitle(self, part: Part | None) -> None:
        if part is not None:
            title = f"{WITHOUT}: {part.title}" if part.letter == WITHOUT else part.title
            self.frame(part.letter).title = title

    def on_the_way(self, letter: str, done: str, pixels: Pixels | None) -> None:
        """How far a picture is, and how it looks by now."""
        if letter not in _ALL:
            return
        frame = self.frame(letter)
        frame.status = done
        if pixels is not None:
            self._entitle(self._wanted.get(letter))
            frame.note = ""
            frame.show(pixels)

    def rendered(self, part: Part, request: Request, pixels: Pixels | None, note: str) -> None:
        """A picture that is done, or why there is none."""
        frame = self.frame(part.letter)
        self._entitle(part)
        frame.note = note
        frame.status = ""
        frame.show(pixels)
        if pixels is not None:
            self._shown[part.letter] = (part, request)

    def give_up(self, say: str = "") -> None:
        """Nothing more comes: say so where something was waited for."""
        for letter in _ALL:
            if self.frame(letter).status:
                self.frame(letter).status = say
