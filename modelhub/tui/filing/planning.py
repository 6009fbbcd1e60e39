"""Plan dialogs: a line to type into, and below it what would happen; nothing does before that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, Static

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.organize.move import MoveReport
from modelhub.text import one_line, plural, printable
from modelhub.tui.filing.plan_list import PlanList
from modelhub.tui.library import Library
from modelhub.tui.widgets.field import TextField
from modelhub.tui.work import WorkerJob, background

#: Seconds after a key before a plan is made: who types fast is not held up.
_PAUSE = 0.12
#: So few assets need no tall dialog.
_FEW = 3


class PlanDialog(ModalScreen[str | None]):
    """Gives what was typed once its plan was seen to work, or None. A subclass says what the plan is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False, priority=True, id="plan.cancel"),
        Binding("enter", "take", "Take", show=False, id="plan.take"),
    ]
    title_of: ClassVar[str] = ""
    keys: ClassVar[str] = "enter does it · tab goes to the plan · escape leaves"

    @dataclass
    class Planned(Message):
        """What would happen with a text, or why nothing can."""

        typed: str
        report: MoveReport | None
        says: str

    def __init__(self, library: Library, assets: Sequence[Asset]) -> None:
        super().__init__()
        self.library, self.targets = library, list(assets)
        self._pause: Timer | None = None
        self._planned: PlanDialog.Planned | None = None
        self._is_taken = False

    # -- what a subclass gives -----------------------------------------------------------------------------------------

    def first(self) -> str:
        """What the line starts with."""
        return ""

    def about(self) -> str:
        """What may be typed."""
        raise NotImplementedError

    def plan(self, catalog: Catalog, typed: str, job: Job) -> MoveReport:
        """What would happen; runs in a thread."""
        raise NotImplementedError

    def words(self, report: MoveReport) -> str:
        """The plan in a sentence; runs in a thread."""
        raise NotImplementedError

    def between(self) -> ComposeResult:
        """What stands between the line and the plan."""
        yield from ()

    # -- the dialog ----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The line, what it may hold, the plan."""
        with Vertical(classes="dialog -tall -plan") as box:
            box.border_title = self.title_of
            box.set_class(len(self.targets) <= _FEW, "-few")
            who = one_line(self.targets[0].name) if len(self.targets) == 1 else plural(len(self.targets), "asset")
            yield Static(who, markup=False, id="plan-who")
            yield TextField(self.first(), compact=True, select_on_focus=False, id="plan-line")
            yield Static(self.about(), markup=False, classes="keys", id="plan-about")
            yield from self.between()
            yield Static(markup=False, id="plan-words")
            yield PlanList(id="plan")
            yield Static(self.keys, markup=False, classes="keys")

    def on_mount(self) -> None:
        """The plan of what stands there already."""
        self.line.focus()
        self._plan_now()

    @property
    def line(self) -> Input:
        """The line."""
        return self.query_one("#plan-line", Input)

    @on(Input.Changed, "#plan-line")
    def _changed(self) -> None:
        self._is_taken = False
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._plan_now)

    def _plan_now(self) -> None:
        self._make(self.line.value)

    @background("plan")
    def _make(self, job: WorkerJob, typed: str) -> None:
        try:
            with self.library.open() as catalog:
                report = self.plan(catalog, typed, job)
            job.post(self.Planned(typed, report, self.words(report)))
        except ModelhubError as error:
            job.check()
            job.post(self.Planned(typed, None, f"{error.message} {error.hint}".strip()))

    @on(Planned)
    def _show(self, message: Planned) -> None:
        if message.typed != self.line.value:
            return
        self._planned = message
        says = self.query_one("#plan-words", Static)
        says.set_class(message.report is None, "-bad")
        says.update(printable(message.says))
        self.query_one(PlanList).show(message.report.files if message.report else ())
        if self._is_taken:
            self._finish(message)

    @on(Input.Submitted, "#plan-line")
    def action_take(self) -> None:
        """What stands there, as soon as its plan is there."""
        if self._planned is not None and self._planned.typed == self.line.value:
            self._finish(self._planned)
        else:
            self._is_taken = True
            self._plan_now()

    def _finish(self, planned: Planned) -> None:
        self._is_taken = False
        if planned.report is not None and planned.report.files:
            self.dismiss(planned.typed)
        else:
            self.app.bell()
