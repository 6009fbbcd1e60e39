"""Drawing: a grid as one picture, x from left to right, y from top to bottom, z on pages one under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelhub.preview.grids.axes import Axis
from modelhub.preview.pictures.sheet import Page, Pixels, check_sheet, contact_pages

#: Pictures below this are enlarged, by whole pixels, so that labels have room.
_LEAST = 160
Place = tuple[int, int, int]


def draw(axes: Sequence[Axis], pictures: Mapping[Place, Pixels]) -> Pixels:
    """The sheet [H, W, 3] of all pictures [H, W, 3] by their column, row and page. Raises UsageError if too large."""
    columns, rows, pages = counts(axes)
    labels = [_labels(axes, at) for at in range(3)]
    sheets = [
        Page(_title(axes, z), [[pictures[x, y, z] for x in range(columns)] for y in range(rows)]) for z in range(pages)
    ]
    side = max(max(picture.shape[:2]) for picture in pictures.values())
    return contact_pages(sheets, labels[1], labels[0], scale=enlargement(axes, side))


def check(axes: Sequence[Axis], width: int, height: int) -> None:
    """Raise UsageError if a grid of pictures of at most `width` x `height` is too large for one sheet."""
    columns, rows, pages = counts(axes)
    check_sheet(pages, rows, columns, width, height)


def counts(axes: Sequence[Axis]) -> tuple[int, int, int]:
    """How many columns, rows and pages there are."""
    x, y, z = [*(len(axis.values) for axis in axes), 1, 1, 1][:3]
    return x or 1, y or 1, z or 1


def enlargement(axes: Sequence[Axis], side: int) -> int:
    """How many times pictures with this longer side are drawn as large: tiny ones are, if there are not too many."""
    columns, rows, pages = counts(axes)
    most = 16_000 // (max(columns, rows * pages) * side)
    return max(1, min(-(-_LEAST // side), most))


def _labels(axes: Sequence[Axis], at: int) -> list[str]:
    found = axes[at].labels if at < len(axes) else []
    return found if len(found) > 1 or at == 0 else []


def _title(axes: Sequence[Axis], page: int) -> str:
    if len(axes) < 3 or not axes[2].values:
        return ""
    name, label = axes[2].name, axes[2].labels[page]
    return label if label.lower().startswith(name.lower().removeprefix("lora:")) else f"{name}: {label}"
