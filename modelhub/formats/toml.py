"""TOML from strangers: read in a time that its length bounds."""

from __future__ import annotations

import re
import tomllib
from typing import Any

#: Parts of one key (a.b.c), and the squares of those of all keys together: far more than any recipe has.
_PARTS, _SQUARES = 200, 1_000_000
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+(?:"|\n|\\?\Z)|'[^'\n]*+(?:'|\n|\Z))"""
_PARTS_OF = re.compile(_PART, re.DOTALL)
#: Texts of several lines and comments, which have no keys; and what may be one. Whatever is cut off ends here as there.
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"
    r"|#[^\n]*+"
    rf"|({_PART}(?:[ \t]*+\.[ \t]*+{_PART})++)"
    rf"|{_PART}",
    re.DOTALL,
)


def read_toml(text: str) -> dict[str, Any]:
    """The table that `text` is. Raises ValueError for what is no TOML, and for what is nested too deeply.

    The time that Python's reader takes for a key grows with the square of its parts, and so does its memory.
    """
    lengths = [len(_PARTS_OF.findall(found[1])) for found in _TOKEN.finditer(text) if found[1]]
    if max(lengths, default=0) > _PARTS or sum(length * length for length in lengths) > _SQUARES:
        raise ValueError("it has keys of too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
