"""Marks that cut across architectures: prediction, words in file names. Data: `catalog/marks.toml`."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

from modelhub.catalog.architectures import condition
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Evidence
from modelhub.catalog.match import Condition, Names, View


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("marks.toml").read_text(encoding="utf-8"))


@cache
def _conditions(section: str) -> tuple[tuple[str, Condition], ...]:
    return tuple((row["id"], condition(row)) for row in _table()[section])


def prediction(names: Names) -> tuple[str, Evidence] | None:
    """The prediction type that a marker tensor declares."""
    view = View(names)
    for kind, wanted in _conditions("prediction"):
        if wanted.holds(view):
            name, found = wanted.proof(view)[0]
            return kind, Evidence(f"marker of {kind} prediction", name, found)
    return None


def flags(names: Names) -> dict[str, bool]:
    """Yes-or-no facts that a marker tensor declares, such as zero_terminal_snr."""
    return {fact: True for fact, wanted in _conditions("fact") if wanted.holds(View(names))}


@cache
def _words() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((hint, re.compile(pattern, re.IGNORECASE)) for hint, pattern in _table()["names"].items())


def name_hints(name: str) -> tuple[str, ...]:
    """What the words in a file name suggest; remarks only, never a verdict."""
    return tuple(hint for hint, pattern in _words() if pattern.search(name[:1000]))
