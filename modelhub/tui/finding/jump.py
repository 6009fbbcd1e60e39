"""Where one can jump to on a screen: every widget that takes the focus and is seen, every tab; and its letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Tab

from modelhub.tui.places import PLACES
from modelhub.tui.widgets.nav_bar import NavBar

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

#: The letters, those under the fingers first.
_LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class Goal(NamedTuple):
    """A place on the screen, what to type, and what that does."""

    keys: str
    at: Offset
    go: Callable[[], object]


def goals(screen: Screen[Any]) -> list[Goal]:
    """All there is to jump to, from top to bottom; letters for widgets, numbers for the bar of places."""
    found = sorted([*_widgets(screen), *_tabs(screen)], key=lambda one: (one[0].y, one[0].x))
    lettered = [Goal(keys, at, go) for keys, (at, go) in zip(letters(len(found)), found, strict=True)]
    return _apart([*_places(screen), *lettered])


def letters(count: int) -> list[str]:
    """As many words of letters, all of one length, so that none is the beginning of another."""
    size = 1 if count <= len(_LETTERS) else 2
    return ["".join(word) for word, _ in zip(product(_LETTERS, repeat=size), range(count), strict=False)]


def _widgets(screen: Screen[Any]) -> Iterator[tuple[Offset, Callable[[], object]]]:
    for widget in screen.focus_chain:
        at = _seen(screen, widget)
        if at is not None:
            yield at, partial(screen.set_focus, widget)


def _tabs(screen: Screen[Any]) -> Iterator[tuple[Offset, Callable[[], object]]]:
    for tab in screen.query(Tab):
        at = _seen(screen, tab)
        if at is not None and not tab.disabled:
            yield at, partial(tab.post_message, Tab.Clicked(tab))


def _seen(screen: Screen[Any], widget: Widget) -> Offset | None:
    """Where the part of a widget that is not scrolled away begins."""
    try:
        region = screen.find_widget(widget).visible_region
    except LookupError:
        return None
    return region.offset if region else None


def _places(screen: Screen[Any]) -> Iterator[Goal]:
    for bar in screen.query(NavBar):
        spans = bar.spans()
        for number, place in enumerate(PLACES, 1):
            at = Offset(bar.region.x + spans[place.id][0], bar.region.y)
            yield Goal(str(number), at, partial(cast("ModelhubApp", screen.app).go, place.id))


def _apart(found: Sequence[Goal]) -> list[Goal]:
    """No letter covers another: one that would moves to the right."""
    taken: set[Offset] = set()
    apart = []
    for goal in found:
        while taken & _cells(goal):
            goal = goal._replace(at=Offset(goal.at.x + 1, goal.at.y))
        taken |= _cells(goal)
        apart.append(goal)
    return apart


def _cells(goal: Goal) -> set[Offset]:
    return {Offset(goal.at.x + step, goal.at.y) for step in range(len(goal.keys) + 2)}
