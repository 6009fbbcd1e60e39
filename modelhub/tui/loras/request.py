"""The request of a preview, of the texts of its fields."""

from __future__ import annotations

from modelhub.preview.request import Request
from modelhub.tui.lab.cooking import SUITED
from modelhub.tui.typed_values import PROMPT, read_decimal, read_size, read_whole

CFG = 7.0


def read_request(fields: dict[str, str], steps: int) -> Request:
    """What the fields say; empty ones are as they are at first. Raises UsageError."""
    said = {name: text.strip() for name, text in fields.items()}
    width, height = read_size(said.get("size", ""))
    return Request(
        said.get("prompt") or PROMPT,
        negative=said.get("negative", ""),
        sampler=said.get("sampler", SUITED),
        schedule=SUITED,
        steps=read_whole("number of steps", said.get("steps") or str(steps)),
        cfg=read_decimal("CFG scale", said.get("cfg") or f"{CFG:g}"),
        seed=read_whole("seed", said.get("seed") or "1"),
        width=width,
        height=height,
    )
