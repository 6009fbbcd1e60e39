"""A pane of facts: with the focus, a cursor goes along those that can be taken, to be copied or followed."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region, Spacing

from modelhub.text import brief
from modelhub.tui.actions import bindings
from modelhub.tui.detail.fact import Fact
from modelhub.tui.detail.section_body import SectionBody


class FactPane(VerticalScroll, can_focus=True):
    """A subclass has a `SectionBody` in it; what leads somewhere it follows by `follow`."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("detail")]

    @property
    def facts(self) -> SectionBody:
        """The text."""
        return self.query_one(SectionBody)

    def follow(self, number: int) -> None:
        """Go to another asset."""
        raise NotImplementedError

    def action_return(self) -> None:
        """Back to where a fact led away from; there is nowhere to go back to here."""
        self.app.bell()

    # -- the cursor ----------------------------------------------------------------------------------------------------

    def on_focus(self) -> None:
        """The cursor is where it was, or on the first fact that is seen."""
        self.facts.lit = True
        if self.facts.cursor < 0:
            self.facts.cursor = self._first_seen()

    def on_blur(self) -> None:
        """Without the focus nothing is lit."""
        self.facts.lit = False

    def _first_seen(self) -> int:
        top = self.scroll_offset.y - self.facts.virtual_region.y
        return next((one for one in self.facts.laid().owners[max(0, top) :] if one >= 0), -1)

    def fact_under_cursor(self) -> Fact | None:
        """The fact that is lit."""
        facts = self.facts.laid().facts
        return facts[self.facts.cursor] if 0 <= self.facts.cursor < len(facts) else None

    def action_next_fact(self) -> None:
        """Down to the next fact; a long way is gone line by line, so that all can be read."""
        self._step(1)

    def action_fact_before(self) -> None:
        """Up to the fact before."""
        self._step(-1)

    def _step(self, way: int) -> None:
        body, room = self.facts, self.size.height
        number = body.cursor + way
        facts = len(body.laid().facts)
        if not 0 <= number < facts:
            self.scroll_relative(y=way * 3, animate=False)
            return
        first, end = body.laid().span(number)
        top = self.scroll_offset.y - body.virtual_region.y
        if first >= top + room + 2 or end <= top - 2:
            self.scroll_relative(y=way * 3, animate=False)
        else:
            body.cursor = number
            self._show_cursor()

    def _show_cursor(self) -> None:
        first, end = self.facts.laid().span(self.facts.cursor)
        y = self.facts.virtual_region.y + first
        if self.facts.cursor == 0:
            self.scroll_home(animate=False)
        else:
            self.scroll_to_region(
                Region(0, y, 1, min(end - first, self.size.height)), spacing=Spacing(1, 0, 1, 0), animate=False
            )

    def action_first_fact(self) -> None:
        """To the top."""
        self.facts.cursor = 0 if self.facts.laid().facts else -1
        self.scroll_home(animate=False)

    def action_last_fact(self) -> None:
        """To the end."""
        self.facts.cursor = len(self.facts.laid().facts) - 1
        self.scroll_end(animate=False)

    def action_page_down(self) -> None:
        """One window down; the cursor comes along."""
        self._page(1)

    def action_page_up(self) -> None:
        """One window up."""
        self._page(-1)

    def _page(self, way: int) -> None:
        self.scroll_relative(y=way * max(1, self.size.height - 2), animate=False)
        self.call_after_refresh(self._take_first_seen)

    def _take_first_seen(self) -> None:
        self.facts.cursor = self._first_seen()

    # -- what is done with a fact --------------------------------------------------------------------------------------

    def action_take_fact(self) -> None:
        """Follow it, or copy it."""
        fact = self.fact_under_cursor()
        if fact is None:
            self.app.bell()
        else:
            self._take(fact)

    @on(SectionBody.Clicked)
    def _clicked(self, message: SectionBody.Clicked) -> None:
        message.stop()
        self.focus()
        self.facts.cursor = message.number
        self._take(message.fact)

    def _take(self, fact: Fact) -> None:
        if fact.goes:
            self.follow(fact.goes)
            return
        self.app.copy_to_clipboard(fact.copy or fact.text)
        what = f"the {fact.label}" if fact.label else brief(fact.copy or fact.text, 40)
        self.notify(f"Copied {what}.", markup=False, timeout=2)
