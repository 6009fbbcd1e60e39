"""Tiles: they cover a picture, begin on the grid, stay small, count to one, and leave no seams."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import UsageError
from modelhub.preview.upscaling.tiling import GRID, Tiling, Values, enlarge_tiles, ramps, to_bytes

RNG = np.random.default_rng(0)


@given(
    length=st.integers(1, 900),
    size=st.integers(32, 300),
    part=st.floats(0, 1),
    multiple=st.sampled_from([1, 2, 4, 8, 24]),
)
def test_spans_cover_a_side(length: int, size: int, part: float, multiple: int) -> None:
    overlap = int(part * (size - GRID) / 2)
    spans = Tiling(size, overlap).spans(length, multiple)
    assert spans[0][0] == 0 and spans[-1][1] == length
    grid = int(np.lcm(GRID, multiple))
    longest = max(size, overlap + max(-(-overlap // grid) * grid, grid))
    assert all(0 < stop - start <= longest for start, stop in spans)
    for (_, stop), (start, end) in pairwise(spans):
        assert stop - start == overlap and start % GRID == 0 and start % multiple == 0 and end > stop - overlap
    assert all(one[1] <= other[0] for one, other in zip(spans, spans[2:], strict=False)), "no three tiles overlap"
    if multiple == 1:
        fewest = -(-max(length - overlap, 1) // max((size - overlap) // GRID * GRID, GRID))
        assert len(spans) <= fewest


@given(length=st.integers(1, 900), size=st.integers(32, 400), part=st.floats(0, 1), scale=st.integers(1, 4))
def test_ramps_count_to_one(length: int, size: int, part: float, scale: int) -> None:
    spans = Tiling(size, int(part * (size - GRID) / 2)).spans(length)
    total = np.zeros(length * scale)
    for (start, stop), ramp in zip(spans, ramps(spans, scale), strict=True):
        assert ramp.min() >= 0 and ramp.max() <= 1
        total[start * scale : stop * scale] += ramp
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_the_edge_of_a_tile_does_not_count() -> None:
    (_, first_stop), (second_start, _) = spans = Tiling(96, 32).spans(150)
    first, second = ramps(spans, 2)
    shared = (first_stop - second_start) * 2
    assert (first[-shared // 4 :] == 0).all() and (second[: shared // 4] == 0).all()
    assert ((first[-shared // 2 :] > 0) & (first[-shared // 2 :] < 1)).any(), "in between they fade"


def _nearest(tile: np.ndarray, scale: int) -> Values:
    return (tile.repeat(scale, 0).repeat(scale, 1) / 255).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (70, 130), (128, 64), (97, 211), (300, 33)])
@pytest.mark.parametrize("tiling", [Tiling(0), Tiling(48, 8), Tiling(64, 24), Tiling(32, 0)])
def test_what_looks_at_single_pixels_is_put_together_exactly(height: int, width: int, tiling: Tiling) -> None:
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = tiling.spans(height), tiling.spans(width)
    found = enlarge_tiles(pixels, rows, columns, 3, lambda tile: _nearest(tile, 3))
    assert np.array_equal(found, pixels.repeat(3, 0).repeat(3, 1))


def _blurred(tile: np.ndarray, reach: int) -> Values:
    """The mean of all pixels up to `reach` away, with zeros around: as a network with padding, wrong at edges."""
    values = np.pad(tile.astype(np.float64) / 255, ((reach, reach), (reach, reach), (0, 0)))
    side = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side), (0, 1))
    return windows.mean((-1, -2)).astype(np.float32)


def test_no_seams_where_a_quarter_of_the_overlap_is_seen_at_most() -> None:
    pixels = RNG.integers(0, 256, (150, 190, 3), dtype=np.uint8)
    whole = to_bytes(_blurred(pixels, 6))
    for overlap, is_equal in ((24, True), (16, False), (4, False)):
        tiling = Tiling(64, overlap)
        found = enlarge_tiles(pixels, tiling.spans(150), tiling.spans(190), 1, lambda tile: _blurred(tile, 6))
        assert (abs(found.astype(int) - whole).max() <= 1) == is_equal, overlap
        assert ((found != whole).mean() < 1e-3) == is_equal


def test_memory_is_that_of_the_result_and_a_row_of_tiles() -> None:
    pixels = RNG.integers(0, 256, (1600, 64, 3), dtype=np.uint8)
    tiling = Tiling(64, 16)
    rows, columns = tiling.spans(1600), tiling.spans(64)
    tracemalloc.start()
    found = enlarge_tiles(pixels, rows, columns, 4, lambda tile: _nearest(tile, 4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    band = 64 * 64 * 4 * 4 * 3 * 4
    assert peak < found.nbytes + 8 * band < found.nbytes * 4 * 0.6, "all of it in float32 would be four times as much"


def test_rounding_is_to_the_nearest() -> None:
    assert to_bytes(np.float32([0, 0.4999 / 255, 0.51 / 255, 1, 254.4 / 255])).tolist() == [0, 0, 1, 255, 254]


@pytest.mark.parametrize(("size", "overlap"), [(-1, 8), (16, 8), (64, 25), (31, 8)])
def test_tiles_that_cannot_be(size: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="cannot overlap"):
        Tiling(size, overlap)
    with pytest.raises(UsageError, match="An overlap of -1 pixels"):
        Tiling(size, -1)
