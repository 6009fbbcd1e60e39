"""Tables for a terminal: as wide as it is, the widest columns shortened first; whole when the output goes to a file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence

from modelhub.text import one_line, pad, width

_LEAST = 8


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """The lines of a table; columns whose index is in `right` are right-aligned."""
    cells = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]
    if sys.stdout.isatty():
        widths = _fitted(widths, shutil.get_terminal_size().columns)
    for row in cells:
        yield "  ".join(pad(c, w, right=i in right) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()


def _fitted(widths: list[int], columns: int) -> list[int]:
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > columns and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths


def facts(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Lines of `name  value`, values aligned; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    left = max((width(name) for name, _ in shown), default=0)
    for name, value in shown:
        yield f"{pad(name, left)}  {value}"
