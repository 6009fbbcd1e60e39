"""The previews of the LoRA place: rendered beside other work, by a key or as soon as something changed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.timer import Timer

from modelhub.errors import ModelhubError
from modelhub.jobs import Event, Job
from modelhub.text import human_size
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.lab.kitchen import Part
from modelhub.tui.lab.stove import StovePlace
from modelhub.tui.library import Library
from modelhub.tui.loras.form import LoraForm
from modelhub.tui.loras.frames import LoraFrames

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.pictures.picture import Pixels

#: Seconds without a change after which a live preview is rendered.
PAUSE = 0.6


class LoraRendering(StovePlace):
    """A place with frames; `wanted_parts` says what they are to show."""

    @dataclass
    class Rendered(Message):
        """A picture is done, or cannot be: then `note` says why. `turn` tells which rendering it is of."""

        turn: int
        part: Part
        request: Request
        pixels: Pixels | None
        note: str = ""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._turn = 0
        self._cooking: JobRecord | None = None
        self._asked: tuple[Sequence[Part], Request] | None = None
        self._pause: Timer | None = None

    @property
    def form(self) -> LoraForm:
        """The fields of the request."""
        return self.query_one(LoraForm)

    @property
    def frames(self) -> LoraFrames:
        """The pictures."""
        return self.query_one(LoraFrames)

    @abstractmethod
    def wanted_parts(self) -> list[Part]:
        """What is to be shown now. Raises UsageError, BadRecipeError."""

    # -- when ----------------------------------------------------------------------------------------------------------

    def action_preview(self) -> None:
        """Render what is not shown yet."""
        self._render_now()

    def action_live(self) -> None:
        """Render every change, or no more."""
        self.form.live = not self.form.live

    def render_soon(self) -> None:
        """Something changed: render it when it has rested for a moment, if that is wanted."""
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE, partial(self._render_now, quiet=True)) if self.form.live else None

    def _render_now(self, *, quiet: bool = False) -> None:
        """Start with what is not shown; `quiet` tells mistakes in the frame."""
        try:
            wanted, request = self.wanted_parts(), self.form.request()
        except ModelhubError as error:
            if quiet:
                self.stop_rendering()
                self.frames.complain(f"{error.message} {error.hint}")
            else:
                self.explain(error)
            return
        if self._is_cooking and self._asked == (wanted, request):
            return
        self.stop_rendering()
        todo = self.frames.expect(wanted, request)
        if todo:
            self._start(todo, wanted, request)

    def _start(self, todo: Sequence[Part], wanted: Sequence[Part], request: Request) -> None:
        self._asked = (wanted, request)
        turn = self._turn
        self._cooking = self.jobs.start(
            "Preview",
            partial(self._cook, turn, todo, request, self.settings.device),
            place=self.scope,
            lane="rendering",
            listen=partial(self._on_the_way, turn),
            over=self._cooked,
        )

    # -- in a thread ---------------------------------------------------------------------------------------------------

    def _cook(self, turn: int, todo: Sequence[Part], request: Request, device: str, job: Job) -> None:
        for part, found in self.stove.cook(self.library, todo, request, device, job):
            if isinstance(found, ModelhubError):
                self.post_message(self.Rendered(turn, part, request, None, f"{found.message} {found.hint}"))
            else:
                self.post_message(self.Rendered(turn, part, request, found.pixels, " ".join(found.warnings)))

    # -- what came -----------------------------------------------------------------------------------------------------

    def _on_the_way(self, turn: int, event: Event) -> None:
        """A picture that is being made; the letter of its part stands before the phase."""
        letter, _, phase = event.phase.partition(" ")
        if turn == self._turn and event.level == "progress":
            self.frames.on_the_way(letter, _progress(phase, event), event.picture)

    @on(Rendered)
    def _rendered(self, message: Rendered) -> None:
        if message.turn == self._turn:
            self.frames.rendered(message.part, message.request, message.pixels, message.note)

    def _cooked(self, record: JobRecord) -> None:
        self.cool_soon()
        if record is self._cooking:
            self.frames.give_up("stopped" if record.state is State.STOPPED else "")

    @property
    def _is_cooking(self) -> bool:
        return self._cooking is not None and self._cooking.is_open

    def stop_rendering(self) -> bool:
        """Stop what renders, and hear no more of it; says whether there was something."""
        running = self._is_cooking
        self._turn += 1
        if self._cooking is not None and running:
            self.jobs.cancel(self._cooking)
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        return running


def _progress(phase: str, event: Event) -> str:
    """`sampling 3/10`."""
    if not event.total:
        return phase
    show = human_size if event.unit == "bytes" else str
    return f"{phase} {show(event.done)}/{show(event.total)}"
