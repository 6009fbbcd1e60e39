"""A table of named things that forgives case and spaces, and says what exists when a name is not in it."""

from __future__ import annotations

import difflib
from typing import Generic, TypeVar

from modelhub.errors import NotFoundError
from modelhub.text import alike, one_line, shorten

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Display name to thing, in the order in which they were added; `what` is the word for one of them."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._things: dict[str, Thing] = {}
        self._keys: dict[str, str] = {}

    def add(self, name: str, thing: Thing) -> None:
        """Add `thing` under its display name; a programming error if the name is taken."""
        key = alike(name)
        assert key not in self._keys, f"two {self._what}s are called {name}"
        self._keys[key] = name
        self._things[name] = thing

    def find(self, name: str) -> Thing:
        """The thing called `name`, whatever its case, spaces, `-` and `_`. NotFoundError lists the names."""
        known = self._keys.get(alike(name))
        if known is None:
            raise self._unknown(name)
        return self._things[known]

    def _unknown(self, name: str) -> NotFoundError:
        near = difflib.get_close_matches(alike(name), self._keys, n=1)
        meant = f"Did you mean '{self._keys[near[0]]}'? " if near else ""
        shown = shorten(one_line(name), 60)
        return NotFoundError(f"There is no {self._what} '{shown}'.", f"{meant}There are: {', '.join(self._things)}.")
