"""Marks of a list: assets one by one, ranges as in vim or with shift, all of them, and all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.reactive import reactive

from modelhub.tui.widgets.line_list import LineList


@dataclass(frozen=True, slots=True)
class Span:
    """A range of rows that grows with the cursor from its first row, over what was marked before.

    `stays`: every motion goes on with it, not only those with shift.
    """

    first: int
    before: dict[int, None]
    stays: bool


class MarkingList(LineList):
    """A list of things with ids, of which some are marked; a subclass gives `ids`. Marks outlive what is shown."""

    marks: reactive[dict[int, None]] = reactive({})
    span: reactive[Span | None] = reactive(None)

    _extending = False

    @property
    def ids(self) -> Sequence[int]:
        """The ids of all rows, in order."""
        raise NotImplementedError

    @property
    def targets(self) -> list[int]:
        """What an action is about: what is marked in the order of marking, else what is under the cursor."""
        if self.marks:
            return list(self.marks)
        return [self.ids[self.cursor]] if self.cursor < len(self.ids) else []

    def toggle_mark(self) -> None:
        """Mark or unmark what is under the cursor and go to the next; a range is done with."""
        if self.span is not None and self.span.stays:
            self.span = None
        elif self.cursor < len(self.ids):
            self._toggle(self.cursor)
            self.cursor += 1

    def _toggle(self, row: int) -> None:
        number = self.ids[row]
        self.marks = without(self.marks, (number,)) if number in self.marks else self.marks | {number: None}

    def mark_all(self) -> None:
        """Mark all rows; when they are, unmark them."""
        self.span = None
        everything = dict.fromkeys(self.ids)
        self.marks = (
            without(self.marks, self.ids) if everything.keys() <= self.marks.keys() else self.marks | everything
        )

    def invert_marks(self) -> None:
        """Mark the rows that are not marked, and unmark those that are; marks on what is not shown stay."""
        self.span = None
        others = {number: None for number in self.ids if number not in self.marks}
        self.marks = without(self.marks, self.ids) | others

    def unmark(self) -> None:
        """No marks, and no range."""
        self.span, self.marks = None, {}

    # -- ranges ----------------------------------------------------------------------------------------------------

    def toggle_span(self) -> None:
        """Begin a range that grows with every motion, or be done with it."""
        if self.span is not None and self.span.stays:
            self.span = None
        elif self.count:
            self.span = Span(self.cursor, self.marks, stays=True)
            self._mark_span()

    def extend_to(self, row: int) -> None:
        """Go to a row and mark all on the way; going back unmarks."""
        if not self.count:
            return
        self.span = self.span or Span(self.cursor, self.marks, stays=False)
        self._extending = True
        self.cursor = row
        self._extending = False
        self._mark_span()

    def drop_span(self) -> None:
        """The range is not wanted: what was marked before it is marked again."""
        if self.span is not None:
            self.marks, self.span = self.span.before, None

    def watch_cursor(self, before: int, after: int) -> None:
        """A range grows with the cursor, or ends."""
        super().watch_cursor(before, after)
        if self.span is None or self._extending:
            return
        if self.span.stays:
            self._mark_span()
        else:
            self.span = None

    def _mark_span(self) -> None:
        span = self.span
        if span is not None:
            low, high = sorted((span.first, self.cursor))
            self.marks = span.before | dict.fromkeys(self.ids[low : high + 1])

    def watch_marks(self, *_: Any) -> None:
        """Draw the marks; where none are left, there is no range."""
        if not self.marks:
            self.span = None
        self.refresh()


def without(marks: dict[int, None], ids: Sequence[int]) -> dict[int, None]:
    """Marks but those of `ids`."""
    gone = frozenset(ids)
    return {number: None for number in marks if number not in gone}
