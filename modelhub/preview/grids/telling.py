"""Telling: what the infotext of a grid says of its axes, in A1111's words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from modelhub.preview.grids.axes import Axis, Value
from modelhub.preview.grids.names import A1111
from modelhub.preview.pictures.infotext import write_infotext


def grid_infotext(first: str, axes: Sequence[Axis]) -> str:
    """The infotext of a grid: that of its `first` picture, and then the axes."""
    return f"{first}, {write_infotext('', '', dict(_settings(axes)))}"


def _settings(axes: Sequence[Axis]) -> Iterator[tuple[str, str]]:
    yield "Script", "X/Y/Z plot"
    for letter, axis in zip("XYZ", axes, strict=False):
        if axis.values:
            yield f"{letter} Type", A1111.get(axis.name, axis.name)
            yield f"{letter} Values", _listed([shown(axis, value) for value in axis.values])


def shown(axis: Axis, value: Value) -> str:
    """A value as it was said; a model by its label, for the paths of a machine are nobody's business."""
    said = value.value
    if isinstance(said, float):
        return f"{said:g}"
    return value.label if axis.of_files or not isinstance(said, int | str) else str(said)


def _listed(words: Sequence[str]) -> str:
    """Words with commas between them, and quotes around those that have some."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()
