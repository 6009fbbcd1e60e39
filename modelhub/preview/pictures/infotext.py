"""Infotext: the text in a picture's `parameters` that says how it was made, as A1111 writes and reads it.

Prompt lines, a line "Negative prompt: ...", and a last line of "key: value" pairs joined by ", ".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_NEGATIVE = "Negative prompt:"
#: A key has two to eighty characters: with the possessive quantifiers, hostile text cannot take quadratic time.
_KEY = re.compile(r"(\w[\w \-/]{1,79}+):\s*+")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])++"(?=\s*(?:,|$))')
_PLAIN = re.compile(r"[^,]*+")
_END = re.compile(r"\s*(?:,|$)")
_LEAST_PAIRS = 3
#: Values that look like JSON and are none: after so many, nothing is taken for JSON any more.
_MOST_BROKEN = 20
#: What an extension for templates writes below the settings.
_TEMPLATES = ("Template:", "Negative Template:")


@dataclass(frozen=True)
class Infotext:
    """What an infotext says; `settings` keeps the order of the text, and all values are texts."""

    prompt: str = ""
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def write_infotext(prompt: str, negative: str, settings: Mapping[str, object]) -> str:
    """The infotext of a picture. Settings of value None are left out; a value equal to its key is the key alone."""
    pairs = [
        key if key == str(value) else f"{key}: {_quote(value)}" for key, value in settings.items() if value is not None
    ]
    lines = [prompt, f"{_NEGATIVE} {negative}" if negative else "", ", ".join(pairs)]
    return "\n".join(line for index, line in enumerate(lines) if line or index == 0).strip()


def parse_infotext(text: str) -> Infotext:
    """Read an infotext, whoever wrote it; the last line is settings if it has three pairs or more, else prompt.

    A value may be a text in quotes, or JSON without them, as `Civitai resources` and `Hashes` are.
    """
    *lines, last = text.strip().split("\n")
    settings = _settings(last)
    if not settings and (cut := _templates([*lines, last])):
        lines, settings = lines[: cut - 1], _settings(lines[cut - 1])
        last = ""
    if not settings:
        lines.append(last)
    lines = [line.strip() for line in lines]
    cut = next((index for index, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    negative = [lines[cut].removeprefix(_NEGATIVE).strip(), *lines[cut + 1 :]] if cut < len(lines) else []
    return Infotext("\n".join(lines[:cut]).strip(), "\n".join(negative).strip(), settings)


def _templates(lines: list[str]) -> int:
    """Where the templates begin that stand below the settings; 0 where there are none."""
    at = next((at for at, line in enumerate(lines) if line.startswith(_TEMPLATES)), 0)
    return at if at and lines[at - 1].startswith("Steps:") and _settings(lines[at - 1]) else 0


def _settings(line: str) -> dict[str, str]:
    pairs = read_pairs(line)
    return pairs if len(pairs) >= _LEAST_PAIRS else {}


def read_pairs(line: str) -> dict[str, str]:
    """The pairs of a line of settings, however few; of a key that comes again the last."""
    return dict(_pairs(line))


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    place, broken = 0, 0
    while key := _KEY.search(line, place):
        place = key.end()
        value = None
        if line[place : place + 1] in ("{", "[") and broken < _MOST_BROKEN:
            value = _json(line, place)
            broken += value is None
        if value is None:
            found = _QUOTED.match(line, place) or _PLAIN.match(line, place)
            value = found[0] if found else ""
        place += len(value)
        yield key[1].strip(), _unquote(value.strip())


def _json(line: str, place: int) -> str | None:
    """The list or table that begins here and ends before a comma or with the line."""
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(line, place)
    except (ValueError, RecursionError):
        return None
    return line[place:end] if _END.match(line, end) else None


def _quote(value: object) -> str:
    """`value` as text, in JSON quotes if a comma, a colon, a line break or the like would end it too early."""
    text = str(value)
    plain = text == text.strip() and text.isprintable() and not any(mark in text for mark in ',:"')
    return text if plain and text else json.dumps(text, ensure_ascii=False)


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
