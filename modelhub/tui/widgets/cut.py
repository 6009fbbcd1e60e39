"""Sentences cut where they end: of a name both ends matter, of a sentence its beginning."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from modelhub.text import one_line


def cut(text: str, columns: int) -> str:
    """`text` on exactly `columns` columns of the terminal, with `…` in the place of what is too much."""
    text = one_line(text)
    if cell_len(text) <= columns:
        return set_cell_size(text, columns)
    return set_cell_size(text, columns - 1) + "…" if columns > 0 else ""
