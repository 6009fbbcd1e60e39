"""The pictures of the merge lab: asked for by a key, or live as the form changes; and the outlook of the merge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.timer import Timer

from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.jobs import Event, Job
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.kitchen import Outlook, Part
from modelhub.tui.lab.merge_form import MergeForm
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.requests import plain_request
from modelhub.tui.lab.saving_screen import SavingScreen
from modelhub.tui.lab.stove import StovePlace
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ReportDialog
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request
    from modelhub.tui.lab.shots import Shot

#: Seconds that the form rests before headers are looked at, and before a live preview begins.
_LOOK, _LIVE = 0.3, 0.6


@dataclass(eq=False)
class Cooking:
    """A preview under way; `replaced`: a newer one took its place, and nobody is told that it stopped."""

    request: Request
    record: JobRecord | None = None
    replaced: Flag = field(default_factory=Flag)


class CookingScreen(StovePlace, SavingScreen):
    """A place that renders the recipe that it saves."""

    @dataclass
    class Rendered(Message):
        """A picture is done, or cannot be: then `note` says why."""

        part: Part
        request: Request
        shot: Shot | None
        note: str = ""

    @dataclass
    class Looked(Message):
        """What a merge would be, or why it cannot be."""

        recipe: Recipe
        outlook: Outlook | None
        problem: str = ""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._cooking: Cooking | None = None
        self._pauses: dict[str, Timer] = {}
        self._looked_at: Recipe | None = None

    @abstractmethod
    def wanted(self) -> tuple[list[Part], Request]:
        """The pictures that are asked for, the merge first. Raises UsageError, BadRecipeError."""

    @property
    def is_whole(self) -> bool:
        """Whether everything stands: not while the place is made or taken down, when a pause may end as well."""
        return self.is_running and bool(self.query(OutlookLine))

    @property
    def form(self) -> MergeForm:
        """What the merge is asked for with."""
        return self.query_one(MergeForm)

    # -- what the form says now ------------------------------------------------------------------------------------

    def touched(self) -> None:
        """Something in the form changed: look at it as soon as it rests, and render it if that is wished for."""
        if not self.is_whole:
            return
        self.form.summarise()
        self._after("look", _LOOK, self.look)
        if self.outlook.live:
            self._after("live", _LIVE, partial(self._preview, by_hand=False))

    def _after(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        if name in self._pauses:
            self._pauses[name].stop()
        self._pauses[name] = self.set_timer(seconds, call)

    def look(self) -> None:
        """Check the plan by headers, in a thread."""
        self._looked_at = None
        if not self.is_whole:
            return
        try:
            recipe, file = self.asked()
            self._looked_at = recipe
            self._look(recipe, file, self.goal())
        except ModelhubError as error:
            says = f"{error.message} {error.hint}"
            if type(error) is UsageError:  # a form that is not filled yet is no fault
                self.outlook.show(missing=says)
            else:
                self.outlook.show(problem=says)

    @background("look")
    def _look(self, job: WorkerJob, recipe: Recipe, file: Path | None, goal: Path) -> None:
        try:
            job.post(self.Looked(recipe, kitchen.look(self.library, recipe, goal, job, file)))
        except CancelledError:
            raise
        except ModelhubError as error:
            job.post(self.Looked(recipe, None, f"{error.message} {error.hint}"))

    @on(Looked)
    def _show_outlook(self, message: Looked) -> None:
        if message.recipe != self._looked_at:
            return
        if message.outlook is None:
            self.outlook.show(problem=message.problem)
        else:
            self.outlook.show(message.outlook.facts, warnings=message.outlook.warnings)

    @on(OutlookLine.Asked)
    def action_outlook(self) -> None:
        """All that there is to be said of the merge."""
        self.app.push_screen(
            ReportDialog("What this merge would be", "", [self.outlook.whole or "Nothing is chosen yet."])
        )

    # -- rendering -------------------------------------------------------------------------------------------------

    def action_preview(self) -> None:
        """Render what is not shown yet."""
        self._preview(by_hand=True)

    def action_live(self) -> None:
        """Render whenever the form rests, or no more."""
        self.outlook.live = not self.outlook.live
        if self.outlook.live:
            self._preview(by_hand=False)
        elif "live" in self._pauses:
            self._pauses.pop("live").stop()

    def _preview(self, *, by_hand: bool) -> None:
        """`by_hand`: what is lacking is explained; else the outlook tells it."""
        if not self.is_whole:
            return
        try:
            parts, request = self.wanted()
        except ModelhubError as error:
            if by_hand:
                self.explain(error)
            return
        todo = self.pictures.expect(parts, request)
        if todo:
            self._cook(todo, request)
        else:
            self._replace()

    def _replace(self) -> None:
        """What renders now is not wanted any more."""
        if self._cooking is not None:
            self._cooking.replaced.set()
            self.stop_cooking()

    def _cook(self, todo: Sequence[Part], request: Request) -> None:
        self._replace()
        cooking = self._cooking = Cooking(request)
        cooking.record = self.jobs.start(
            "Preview",
            partial(self._render_all, cooking, todo, self.settings.device),
            place=self.scope,
            lane="rendering",
            listen=partial(self._on_the_way, cooking),
            over=partial(self._cooked, cooking),
        )

    def _render_all(self, cooking: Cooking, todo: Sequence[Part], device: str, job: Job) -> None:
        """In a thread: one part after the other."""
        try:
            for part, found in self.stove.cook(self.library, todo, cooking.request, device, job):
                self._tell(part, found, cooking.request, job)
        except CancelledError:
            if not cooking.replaced.is_set():
                raise

    def _tell(self, part: Part, shot: Shot | ModelhubError, request: Request, job: Job) -> None:
        if isinstance(shot, ModelhubError):
            self.post_message(self.Rendered(part, request, None, f"{shot.message} {shot.hint}"))
            return
        self.post_message(self.Rendered(part, request, shot, " ".join(shot.warnings)))
        if part.letter == "merge" and part.recipe is not None:
            plain = plain_request(request)
            self.note(job, "preview", part.title, part.recipe, request=plain, carrier=part.file, pixels=shot.pixels)

    def _on_the_way(self, cooking: Cooking, event: Event) -> None:
        """A picture that is being made; the letter of its part stands before the phase."""
        if event.picture is not None and cooking is self._cooking:
            self.pictures.on_the_way(event.phase.partition(" ")[0], cooking.request, event.picture)

    @on(Rendered)
    def _rendered(self, message: Rendered) -> None:
        self.pictures.rendered(message.part, message.request, message.shot, message.note)

    def _cooked(self, cooking: Cooking, record: JobRecord) -> None:
        self.cool_soon()
        if cooking is self._cooking:
            self.pictures.give_up("stopped" if record.state is State.STOPPED else "")
        if cooking.replaced.is_set():
            self.jobs.forget(record)

    def stop_cooking(self) -> bool:
        """Ask the preview to stop; False if there is none."""
        record = self._cooking.record if self._cooking else None
        if record is None or not record.is_open:
            return False
        self.jobs.cancel(record)
        return True

    # -- looking -----------------------------------------------------------------------------------------------------

    def action_hold(self) -> None:
        """Keep the picture of the merge beside the next ones, or let it go."""
        if not self.pictures.hold():
            self.notify("There is no picture of the merge yet; f5 renders it.", markup=False, timeout=4)

    def action_flip(self) -> None:
        """One picture with all the room; then the held one in its place."""
        self.pictures.flip()
