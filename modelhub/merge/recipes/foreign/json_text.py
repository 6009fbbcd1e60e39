"""JSON from strangers: read within limits of size and depth, and asked for values of the kind that is expected."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from modelhub.errors import BadRecipeError
from modelhub.formats.json_file import is_deeper
from modelhub.text import brief

#: Characters of a text, and brackets in brackets: far more than any recipe has.
_LONGEST, _DEEPEST = 1_000_000, 40


def read_json(text: str, what: str) -> dict[str, Any]:
    """The object that `text` is. Raises BadRecipeError, which begins with `what`."""
    if len(text) > 2 * _LONGEST:
        raise BadRecipeError(f"{what} is longer than any recipe.", "Take only the recipe itself.")
    if is_deeper(text, _DEEPEST):
        raise BadRecipeError(f"{what} is nested too deeply.", "It is no recipe of a merge.")
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:  # also for a number with thousands of digits
        reason = brief(str(error), 100)
        raise BadRecipeError(f"{what} is not valid JSON: {reason}.", "Copy it again, whole.") from error
    if not isinstance(found, dict):
        raise BadRecipeError(f"{what} is no JSON object.", "Copy it again, from { to }.")
    return found


def table_or_nothing(text: str | None, longest: int = _LONGEST) -> dict[str, Any]:
    """The object that `text` is; what is none, or larger than `longest` characters, says nothing."""
    if not text or len(text) > longest:
        return {}
    try:
        return read_json(text, "The text")
    except BadRecipeError:
        return {}


def read_json_list(text: str | None, longest: int = _LONGEST) -> list[dict[str, Any]]:
    """The objects in the list that `text` is; what is none, or larger than `longest` characters, says nothing."""
    found = table_or_nothing(f'{{"list":{text}}}', longest + 9).get("list") if text else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_of(table: Mapping[str, Any], name: str) -> str:
    """A text of a table, "" for one that is null or not there. Raises BadRecipeError."""
    value = table.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRecipeError(f"The recipe's {name} is no text but {brief(repr(value))}.", "Copy the recipe again.")
    return value


def number_of(table: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """A finite number of a table, also one that is written as a text. Raises BadRecipeError."""
    value = table.get(name, default)
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRecipeError(f"The recipe's {name} is no number but {brief(repr(value))}.", "Copy the recipe again.")
    return number


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
