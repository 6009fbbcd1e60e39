"""Completion of a query: the word at the cursor, and what may stand in its place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from modelhub.catalog.field_words import FIELD_WORDS
from modelhub.catalog.fields import FIELDS
from modelhub.text import one_line
from modelhub.tui.library import term

#: Lines that are worth a look.
_MOST = 200
#: Fields that compare numbers or contain a text: what was typed may be meant as it is.
_FREE = frozenset({"path", "name", "notes", "trigger", "algorithm", "quantisation", "size", "params", "rating", "id"})
_FREE |= {"added", "modified", "hash", "from", "fingerprint"}
_RUN = re.compile(r'(?:[^\s()"]|"(?:[^"\\]|\\.)*(?:"|$))+')
_WORD = re.compile(r"(?P<minus>-?)(?:(?P<field>[A-Za-z_][\w-]*):)?(?P<value>.*)", re.DOTALL)

#: What a field may hold, with how many assets have it; None while that is not known yet.
Values = Callable[[str], Mapping[str, int] | None]


class Choice(NamedTuple):
    """One line: what is shown, a word on it, and what it puts in place of the word at the cursor."""

    text: str
    note: str
    put: str


class Completion(NamedTuple):
    """The choices for what stands from `start` to `end`. `sure`: the first is meant, not what was typed."""

    start: int
    end: int
    choices: tuple[Choice, ...]
    sure: bool = False


NONE = Completion(0, 0, ())


class _At(NamedTuple):
    start: int
    end: int
    minus: str
    field: str | None
    value: str


def complete(text: str, cursor: int, values: Values) -> Completion:
    """What may stand in place of the word that the cursor is behind."""
    at = _at(text, cursor)
    if at is None:
        return NONE
    if at.field is None:
        return Completion(at.start, at.end, _fields(at))
    if at.field not in FIELDS:
        return NONE
    known = values(at.field) or {}
    typed = at.value.casefold()
    found = sorted((rank, -known[value], value) for value in known if (rank := _rank(value, typed)) is not None)
    names = [value for _, _, value in found[:_MOST]]
    if [name.casefold() for name in names] == [typed]:
        return NONE
    sure = bool(names) and at.field not in _FREE and typed not in {name.casefold() for name in names}
    choices = (Choice(one_line(name), f"{known[name]:,}", f"{at.minus}{term(at.field, name)} ") for name in names)
    return Completion(at.start, at.end, tuple(choices), sure)


def taken(text: str, completion: Completion, choice: Choice) -> tuple[str, int]:
    """The text with a choice in its place, and where the cursor is then."""
    rest = text[completion.end :]
    put = choice.put.rstrip() if rest.startswith((" ", ")")) else choice.put
    return text[: completion.start] + put + rest, completion.start + len(put)


def _at(text: str, cursor: int) -> _At | None:
    """The word that the cursor is in or behind; None inside of a phrase."""
    for run in _RUN.finditer(text):
        if run.start() < cursor <= run.end():
            return _cut(text, run, cursor)
    return _At(cursor, cursor, "", None, "")


def _cut(text: str, run: re.Match[str], cursor: int) -> _At | None:
    """A word by its part before the cursor."""
    part = _WORD.match(text, run.start(), cursor)
    if part is None or (part["field"] is None and '"' in part["value"]):
        return None
    field, value = part["field"], part["value"]
    bare = re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"')) if value.startswith('"') else value
    return _At(run.start(), run.end(), part["minus"], field.lower() if field else None, bare)


def _fields(at: _At) -> tuple[Choice, ...]:
    """The fields that begin like the word; all where there is none."""
    typed = at.value.lower()
    names = (name for name in FIELD_WORDS if name.startswith(typed))
    return tuple(Choice(f"{name}:", FIELD_WORDS[name].finds, f"{at.minus}{name}:") for name in names)


def _rank(value: str, typed: str) -> int | None:
    """0 for what is typed, 1 for what begins so, 2 for a name or word that does, 3 for what contains it."""
    value = value.casefold()
    if typed not in value:
        return None
    if value == typed:
        return 0
    if value.startswith(typed):
        return 1
    last = os.path.basename(value.rstrip(os.sep))  # noqa: PTH119 (a value that may be a folder)
    return 2 if last.startswith(typed) or f" {typed}" in value else 3
