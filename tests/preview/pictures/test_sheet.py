"""Contact sheets: every picture whole and in its place, labels that cannot do harm."""

from __future__ import annotations

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.pictures.sheet import Page, Pixels, check_pages, contact_pages, contact_sheet


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
    sheet = contact_sheet([[block(200, 40, 40), block(201, 20, 10)], [block(203), block(202, 30, 40)]], [], [])
    big, small, wide = places(sheet, 200), places(sheet, 201), places(sheet, 202)
    assert (small[0].start + small[0].stop) == (big[0].start + big[0].stop)
    assert (small[1].start + small[1].stop) == (wide[1].start + wide[1].stop)
    assert wide[1].start - big[1].stop == 8
    assert sheet.shape == (40 + 30 + 3 * 8, 2 * 40 + 3 * 8, 3)
    assert contact_sheet([[block(200, 40, 40), block(201)], [block(202)]], [], []).shape[1] == 40 + 24 + 3 * 8


def test_pages_stand_one_under_the_other_with_titles() -> None:
    pages = [Page("first", [[block(101), block(102)]]), Page("", [[block(103), block(104)]])]
    sheet = contact_pages(pages, ["row"], ["1", "2"])
    found = {value: places(sheet, value) for value in (101, 102, 103, 104)}
    assert found[101][1] == found[103][1]
    assert found[101][0].stop < found[103][0].start
    bare = contact_pages([Page("", rows) for _, rows in pages], ["row"], ["1", "2"])
    assert sheet.shape[0] > bare.shape[0]
    assert sheet.shape[1] == bare.shape[1]
    assert sheet[: found[101][0].start, found[101][1].start :].max() > 150, "the title is above it"


def test_long_labels_have_several_lines() -> None:
    short, long = (contact_sheet([[block(1, 64, 64)]], [], [text]) for text in ("DPM", "DPM++ 2M SDE Heun"))
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1]


def test_a_sheet_that_would_be_too_large_is_refused_before() -> None:
    many = [Page("", [[block(0, 1000, 1032)] * 19] * 10)]
    check_pages(many, [], [])
    with pytest.raises(UsageError, match="too large"):
        check_pages(many, ["a row with a long label"] * 10, [])
    with pytest.raises(UsageError, match="too large"):
        check_pages(many, [], [], scale=2)
    with pytest.raises(UsageError, match="at least one"):
        check_pages([Page("", [[]])], [], [])


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


def test_a_word_wider_than_its_column_takes_one_line() -> None:
    cells = [[np.zeros((64, 64, 3), np.uint8)]]
    assert contact_sheet(cells, [], ["x" * 200]).shape == contact_sheet(cells, [], ["x"]).shape


@pytest.mark.parametrize(("side", "least", "most"), [(64, 10, 20), (512, 20, 60), (1024, 40, 90)])
def test_letters_grow_with_the_pictures(side: int, least: int, most: int) -> None:
    plain = contact_sheet([[np.zeros((side, side, 3), np.uint8)]], [], [])
    labelled = contact_sheet([[np.zeros((side, side, 3), np.uint8)]], [], ["seed 1"])
    assert least <= labelled.shape[0] - plain.shape[0] <= most
