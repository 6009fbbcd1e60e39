"""Contact sheets: every picture whole and in its place, labels that cannot do harm."""

from __future__ import annotations

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.grids import Pixels, contact_sheet


def block(value: int, height: int = 16, width: int = 24) -> Pixels:
    return np.full((height, width, 3), value, dtype=np.uint8)


def places(sheet: Pixels, value: int) -> tuple[slice, slice]:
    """The rectangle that one colour fills."""
    rows, columns = np.nonzero((sheet == value).all(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_pictures_stand_in_rows_and_columns() -> None:
    sheet = contact_sheet([[block(101), block(102)], [block(103), block(104)]], ["a", "b"], ["1", "2"])
    found = {value: places(sheet, value) for value in (101, 102, 103, 104)}
    for rows, columns in found.values():
        assert (rows.stop - rows.start, columns.stop - columns.start) == (16, 24)
    assert found[101][0] == found[102][0]
    assert found[101][1] == found[103][1]
    assert found[101][1].stop < found[102][1].start
    assert found[101][0].stop < found[103][0].start


def test_scale_enlarges_by_whole_pixels() -> None:
    picture = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3) + 100
    sheet = contact_sheet([[picture]], [], [], scale=3)
    assert sheet.shape == (4 * 3 + 16, 4 * 3 + 16, 3)
    assert np.array_equal(sheet[8:-8:3, 8:-8:3], picture)


def test_smaller_pictures_are_centred_and_rows_may_end_early() -> None:
    sheet = contact_sheet([[block(200, 40, 40), block(201, 20, 10)], [block(202, 40, 40)]], [], [])
    big, small = places(sheet, 200), places(sheet, 201)
    assert (small[0].start + small[0].stop) == (big[0].start + big[0].stop)
    assert small[1].start - big[1].stop == 8 + 15


def test_labels_take_room_only_when_there_are_some() -> None:
    bare = contact_sheet([[block(1)]], [], [])
    assert np.array_equal(contact_sheet([[block(1)]], [""], [""]), bare)
    labelled = contact_sheet([[block(1)]], ["row"], ["column"])
    assert labelled.shape[0] > bare.shape[0]
    assert labelled.shape[1] > bare.shape[1]
    rows, columns = places(labelled, 1)
    assert labelled[: rows.start, columns].max() > 150, "the column's label is above it"
    assert labelled[rows, : columns.start].max() > 150, "the row's label is left of it"


def test_hostile_labels_neither_fail_nor_grow_the_sheet() -> None:
    nasty = "\x1b[2J\n\u202eevil\udcff\0" + "W" * 100_000
    one = contact_sheet([[block(1, 64, 64)]], [nasty], [nasty])
    other = contact_sheet([[block(1, 64, 64)]], ["W" * 60], ["W" * 60])
    assert one.shape[0] == other.shape[0]
    assert one.shape[1] < 2 * other.shape[1]


def test_long_column_labels_stay_above_their_picture() -> None:
    sheet = contact_sheet([[block(1, 64, 64), block(2, 64, 64)]], [], ["x" * 90, ""])
    rows, columns = places(sheet, 2)
    assert sheet[: rows.start, columns].max() < 50


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(UsageError):
        contact_sheet([[]], [], [])
    with pytest.raises(UsageError):
        contact_sheet([[block(1, 1000, 1000)] * 20] * 20, [], [])
