"""Places: what a file carries of others' recipes names models, and not where they lay: a path tells who made it."""

from __future__ import annotations

import json
import re
from typing import Any

from modelhub.formats.naming import last_part
from modelhub.merge.recipes.foreign.json_text import table_or_nothing

_PLACE = r"(?:/|~[^/\\]*[/\\]|[A-Za-z]:[/\\]|\\\\)"
_PATH = re.compile(_PLACE)
#: In a text of TOML or sd-mecha: a path between quotes, and the name that it ends in.
_QUOTED = [re.compile(rf"{mark}{_PLACE}[^{mark}\n]*[/\\]([^{mark}/\\\n]+){mark}|{mark}{_PLACE}([^{mark}/\\\n]+){mark}")
           for mark in "\"'"]  # fmt: skip


def unplaced_text(text: str) -> str:
    """A recipe of whatever program with the names of its models instead of their absolute paths."""
    if table := table_or_nothing(text):
        plain = unplaced(table)
        return json.dumps(plain) if plain != table else text
    for pattern in _QUOTED:
        text = pattern.sub(lambda found: f"{found[0][0]}{found[1] or found[2]}{found[0][0]}", text)
    return text


def unplaced(value: Any) -> Any:
    """The same of a value of JSON."""
    if isinstance(value, dict):
        return {key: unplaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unplaced(item) for item in value]
    return last_part(value) if isinstance(value, str) and _PATH.match(value) else value
