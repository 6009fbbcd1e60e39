"""A place whose pictures are rendered beside other work: asked for by a key, or live as soon as a change has rested."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event as Flag
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.timer import Timer

from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event, Job
from modelhub.text import human_size
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.lab.stove import StovePlace
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.lab.frames import Frames
    from modelhub.tui.lab.recipes import Part
    from modelhub.tui.lab.shots import Shot

#: Seconds without a change after which a live preview begins.
PAUSE = 0.6


@dataclass(eq=False)
class Cooking:
    """A preview under way; `stops`: it was asked to.

    `replaced`: a newer one took its place, and nobody is told that it stopped.
    """

    parts: Sequence[Part]
    request: Request
    record: JobRecord | None = None
    stops: bool = False
    replaced: Flag = field(default_factory=Flag)

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.record is not None and self.record.is_open


class RenderingPlace(StovePlace):
    """A place with `pictures`; `wanted` says what they are to show. A newer preview takes the place of the last one."""

    @dataclass
    class Rendered(Message):
        """A picture is done, or cannot be: then `note` says why."""

        part: Part
        request: Request
        shot: Shot | None
        note: str = ""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._cooking: Cooking | None = None
        self._pause: Timer | None = None

    @property
    @abstractmethod
    def pictures(self) -> Frames:
        """The frames."""

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """Whether every change is rendered."""

    @abstractmethod
    def wanted(self) -> tuple[list[Part], Request]:
        """The pictures that are asked for, the first one first. Raises UsageError, BadRecipeError."""

    @property
    def is_whole(self) -> bool:
        """Whether everything stands: not while the place is made or taken down, when a pause may end as well."""
        return self.is_running

    def lacks(self, error: ModelhubError) -> None:
        """Why there is no live preview."""

    def tell(self, part: Part, request: Request, shot: Shot, job: Job) -> None:
        """A picture is done; called in its thread."""

    # -- when ------------------------------------------------------------------------------------------------------

    def action_preview(self) -> None:
        """Render what is not shown yet."""
        self._preview(by_hand=True)

    def render_soon(self) -> None:
        """Something changed: render it when it has rested for a moment, if that is wanted."""
        self.rest()
        if self.is_live:
            self._pause = self.set_timer(PAUSE, partial(self._preview, by_hand=False))

    def rest(self) -> None:
        """What changed last is not rendered by itself."""
        if self._pause is not None:
            self._pause.stop()
            self._pause = None

    def _preview(self, *, by_hand: bool) -> None:
        """`by_hand`: what is lacking is explained in a dialog."""
        if not self.is_whole:
            return
        try:
            parts, request = self.wanted()
        except ModelhubError as error:
            if by_hand:
                self.explain(error)
            else:
                self._replace()
                self.lacks(error)
            return
        last = self._cooking
        if last is not None and last.is_open and not last.stops and (last.parts, last.request) == (parts, request):
            return
        self._replace()
        if todo := self.pictures.expect(parts, request):
            self._cook(Cooking(parts, request), todo)

    def _cook(self, cooking: Cooking, todo: Sequence[Part]) -> None:
        self._cooking = cooking
        cooking.record = self.jobs.start(
            "Preview",
            partial(self._render_all, cooking, todo, self.settings.device),
            place=self.scope,
            lane="rendering",
            listen=partial(self._on_the_way, cooking),
            over=partial(self._cooked, cooking),
        )

    def _replace(self) -> None:
        """What renders now is not wanted any more."""
        if self._cooking is not None:
            self._cooking.replaced.set()
            self.stop_cooking()

    def stop_cooking(self) -> bool:
        """Ask the preview to stop, and begin none by itself; says whether there was one."""
        self.rest()
        if self._cooking is None or self._cooking.record is None or not self._cooking.is_open:
            return False
        self._cooking.stops = True
        self.jobs.cancel(self._cooking.record)
        return True

    # -- in a thread -----------------------------------------------------------------------------------------------

    def _render_all(self, cooking: Cooking, todo: Sequence[Part], device: str, job: Job) -> None:
        """One part after the other."""
        try:
            for part, found in self.stove.cook(self.library, todo, cooking.request, device, job):
                if isinstance(found, ModelhubError):
                    self.post_message(self.Rendered(part, cooking.request, None, f"{found.message} {found.hint}"))
                else:
                    self.post_message(self.Rendered(part, cooking.request, found, " ".join(found.warnings)))
                    self.tell(part, cooking.request, found, job)
        except CancelledError:
            if not cooking.replaced.is_set():
                raise

    # -- what came -------------------------------------------------------------------------------------------------

    def _on_the_way(self, cooking: Cooking, event: Event) -> None:
        """A picture that is being made; the letter of its part stands before the phase."""
        letter, _, phase = event.phase.partition(" ")
        if cooking is self._cooking and event.level == "progress":
            self.pictures.on_the_way(letter, _progress(phase, event), event.picture)

    @on(Rendered)
    def _rendered(self, message: Rendered) -> None:
        self.pictures.rendered(message.part, message.request, message.shot, message.note)

    def _cooked(self, cooking: Cooking, record: JobRecord) -> None:
        self.cool_soon()
        if cooking is self._cooking:
            self.pictures.give_up("stopped" if record.state is State.STOPPED else "")
        if cooking.replaced.is_set():
            self.jobs.forget(record)


def _progress(phase: str, event: Event) -> str:
    """`sampling 3/10`."""
    if not event.total:
        return phase
    show = human_size if event.unit == "bytes" else str
    return f"{phase} {show(event.done)}/{show(event.total)}"
