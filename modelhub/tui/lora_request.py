"""The request of a preview, of the texts of its fields."""

from __future__ import annotations

from modelhub.errors import UsageError
from modelhub.preview.request import Request
from modelhub.text import brief
from modelhub.tui.lab.cooking import SUITED

PROMPT = "a red circle on a blue background"
CFG = 7.0


def read_request(fields: dict[str, str], steps: int) -> Request:
    """What prompt, steps, size, cfg and seed say; empty ones are as they are at first. Raises UsageError."""
    said = {name: text.strip() for name, text in fields.items()}
    width, height = _size(said.get("size", ""))
    return Request(
        said.get("prompt") or PROMPT,
        sampler=SUITED,
        schedule=SUITED,
        steps=_whole("number of steps", said.get("steps") or str(steps)),
        cfg=_decimal("CFG scale", said.get("cfg") or f"{CFG:g}"),
        seed=_whole("seed", said.get("seed") or "1"),
        width=width,
        height=height,
    )


def _size(text: str) -> tuple[int | None, int | None]:
    if text in ("", "auto"):
        return None, None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2:
        raise UsageError(f"The size is '{brief(text)}'.", "Write one side, or both: 512x768.")
    return _whole("size", sides[0]), _whole("size", sides[-1])


def _decimal(what: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"The {what} is '{brief(text)}'.", "A number such as 7 or 3.5 is needed.") from None


def _whole(what: str, text: str) -> int:
    text = text.strip()
    if not text.isdecimal() or len(text) > 20:
        raise UsageError(f"The {what} is '{brief(text)}'.", "A whole number is needed; a size may also be 512x768.")
    return int(text)
