"""The list of the library and what narrows it: filter, saved searches, order, columns and marks; all is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.widgets import Input

from modelhub.catalog.orders import can_sort
from modelhub.text import one_line, shorten
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.columns import USUAL, chosen
from modelhub.tui.assets.finder import Finder, Start
from modelhub.tui.browse.narrow import narrow
from modelhub.tui.browse.shelves import OPEN
from modelhub.tui.browse.sidebar import Sidebar
from modelhub.tui.browse.tending import TendingScreen
from modelhub.tui.library import Survey
from modelhub.tui.screens.dialogs import AskDialog

#: Columns of the name of a saved search.
_NAME = 40
#: Characters of a query that is remembered.
_LONGEST = 2000


class ListingScreen(TendingScreen):
    """A place with a sidebar and a finder."""

    AUTO_FOCUS = "#assets"
    scope: ClassVar[str] = "browse"

    #: The list with its filter bar, and what narrows it; made by `make_panes`.
    finder: Finder
    side: Sidebar

    def make_panes(self, empty: str) -> None:
        """Both as they were left; `empty` is what an empty catalog says."""
        kept = self.remembered
        unfolded = kept.get("unfolded")
        self.finder = Finder(self.library, empty=empty, start=start_of(kept), id="finder")
        self.side = Sidebar(id="sidebar")
        self.side.set_reactive(Sidebar.unfolded, frozenset(_texts(unfolded)) if isinstance(unfolded, list) else OPEN)
        self.side.set_reactive(Sidebar.saved, _queries(kept.get("saved")))

    @property
    def assets(self) -> AssetList:
        """The list."""
        return self.finder.assets

    @property
    def survey(self) -> Survey:
        """What there is in the catalog."""
        return self.side.survey

    # -- filter ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type a query."""
        self.set_focus(self.finder.bar.input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash that is typed into a field is a slash."""
        return not (action == "filter" and isinstance(self.focused, Input))

    @on(Sidebar.Narrow)
    def _narrow(self, message: Sidebar.Narrow) -> None:
        self.finder.bar.put(narrow(self.finder.bar.text, message.terms, message.way))

    @on(Finder.Shown)
    def _mark_in_sidebar(self) -> None:
        self.side.query_text = self.finder.bar.text.strip()

    # -- saved searches --------------------------------------------------------------------------------------------

    def action_save_search(self) -> None:
        """Give the query a name."""
        query = self.finder.bar.text.strip()
        if not query or self.finder.bar.problem:
            self.notify("Filter first: / and a query, such as kind:lora arch:sdxl.", severity="warning", markup=False)
            return

        def named(name: str | None) -> None:
            if name:
                self.side.saved = {**self.side.saved, shorten(one_line(name), _NAME): query}
                self.side.unfolded = self.side.unfolded | {"SAVED"}
                self.notify("Saved; it stands at the top of the sidebar.", markup=False, timeout=3)

        text = f"A name for  {shorten(one_line(query), 200)}"
        self.app.push_screen(AskDialog("Save this search", text, self._name_of(query), placeholder="favourites"), named)

    def _name_of(self, query: str) -> str:
        return next((name for name, saved in self.side.saved.items() if saved == query), "")

    @on(Sidebar.Recall)
    def _recall(self, message: Sidebar.Recall) -> None:
        self.finder.bar.put(message.query)

    @on(Sidebar.Forget)
    def _forget(self, message: Sidebar.Forget) -> None:
        self.side.saved = {name: query for name, query in self.side.saved.items() if name != message.name}
        self.notify(f"The saved search '{message.name}' is gone.", markup=False, timeout=3)

    # -- order and columns -----------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """By the next column."""
        self.finder.sort_next()

    def action_reverse(self) -> None:
        """The other way round."""
        self.finder.reverse()

    def action_columns(self) -> None:
        """Which there are."""
        from modelhub.tui.assets.column_dialog import Arrangement, ColumnDialog

        def arranged(made: Arrangement | None) -> None:
            if made is not None:
                self.assets.columns = chosen(made.columns)
                if made.sort:
                    self.finder.sort_by(made.sort)

        self.app.push_screen(ColumnDialog([column.name for column in self.assets.columns]), arranged)

    # -- marks -----------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark and go on."""
        self.assets.toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all that was found."""
        self.assets.mark_all()

    def action_invert_marks(self) -> None:
        """Mark what is not."""
        self.assets.invert_marks()

    def action_visual(self) -> None:
        """A range that grows with every motion."""
        self.assets.toggle_span()

    def action_extend(self, by: int) -> None:
        """Mark on the way up or down."""
        self.assets.extend_to(self.assets.cursor + by)

    def leave_marks(self) -> bool:
        """Out of a range, then out of all marks; False if there were none."""
        if self.assets.span is not None and self.assets.span.stays:
            self.assets.drop_span()
        elif self.assets.marks:
            self.assets.unmark()
        else:
            return False
        return True

    # -- from one start to the next --------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        """Everything that was chosen here."""
        bar, assets = self.finder.bar, self.assets
        return {
            "query": "" if bar.problem else bar.text,
            "order": list(assets.order),
            "columns": [column.name for column in assets.columns],
            "asset": self.finder.here,
            "history": bar.history,
            "unfolded": sorted(self.side.unfolded),
            "saved": self.side.saved,
        }


def start_of(kept: Mapping[str, Any]) -> Start:
    """What was remembered, as far as it makes sense."""
    query, columns, here = kept.get("query"), kept.get("columns"), kept.get("asset")
    return Start(
        query if isinstance(query, str) and len(query) <= _LONGEST else "",
        _order(kept.get("order")),
        columns if isinstance(columns, list) else USUAL,
        here if isinstance(here, int) else None,
        [text for text in _texts(kept.get("history")) if len(text) <= _LONGEST],
    )


def _order(value: object) -> tuple[str, bool]:
    match value:
        case [str(sort), bool(reverse)] if can_sort(sort):
            return sort, reverse
    return "name", False


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _queries(value: object) -> dict[str, str]:
    found = value.items() if isinstance(value, dict) else ()
    return {shorten(one_line(name), _NAME): query for name, query in found if isinstance(query, str)}
