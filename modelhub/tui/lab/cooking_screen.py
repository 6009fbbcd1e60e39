"""The pictures of the merge lab, and the outlook of the merge that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.timer import Timer

from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.jobs import Job
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.kitchen import Outlook, Part
from modelhub.tui.lab.merge_form import MergeForm
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.rendering import RenderingPlace
from modelhub.tui.lab.requests import plain_request
from modelhub.tui.lab.saving_screen import SavingScreen
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ReportDialog
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request
    from modelhub.tui.lab.shots import Shot

#: Seconds that the form rests before headers are looked at.
_LOOK = 0.3


class CookingScreen(SavingScreen, RenderingPlace):
    """A place that renders the recipe that it saves."""

    @dataclass
    class Looked(Message):
        """What a merge would be, or why it cannot be."""

        recipe: Recipe
        outlook: Outlook | None
        problem: str = ""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._before_looking: Timer | None = None
        self._looked_at: Recipe | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the place is there."""
        return super().is_whole and bool(self.query(OutlookLine))

    @property
    def is_live(self) -> bool:
        """As it is ticked."""
        return self.outlook.live

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
        if self._before_looking is not None:
            self._before_looking.stop()
        self._before_looking = self.set_timer(_LOOK, self.look)
        self.render_soon()

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

    def action_live(self) -> None:
        """Render whenever the form rests, or no more."""
        self.outlook.live = not self.outlook.live
        self.render_soon()

    def tell(self, part: Part, request: Request, shot: Shot, job: Job) -> None:
        """The history keeps merges."""
        if part.letter == "merge" and part.recipe is not None:
            plain = plain_request(request)
            self.note(job, "preview", part.title, part.recipe, request=plain, carrier=part.file, pixels=shot.pixels)

    # -- looking -----------------------------------------------------------------------------------------------------

    def action_hold(self) -> None:
        """Keep the picture of the merge beside the next ones, or let it go."""
        if not self.pictures.hold():
            self.notify("There is no picture of the merge yet; f5 renders it.", markup=False, timeout=4)

    def action_flip(self) -> None:
        """One picture with all the room; then the held one in its place."""
        self.pictures.flip()
