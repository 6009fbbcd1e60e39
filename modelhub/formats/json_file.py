"""JSON from strangers, beside weights or in them: read within bounds of size, depth and number."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

from modelhub.errors import CorruptFileError
from modelhub.formats.handle import read_bounded

#: The index of a model of 100,000 tensors has ten million bytes.
MAX_BYTES = 16_000_000
_MAX_COUNTS = {b"{": 20_000, b"[": 20_000, b",": 300_000}
_BROKEN = "The file is damaged; download or copy it again."


def is_deeper(text: str, most: int) -> bool:
    """Whether a text has more than `most` brackets in brackets; those in its strings count too."""
    brackets = re.sub(r"[^\[\]{}]+", "", text)
    return max(accumulate((char in "[{") - (char in "]}") for char in brackets), default=0) > most


def read_table(path: str | Path) -> dict[str, Any]:
    """The table in a JSON file. Raises CorruptFileError for none or too much, FileError when it cannot be read."""
    text = _text(path)
    for mark, most in _MAX_COUNTS.items():
        if text.count(mark) > most:
            raise CorruptFileError(f"{path} holds more than {most:,} entries.", _BROKEN)
    try:
        found = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise CorruptFileError(f"{path} is not valid JSON: {reason}.", _BROKEN) from None
    if not isinstance(found, dict):
        raise CorruptFileError(f"{path} holds no table of names and values.", _BROKEN)
    return found


def _text(path: str | Path) -> bytes:
    size, text = read_bounded(path, MAX_BYTES)
    if size > MAX_BYTES:
        raise CorruptFileError(f"{path} has {size:,} bytes, more than the {MAX_BYTES:,} that are allowed.", _BROKEN)
    return text
