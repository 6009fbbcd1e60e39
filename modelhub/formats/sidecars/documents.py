"""Text files of unknown origin: read up to a size, decoded by their mark, parsed within bounds."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from modelhub.errors import CorruptFileError
from modelhub.formats.handle import read_bounded

#: Real ones have a few hundred kilobytes at most: Civitai's lists of pictures with their prompts.
MAX_BYTES = 8_000_000
#: Lists and tables: what makes small JSON large in memory.
_MAX_NODES = 200_000
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_MEND = "Mend it, or delete it: the model itself is not affected."


def read_text(path: Path) -> str:
    """The text of a file, UTF-8 unless its first bytes say UTF-16; what is neither becomes `\\ufffd`.

    Raises CorruptFileError for more than `MAX_BYTES`, FileError when it cannot be read.
    """
    size, data = read_bounded(path, MAX_BYTES)
    if size > MAX_BYTES:
        raise CorruptFileError(f"{path} has {size:,} bytes, too many for a sidecar of {MAX_BYTES:,} at most.", _MEND)
    coding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(coding, "replace")


def parse_table(text: str, path: Path) -> dict[str, Any]:
    """The table that JSON text holds. Raises CorruptFileError if it holds none, or one of unreasonable size."""
    if text.count("{") + text.count("[") > _MAX_NODES:
        raise CorruptFileError(f"{path} holds more than {_MAX_NODES:,} lists and tables.", _MEND)
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise CorruptFileError(f"{path} is nested too deeply.", _MEND) from error
    except ValueError as error:
        raise CorruptFileError(f"{path} is not valid JSON: {error}.", _MEND) from error
    if not isinstance(found, dict):
        raise CorruptFileError(f"{path} holds no table of names and values.", _MEND)
    return found


def dump_table(table: dict[str, Any], path: Path) -> str:
    """Indented JSON. Raises CorruptFileError for what is nested too deeply, which only `path` as it was can be."""
    try:
        return json.dumps(table, ensure_ascii=False, indent=2) + "\n"
    except RecursionError as error:
        raise CorruptFileError(f"{path} is nested too deeply to be written again.", _MEND) from error
