"""What is typed into the fields of a picture, read: numbers and sizes, with a sentence for what is none."""

from __future__ import annotations

from modelhub.errors import UsageError
from modelhub.text import brief

#: What is asked for where the prompt is empty.
PROMPT = "a red circle on a blue background"
#: Digits of a whole number: more than any seed has.
_DIGITS = 20


def read_decimal(what: str, text: str) -> float:
    """A number, with a comma or a point. Raises UsageError."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"The {what} is '{brief(text)}'.", "A number such as 7 or 3.5 is needed.") from None


def read_whole(what: str, text: str) -> int:
    """A whole number. Raises UsageError."""
    text = text.strip()
    if not text.isdecimal() or len(text) > _DIGITS:
        raise UsageError(f"The {what} is '{brief(text)}'.", "A whole number is needed; a size may also be 512x768.")
    return int(text)


def read_size(text: str) -> tuple[int | None, int | None]:
    """Width and height of `512`, `512x768` or `512×768`; None for both where the model's own are meant.

    Raises UsageError.
    """
    if text in ("", "auto"):
        return None, None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2:
        raise UsageError(f"The size is '{brief(text)}'.", "Write one side, or both: 512x768.")
    return read_whole("size", sides[0]), read_whole("size", sides[-1])
