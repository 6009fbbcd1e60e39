"""The pictures of the LoRA place: a model without and with its stack, or one LoRA at several strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from modelhub.tui.lab.frame import Frame
from modelhub.tui.lab.frames import Frames
from modelhub.tui.loras.parts import MOST_STEPS, STRIP, WITH, WITHOUT

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.lab.recipes import Part

_PAIR = (WITHOUT, WITH)
_ALL = (*_PAIR, *(f"{STRIP}{number}" for number in range(MOST_STEPS)))


class LoraFrames(Frames):
    """Frames for the pair, and for as many strengths as there may be."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strip = False

    def compose(self) -> ComposeResult:
        """All frames; those that are needed are shown."""
        for letter in _ALL:
            frame = Frame(id=f"frame-{letter}")
            frame.title = letter
            frame.display = letter in _PAIR
            yield frame

    def title(self, part: Part) -> str:
        """What is on the model, or that it is without."""
        return f"{WITHOUT}: {part.title}" if part.letter == WITHOUT else part.title

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
        """No picture, and why; none is waited for any more."""
        for known in (self._shown, self._wanted):
            known.pop(letter, None)
        self._waiting.discard(letter)
        self.frame(letter).title = letter
        self.fill(letter, None, sentence)

    def complain(self, sentence: str) -> None:
        """Why nothing is rendered."""
        self.ask(f"{STRIP}0" if self._strip else WITH, sentence)

    def expect(self, parts: Sequence[Part], request: Request) -> list[Part]:
        """As all frames do; one that shows nothing yet tells at once what it will show."""
        for part in parts:
            if self.frame(part.letter).pixels is None:
                self.frame(part.letter).title = self.title(part)
        return super().expect(parts, request)
