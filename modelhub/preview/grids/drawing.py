"""Drawing: a grid as one picture, x from left to right, y from top to bottom, z on pages one under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from modelhub.preview.grids.axes import Axis
from modelhub.preview.pictures.sheet import Page, Pixels, check_pages, contact_pages

#: Pictures with sides below this are enlarged, by whole pixels, so that labels have room.
_LEAST = 160
#: Pixels of a side of the sheet that nothing is enlarged beyond.
_LONGEST = 16_000
Place = tuple[int, int, int]


def draw(axes: Sequence[Axis], pictures: Mapping[Place, Pixels]) -> Pixels:
    """The sheet [H, W, 3] of all pictures [H, W, 3] by their column, row and page. Raises UsageError if too large."""
    side = max(max(picture.shape[:2]) for picture in pictures.values())
    return contact_pages(_pages(axes, pictures), *_sides(axes), scale=enlargement(axes, side))


def check(axes: Sequence[Axis], width: int, height: int) -> None:
    """Raise UsageError if a grid of pictures of at most `width` x `height` is too large for one sheet."""
    columns, rows, pages = counts(axes)
    blank = np.broadcast_to(np.uint8(0), (height, width, 3))  # of any size, and one byte
    pictures = dict.fromkeys(product(range(columns), range(rows), range(pages)), blank)
    check_pages(_pages(axes, pictures), *_sides(axes), scale=enlargement(axes, max(width, height)))


def _pages(axes: Sequence[Axis], pictures: Mapping[Place, Pixels]) -> list[Page]:
    columns, rows, pages = counts(axes)
    return [
        Page(_title(axes, z), [[pictures[x, y, z] for x in range(columns)] for y in range(rows)]) for z in range(pages)
    ]


def _sides(axes: Sequence[Axis]) -> tuple[list[str], list[str]]:
    """The labels of the rows, then those of the columns."""
    return _labels(axes, 1), _labels(axes, 0)


def counts(axes: Sequence[Axis]) -> tuple[int, int, int]:
    """How many columns, rows and pages there are."""
    x, y, z = [*(len(axis.values) for axis in axes), 1, 1, 1][:3]
    return x or 1, y or 1, z or 1


def enlargement(axes: Sequence[Axis], side: int) -> int:
    """How many times pictures with this longer side are drawn as large: tiny ones are, if there are not too many."""
    columns, rows, pages = counts(axes)
    most = _LONGEST // (max(columns, rows * pages) * side)
    return max(1, min(-(-_LEAST // side), most))


def _labels(axes: Sequence[Axis], at: int) -> list[str]:
    found = axes[at].labels if at < len(axes) else []
    return found if len(found) > 1 or at == 0 else []


def _title(axes: Sequence[Axis], page: int) -> str:
    if len(axes) < 3 or not axes[2].values:
        return ""
    name, label = axes[2].name, axes[2].labels[page]
    return label if label.lower().startswith(name.lower().removeprefix("lora:")) else f"{name}: {label}"
