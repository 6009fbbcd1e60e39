"""The line format of sd-mecha, version 0.1.0: every line is a result, later lines name it by its number, `&3`.

version 0.1.0
dict IN00=0.1 M00=0.5
model "a.safetensors" model_config="sd1-ldm" merge_space="weight"
merge "weighted_sum" &1 &2 alpha=&0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from modelhub.errors import BadRecipeError
from modelhub.text import brief

VERSION = "version 0.1.0"
_COMMANDS = ("dict", "literal", "model", "merge")
_LONGEST, _MAX_LINES, _MAX_WORDS = 1_000_000, 5000, 20_000
#: A word: `name=` or nothing, then a text in quotes or anything without spaces.
_WORD = re.compile(r'\s*(?:([A-Za-z_][\w.]*)=)?(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')
_NUMBER = re.compile(r"-?\d{1,18}|-?\d{0,18}(?=[.\deE])(?:\d\.?|\.\d)\d{0,40}(?:[eE][+-]?\d{1,3})?")
_CONSTANTS = {"null": None, "true": True, "false": False}


class Ref(NamedTuple):
    """The result of an earlier line."""

    line: int


#: What a word of a line may be.
Word = str | int | float | bool | None | Ref


class Line(NamedTuple):
    """One line: its place in the text (from 1), the command, and the words behind it."""

    at: int
    command: str
    words: tuple[Word, ...]
    named: dict[str, Word]


def read_lines(text: str) -> list[Line]:
    """The lines of a recipe; every `Ref` points to an earlier one. Raises BadRecipeError with the line."""
    rows = text.split("\n")
    if rows[0].strip() != VERSION:
        raise BadRecipeError(
            f"The sd-mecha recipe begins with '{brief(rows[0].strip())}' and not with '{VERSION}'.",
            "Have the sd-mecha that wrote it write it again in its newest version.",
        )
    if len(text) > _LONGEST:
        what = f"The sd-mecha recipe has {len(text):,} characters; {_LONGEST:,} are allowed."
        raise BadRecipeError(what, "Shorten it.")
    if len(rows) > _MAX_LINES:
        raise BadRecipeError(f"The sd-mecha recipe has {len(rows):,} lines; {_MAX_LINES:,} are allowed.", "Shorten it.")
    found: list[Line] = []
    for at, row in enumerate(rows[1:], 2):
        if row.strip() and not row.strip().startswith("#"):
            found.append(_line(at, row.strip(), len(found)))
    return found


def _line(at: int, row: str, before: int) -> Line:
    words, named = [], {}
    command, _, rest = row.partition(" ")
    for key, word in _words(at, rest.rstrip()):
        value = _value(at, word, before)
        if key:
            named[key] = value
        else:
            words.append(value)
    if command not in _COMMANDS:
        raise wrong(at, f"there is no command '{brief(command)}'", f"There are: {', '.join(_COMMANDS)}.")
    return Line(at, command, tuple(words), named)


def _words(at: int, row: str) -> Iterator[tuple[str, str]]:
    """Name (or nothing) and word; a text keeps the quote before it."""
    position = count = 0
    while position < len(row):
        match = _WORD.match(row, position)
        count += 1
        if match is None:
            raise wrong(at, f"'{brief(row[position:])}' is no word", "A text stands between quotes.")
        if count > _MAX_WORDS:
            raise wrong(at, "it has too many words", "Shorten it.")
        quoted = match[2]
        word = match[3] if quoted is None else '"' + re.sub(r"\\(.)", r"\1", quoted)
        yield match[1] or "", word
        position = match.end()


def _value(at: int, word: str, before: int) -> Word:
    if word.startswith('"'):
        return word[1:]
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if re.fullmatch(r"&\d{1,6}", word):
        if int(word[1:]) >= before:
            raise wrong(at, f"{word} names no earlier line", "Lines count from 0, without the version.")
        return Ref(int(word[1:]))
    if _NUMBER.fullmatch(word):
        return float(word) if set(word) & set(".eE") else int(word)
    raise wrong(at, f"'{brief(word)}' is no value", "A text stands between quotes.")


def wrong(at: int, what: str, hint: str) -> BadRecipeError:
    """What is wrong with a line."""
    return BadRecipeError(f"Line {at} of the sd-mecha recipe: {what}.", hint)
