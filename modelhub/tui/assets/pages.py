"""Rows by page: a list of ids, of which only the pages that are looked at are fetched, and the last few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar


class HasId(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> int:
        """Its number in the catalog."""
        ...


T = TypeVar("T", bound=HasId)


class Pages(Generic[T]):
    """The things that `ids` name, fetched `size` at a time; `keep` pages are remembered, the least used goes first."""

    def __init__(self, fetch: Callable[[Sequence[int]], Sequence[T]], *, size: int = 64, keep: int = 16) -> None:
        self._fetch, self._size, self._keep = fetch, size, keep
        self._pages: OrderedDict[int, dict[int, T]] = OrderedDict()
        self.ids: Sequence[int] = ()

    def show(self, ids: Sequence[int]) -> None:
        """Other ids; nothing is fetched before it is asked for."""
        self.ids = ids
        self.forget()

    def forget(self) -> None:
        """Fetch again what is looked at next: the rows behind the ids have changed."""
        self._pages.clear()

    def get(self, row: int) -> T | None:
        """What is at `row`, or None if there is no such row or its thing is gone."""
        if not 0 <= row < len(self.ids):
            return None
        return self._page(row // self._size).get(self.ids[row])

    def page_of(self, row: int) -> Collection[T]:
        """All things of the page that `row` is on."""
        return self._page(row // self._size).values() if 0 <= row < len(self.ids) else ()

    def _page(self, number: int) -> dict[int, T]:
        if number in self._pages:
            self._pages.move_to_end(number)
            return self._pages[number]
        start = number * self._size
        page = {thing.id: thing for thing in self._fetch(self.ids[start : start + self._size])}
        self._pages[number] = page
        if len(self._pages) > self._keep:
            self._pages.popitem(last=False)
        return page
