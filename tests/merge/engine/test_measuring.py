"""First passes: exact, the same for all windows, and holding no tensor."""

import weakref
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelhub.merge.engine import ranking
from modelhub.merge.engine.measuring import GRAIN, column_products, grains, gram
from modelhub.merge.engine.ranking import kth_magnitudes


class Cut:
    """Tensors, some entries of dimension 0 at a time; knows how many windows are alive."""

    def __init__(self, tensors: list[torch.Tensor], size: int) -> None:
        self.tensors, self.size = tensors, size
        self.alive, self.most, self.rounds = 0, 0, 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensors[0].shape)

    def some(self, most: int) -> "Cut":
        return self if len(self.tensors[0]) <= most * self.size else self.spread(most)

    def spread(self, most: int) -> "Cut":
        every = range(0, len(self.tensors[0]), self.size)
        starts = [every[i * len(every) // most] for i in range(most)]
        return Cut([torch.cat([one[low : low + self.size] for low in starts]) for one in self.tensors], self.size)

    def _gone(self) -> None:
        self.alive -= 1

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        self.rounds += 1
        for low in range(0, len(self.tensors[0]), self.size):
            window = tuple(tensor[low : low + self.size].clone() for tensor in self.tensors)
            for tensor in window:
                weakref.finalize(tensor, self._gone)
                self.alive += 1
            self.most = max(self.most, self.alive)
            yield window
            del window, tensor


def tensors(count: int, *shape: int, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("base", [None, 0, 2])
def test_a_gram_matrix_has_all_inner_products(base: int | None) -> None:
    given = tensors(4, 50_000)
    rows = torch.stack(given).double()
    if base is not None:
        rows = torch.stack([rows[i] - rows[base] for i in range(4) if i != base])
    found = gram(Cut(given, 7001), base=base)
    torch.testing.assert_close(found, rows @ rows.T, rtol=1e-12, atol=1e-9)
    for size in (1000, GRAIN, 50_000):
        assert torch.equal(gram(Cut(given, size), base=base), found)


def test_what_has_no_elements_has_no_gram_matrix() -> None:
    assert gram(Cut(tensors(3, 0), 10)).shape == (0, 0)
    assert column_products(Cut(tensors(2, 0), 10)) is None
    assert kth_magnitudes(Cut(tensors(2, 0), 10), 1) == ()


def test_columns_are_summed_the_same_whatever_the_windows_are() -> None:
    a, b = tensors(2, 333, 70)
    found = [column_products(Cut([a, b], size)) for size in (1, 10, 333)]
    for products in found:
        assert products is not None and found[0] is not None
        for one, other, wanted in zip(
            products, found[0], (a.double() * b, a.double() ** 2, b.double() ** 2), strict=True
        ):
            assert torch.equal(one, other)
            torch.testing.assert_close(one, wanted.sum(0))


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FEW = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4e38, float("inf")])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_kth_magnitude_is_exact(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 60))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    values = [data.draw(hnp.arrays(dtype, size, elements=st.one_of(FLOATS, FEW))) for _ in range(2)]
    k = data.draw(st.integers(1, size))
    windows = Cut([torch.from_numpy(each) for each in values], data.draw(st.integers(1, size)))
    assert kth_magnitudes(windows, k) == tuple(float(np.sort(np.abs(each))[-k]) for each in values)
    assert windows.rounds <= 2


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_kth_magnitude_is_exact_whatever_was_guessed(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    some = st.sampled_from([0.0, 1.0, 2.0, 3.4e38, float("inf")])
    values = data.draw(hnp.arrays(np.float32, size, elements=data.draw(st.sampled_from([FLOATS, some]))))
    if data.draw(st.booleans()):
        values.sort()  # so that the first windows are unlike the others
    k, cut = data.draw(st.integers(1, size)), data.draw(st.integers(1, 20))
    windows = Cut([torch.from_numpy(values)], cut)
    limits = {"_SOME": data.draw(st.integers(1, 4)), "_SAMPLE": 9, "_MOST": 12, "_MARGIN": 0.1}
    with patch.multiple(ranking, **limits):
        assert kth_magnitudes(windows, k) == (float(np.sort(np.abs(values))[-k]),)


def test_a_large_tensor_is_gone_through_once_when_the_guess_is_good() -> None:
    one, two = tensors(2, 3_000_000)
    windows = Cut([one, two], 50_000)
    assert kth_magnitudes(windows, 600_000) == tuple(float(each.abs().sort().values[-600_000]) for each in (one, two))
    assert windows.rounds == 1


def test_the_kth_magnitude_of_differences_is_that_of_their_dtype() -> None:
    base, one, two = tensors(3, 5000)
    wanted = tuple(float((each - base).abs().sort().values[-777]) for each in (one, two))
    assert kth_magnitudes(Cut([base, one, two], 611), 777, base=0) == wanted


def test_nan_counts_as_the_largest() -> None:
    assert kth_magnitudes(Cut([torch.tensor([1.0, float("nan"), -3.0])], 2), 2) == (3.0,)


def test_no_tensor_is_kept() -> None:
    given = tensors(3, 40_000)
    for measure in (
        lambda w: gram(w, base=0),
        lambda w: kth_magnitudes(w, 99, base=0),
        lambda w: list(map(len, grains(w))),
    ):
        windows = Cut(given, 500)
        measure(windows)
        assert windows.most <= 2 * len(given)
