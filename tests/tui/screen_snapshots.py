"""Snapshots of screens: every character and every style, kept as text that a person can read and compare.

Set MODELHUB_SNAPSHOTS=write to keep what is shown now; look at the difference before you commit it.
"""

from __future__ import annotations

import difflib
import os
import re
from itertools import groupby
from pathlib import Path

from rich.style import Style
from textual.app import App

FOLDER = Path(__file__).parent / "snapshots"


def drawn(app: App) -> str:
    """The screen as text, then for every line the runs of its styles, then what these are."""
    lines = [
        [(char, segment.style or Style()) for segment in strip for char in segment.text]
        for strip in app.screen._compositor.render_strips()
    ]
    known: dict[str, str] = {}
    runs = []
    for line in lines:
        looks = [known.setdefault(_told(style), f"s{len(known)}") for _, style in line]
        runs.append(" ".join(f"{look}*{len(list(same))}" for look, same in groupby(looks)))
    text = ["".join(char for char, _ in line).rstrip() for line in lines]
    legend = [f"{look} = {style}" for style, look in known.items()]
    return "\n".join([*text, "-- styles --", *runs, "-- of which --", *legend, ""])


def _told(style: Style) -> str:
    """A style in words, without what is bound to it (`@click`) and without links, which are numbered at random."""
    flags = [name for name in ("bold", "dim", "italic", "underline", "strike", "reverse") if getattr(style, name)]
    colours = [colour.name if colour else "-" for colour in (style.color, style.bgcolor)]
    return " ".join([*colours, *flags])


def check(app: App, name: str, *volatile: str) -> None:
    """Whether the screen is as it was kept; what matches one of the patterns `volatile` may differ, but not in length."""
    shown = drawn(app)
    for pattern in volatile:
        shown = re.sub(pattern, lambda found: "░" * len(found[0]), shown)
    path = FOLDER / f"{name}.txt"
    if os.environ.get("MODELHUB_SNAPSHOTS") == "write":
        path.write_text(shown, encoding="utf-8")
        return
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    changes = list(difflib.unified_diff(kept.splitlines(), shown.splitlines(), "kept", "shown", lineterm="", n=0))
    assert not changes, "\n".join([f"{path} is not what is shown:", *changes[:60]])
