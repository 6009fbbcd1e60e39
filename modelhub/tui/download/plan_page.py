"""The plan: where each file goes, under which name, before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from modelhub.errors import ModelhubError
from modelhub.fetch.order import Order
from modelhub.fetch.planning.changing import changed, moved, renamed
from modelhub.fetch.planning.plans import Plan, Planned
from modelhub.settings import user_path
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.commands.suggestions import PathSuggester
from modelhub.tui.download.page import Page
from modelhub.tui.download.plan_list import PlanFacts, PlanList, plan_summary
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, confirm
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, attempt, background

EMPTY = """\
Nothing is planned.

Mark files (page 3) and press enter."""
Change = Callable[[Order], Order]


class PlanPage(Page):
    """A plan that can still be changed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("plan")]
    scope: ClassVar[str] = "plan"

    @dataclass
    class Made(Message):
        """The plan with what was changed."""

        plan: Plan | None
        error: ModelhubError | None

    @dataclass
    class Queued(Message):
        """The orders of a plan are in the queue; `left` were not put there."""

        ids: list[int]
        error: ModelhubError | None
        goes_on: bool
        left: int

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.plan = Plan(())
        #: The orders as they were asked for last: a change goes on from one that is still being looked into.
        self._orders: list[Order | None] = []

    def compose(self) -> ComposeResult:
        """What it brings, each item, the one under the cursor with the disks."""
        yield Static(markup=False, classes="summary")
        yield PlanList(id="items", empty=EMPTY)
        with VerticalScroll(classes="facts", can_focus=False):
            yield PlanFacts()

    def show(self, plan: Plan) -> None:
        """Another plan, or the same changed."""
        self.plan = plan
        self._orders = [item.order for item in plan.items]
        self.table.show(list(enumerate(plan.items)))
        self.query_one(PlanFacts).plan = plan
        self.query_one(".facts").display = bool(plan.items)
        says = " — enter downloads" if plan.orders else ""
        self.query_one(".summary", Static).update(f" {plan_summary(plan)}{says}" if plan.items else "")
        self.place.counted("plan", len(plan.items))

    @on(LineList.Highlighted)
    def _highlighted(self, message: LineList.Highlighted) -> None:
        message.stop()
        self.query_one(PlanFacts).item = self.table.current[1] if self.table.current else None

    # -- changing ------------------------------------------------------------------------------------------------------

    @property
    def _targets(self) -> list[tuple[int, Order]]:
        """What an action is about, of what has orders: place and order."""
        rows: list[tuple[int, Planned]] = self.table.targets
        return [(at, order) for at, _ in rows if (order := self._orders[at]) is not None]

    def _change(self, change: Change) -> None:
        """Change the orders that an action is about, and look into all once more."""
        wanted = {at: change(order) for at, order in self._targets}
        if wanted:
            self._orders = [wanted.get(at, order) for at, order in enumerate(self._orders)]
            self.place.wait_for("planning…")
            self._decide(self.plan, self._orders)

    @background("change")
    def _decide(self, job: WorkerJob, plan: Plan, orders: Sequence[Order | None]) -> None:
        with self.library.open() as catalog:
            made, error = attempt(lambda: changed(catalog, plan, orders, job))
        if not job.cancelled:
            job.post(self.Made(made, error))

    @on(Made)
    def _made(self, message: Made) -> None:
        message.stop()
        self.place.wait_for("")
        if message.error is not None:
            self._orders = [item.order for item in self.plan.items]
            self.explain(message.error)
        elif message.plan is not None:
            self.show(message.plan)

    def action_name(self) -> None:
        """Another name for the one under the cursor."""
        row: tuple[int, Planned] | None = self.table.current
        if row is None or row[1].order is None:
            return
        self.table.marks = {}

        def asked(name: str | None) -> None:
            if name:
                self._change(lambda order: renamed(order, name))

        said = row[1].order.goal.name
        self.app.push_screen(
            AskDialog("Name", "What the file is to be called; its ending may be left away.", said), asked
        )

    def action_folder(self) -> None:
        """Another folder."""
        orders = self._targets
        if not orders:
            return

        def asked(folder: str | None) -> None:
            if folder:
                self._change(lambda order: moved(order, user_path(folder)))

        what = f"The folder for {plural(len(orders), 'download')}; it is made if it is not there."
        here, suggester = str(orders[0][1].goal.parent), PathSuggester(folders=True)
        self.app.push_screen(AskDialog("Folder", what, here, suggester=suggester), asked)

    def action_replace(self) -> None:
        """Fetch although it is there, or not."""
        on = not all(order.replace for _, order in self._targets)
        self._change(lambda order: replace(order, replace=on))

    def action_keep_unsafe(self) -> None:
        """File pickles that would run code, or not."""
        orders = self._targets
        if orders and all(order.keep_unsafe for _, order in orders):
            self._change(lambda order: replace(order, keep_unsafe=False))
            return
        text = (
            "A pickle that would run code of its own is usually not filed. It would lie among your models, marked as "
            "dangerous: modelhub never runs it, other programs may."
        )
        if orders:
            keep = partial(self._change, lambda order: replace(order, keep_unsafe=True))
            confirm(self, "Keep what is unsafe", text, "Keep it all the same", keep)

    def action_drop(self) -> None:
        """Leave out what is marked, or under the cursor."""
        gone = {at for at, _ in self.table.targets}
        kept = [order for at, order in enumerate(self._orders) if at not in gone]
        self.table.marks = {}
        self.show(Plan(tuple(one for at, one in enumerate(self.plan.items) if at not in gone), self.plan.disks))
        self._orders = kept
        self._decide(self.plan, kept)

    def stop(self) -> None:
        """No longer wait for a change to be looked into: the plan is as it was."""
        self.workers.cancel_group(self, "change")
        self._orders = [item.order for item in self.plan.items]

    # -- doing ---------------------------------------------------------------------------------------------------------

    def action_go(self) -> None:
        """Into the queue, and begin."""
        self._queue_up(goes_on=True)

    def action_later(self) -> None:
        """Into the queue, paused."""
        self._queue_up(goes_on=False)

    def chosen(self) -> None:
        """A double click names."""
        self.action_name()

    def _queue_up(self, *, goes_on: bool) -> None:
        if self._orders != [item.order for item in self.plan.items]:
            self.say("What was changed is still being looked into: once more in a moment.", warn=True)
        elif self.plan.orders:
            self.place.wait_for("queueing…")
            self._add(self.plan, goes_on)
        else:
            self.say("There is nothing to download in this plan; escape goes back.", warn=True)

    @background("queue")
    def _add(self, job: WorkerJob, plan: Plan, goes_on: bool) -> None:
        ids, error = attempt(lambda: self._added(plan, goes_on))
        job.post(self.Queued(ids or [], error, goes_on, len(plan.items) - len(plan.orders)))

    def _added(self, plan: Plan, goes_on: bool) -> list[int]:
        from modelhub.catalog import downloads
        from modelhub.fetch.queue import add

        plan.check()
        self.runner.remember(plan.orders)
        with self.library.open() as catalog:
            with catalog.atomic():
                ids = add(catalog, plan.orders)
                if not goes_on:
                    downloads.pause(catalog, ids)
            return ids

    @on(Queued)
    def _queued(self, message: Queued) -> None:
        message.stop()
        self.place.wait_for("")
        if message.error is not None:
            self.explain(message.error)
            return
        left = f"; {message.left:,} left out" if message.left else ""
        self.say(
            f"{plural(len(message.ids), 'download')} {'queued' if message.goes_on else 'paused in the queue'}{left}."
        )
        self.show(Plan(()))
        self.place.queued(message.ids, goes_on=message.goes_on)
