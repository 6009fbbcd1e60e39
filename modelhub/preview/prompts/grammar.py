"""The grammar of prompts that change on the way: [before:after:when] and [one|another], as A1111 reads it.

A prompt is text, groups in brackets, and brackets or colons that belong to no group. A group is (text), (text:text),
[text], [after:when], [before:after:when] or [one|another|…]; its parts are prompts in which every bracket and colon
belongs to a group. What is no group stays text. A | outside of a group, and a \\ before nothing or a line break, is not
in the grammar: such a prompt is text as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from modelhub.preview.prompts.places import DEEPEST, too_deep

_MARK = re.compile(r"[\[\]():|]|\\.?")
#: When a prompt changes.
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*".replace(r"\d", "[0-9]"))
_CLOSES = {")": "(", "]": "["}


class Edit(NamedTuple):
    """[before:after:when]: `when` as it was written, at `place` of the prompt."""

    before: Parts
    after: Parts
    when: str
    place: int


class Turns(NamedTuple):
    """[one|another|…]: one after another, a call each."""

    options: tuple[Parts, ...]


Parts = tuple["str | Edit | Turns", ...]


class Parsed(NamedTuple):
    """A prompt in parts; `ungrammatical` where it is one text because of the mark at that place."""

    parts: Parts
    ungrammatical: int | None = None


@dataclass(slots=True)
class _Group:
    """A group that is open: its bracket and its place, what stands between its marks, and these marks."""

    bracket: str
    place: int
    fields: list[list[str | Edit | Turns]] = field(default_factory=lambda: [[]])
    marks: list[tuple[str, int]] = field(default_factory=list)

    def loose(self) -> Iterator[str | Edit | Turns]:
        """The parts of a group that turned out to be none."""
        yield self.bracket
        yield from self.fields[0]
        for (mark, _), parts in zip(self.marks, self.fields[1:], strict=True):
            yield mark
            yield from parts


class _StrayError(Exception):
    """A | that belongs to no group."""

    def __init__(self, place: int) -> None:
        self.place = place


def parse(prompt: str) -> Parsed:
    """A prompt in parts. Takes time in proportion to its length. Raises UsageError for too many open brackets."""
    try:
        return Parsed(tuple(_Parser(prompt).parse()))
    except _StrayError as stray:
        return Parsed((prompt,), stray.place)


class _Parser:
    """Keeps the groups that are open; one that turns out to be none makes text of all around it."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.done: list[str | Edit | Turns] = []
        self.open: list[_Group] = []

    def parse(self) -> list[str | Edit | Turns]:
        """The parts at the top."""
        end = 0
        for match in _MARK.finditer(self.prompt):
            self.add(self.prompt[end : match.start()])
            end = match.end()
            self.mark(match[0], match.start())
        self.add(self.prompt[end:])
        self.loosen()
        return self.done

    def add(self, part: str | Edit | Turns) -> None:
        """Put a part into the group that is open last."""
        if part:
            (self.open[-1].fields[-1] if self.open else self.done).append(part)

    def mark(self, mark: str, place: int) -> None:
        """Go on behind a bracket, a colon, a | or an escape."""
        if mark == "\\":
            raise _StrayError(place)
        if mark in "([":
            if len(self.open) == DEEPEST:
                raise too_deep(self.prompt, place)
            self.open.append(_Group(mark, place))
        elif mark in _CLOSES:
            self.close(mark)
        elif mark in ":|":
            self.separate(mark, place)
        else:
            self.add(mark)

    def separate(self, mark: str, place: int) -> None:
        """A colon or a |: the next field of the group that is open."""
        if self.open:
            self.open[-1].marks.append((mark, place))
            self.open[-1].fields.append([])
        elif mark == "|":
            raise _StrayError(place)
        else:
            self.done.append(mark)

    def close(self, bracket: str) -> None:
        """A closing bracket: the last open group, if it is one, or else text, as all that is open."""
        group = self.open[-1] if self.open else None
        made = _made(group) if group is not None and group.bracket == _CLOSES[bracket] else None
        if made is None:
            self.loosen()
            self.done.append(bracket)
            return
        self.open.pop()
        for part in made:
            self.add(part)

    def loosen(self) -> None:
        """No group that is open is one: a bracket inside belongs to none."""
        for group in self.open:
            stray = next((place for mark, place in group.marks if mark == "|"), None)
            if stray is not None:
                raise _StrayError(stray)
            self.done.extend(group.loose())
        self.open.clear()


def _made(group: _Group) -> Parts | None:
    """The parts that a whole group stands for; None where it is none."""
    marks = {mark for mark, _ in group.marks}
    fields = [tuple(parts) for parts in group.fields]
    if group.bracket == "(":
        return (*group.loose(), ")") if not marks or (marks == {":"} and len(fields) == 2) else None
    if not marks:
        return (*group.loose(), "]")
    if marks == {"|"}:
        return (Turns(tuple(fields)),)
    return _edit(fields, group.marks[-1][1] + 1) if marks == {":"} and len(fields) <= 3 else None


def _edit(fields: list[Parts], place: int) -> Parts | None:
    *texts, last = fields
    number = NUMBER.fullmatch("".join(part for part in last if isinstance(part, str)))
    if number is None or not all(isinstance(part, str) for part in last):
        return None
    before, after = texts if len(texts) == 2 else ((), texts[0])
    return (Edit(before, after, number[1], place + number.start(1)),)
