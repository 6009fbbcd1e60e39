"""All bindings that keys.toml may change: those of the table of actions, and those of widgets and dialogs."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import NamedTuple

from textual.binding import Binding

from modelhub import tui
from modelhub.tui.actions import ACTIONS, SCOPES
from modelhub.tui.keys.key_names import split_keys

#: A place and a page of it, whose keys hold together.
_PAGES = [{"download", page} for page in ("queue", "found", "offer", "plan", "updates")]


class Bound(NamedTuple):
    """A binding: its id, where it holds, what it does, and its keys as they are without keys.toml."""

    id: str
    title: str
    label: str
    help: str
    keys: str

    @property
    def scope(self) -> str:
        """The first part of the id."""
        return self.id.partition(".")[0]

    def effective(self, keys: Mapping[str, str]) -> str:
        """Its keys, with those of keys.toml."""
        return keys.get(self.id, self.keys)


@cache
def of_actions() -> tuple[Bound, ...]:
    """The bindings of the table of actions."""
    return tuple(Bound(one.id, SCOPES[one.scope], one.label, one.help, one.keys) for one in ACTIONS)


@cache
def all_bindings() -> tuple[Bound, ...]:
    """Those, and the ones of widgets and dialogs. All modules of the interface are imported: call it in a thread."""
    found = {one.id: one for one in of_actions()}
    for holder, binding in _declared():
        title = _words(holder.__name__)
        found.setdefault(binding.id or "", Bound(binding.id or "", title, binding.description, "", binding.key))
    return tuple(found.values())


def _declared() -> Iterator[tuple[type, Binding]]:
    """The bindings with an id that classes of the interface declare themselves."""
    for module in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}."):
        with suppress(ImportError):  # what draws pictures may need a library that is not installed
            for value in list(vars(import_module(module.name)).values()):
                if isinstance(value, type) and value.__module__ == module.name:
                    yield from ((value, one) for one in own_bindings(value) if one.id)


def own_bindings(holder: type) -> Iterator[Binding]:
    """The bindings that a class declares itself."""
    for one in vars(holder).get("BINDINGS", ()):
        if isinstance(one, Binding):
            yield one


def _words(name: str) -> str:
    """`FilterBar` as `Filter bar`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def clashes(bound: Bound, key: str, keys: Mapping[str, str]) -> list[Bound]:
    """The other bindings that `key` would be taken from, or that would take it: those that hold at the same time."""
    return [
        one
        for one in all_bindings()
        if one.id != bound.id and _together(one.scope, bound.scope) and key in split_keys(one.effective(keys))
    ]


def _together(one: str, other: str) -> bool:
    """Whether bindings of two scopes hold at once: of the same, of everywhere or a list and a place, of a place and
    its page.
    """
    shared, both = {"app", "list"}, {one, other}
    if one == other or both in _PAGES:
        return True
    return bool(both & shared) and one in SCOPES and other in SCOPES
