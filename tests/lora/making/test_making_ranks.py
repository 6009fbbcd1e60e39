"""ranks: how many singular values each rule keeps, against plain sums; what is no choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import UsageError
from modelhub.lora.making.ranks import Ranks

VALUES = [8.0, 4.0, 2.0, 1.0, 1.0]  # squares 64, 16, 4, 1, 1: 86 in all; sum 16


def rank(rule: str, share: float, most: int = 100, values: list[float] = VALUES) -> int:
    found = torch.tensor(values, dtype=torch.float64)
    return Ranks(most, None, rule, share).of(found, float(found.square().sum()), (50, 50))


@pytest.mark.parametrize(
    ("rule", "share", "expected"),
    [
        ("energy", 0.7, 1), ("energy", 0.75, 2), ("energy", 0.96, 3), ("energy", 1.0, 5),
        ("sv_fro", 0.85, 1), ("sv_fro", 0.96, 2), ("sv_fro", 0.97, 3),
        ("sv_cumulative", 0.5, 1), ("sv_cumulative", 0.51, 2), ("sv_cumulative", 0.875, 3), ("sv_cumulative", 1.0, 5),
        ("sv_ratio", 2.0, 1), ("sv_ratio", 2.1, 2), ("sv_ratio", 5, 3), ("sv_ratio", 9, 5),
    ],
)  # fmt: skip
def test_rules(rule: str, share: float, expected: int) -> None:
    assert rank(rule, share) == expected


def test_the_largest_rank_holds_whatever_a_rule_wants_and_one_is_the_least() -> None:
    assert rank("energy", 1.0, most=2) == 2
    assert rank("sv_ratio", 1.5, values=[0.0, 0.0]) == 1
    assert rank("", 0.0, most=3) == 3 and rank("", 0.0) == 5


def test_energy_of_the_matrix_counts_not_of_what_was_found() -> None:
    found = torch.tensor(VALUES[:3], dtype=torch.float64)
    assert Ranks(9, None, "energy", 0.98).of(found, 86.0, (50, 50)) == 3, "all that there is, though it is 97.7 %"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0.01, 1))
def test_energy_is_the_least_rank_that_holds_the_share(values: list[float], share: float) -> None:
    values = sorted(values, reverse=True)
    squares = np.square(values)
    found = rank("energy", share, values=values)
    if squares.sum() > 0:
        assert squares[:found].sum() >= share * squares.sum() * (1 - 1e-9)
        assert found == 1 or squares[: found - 1].sum() < share * squares.sum() * (1 + 1e-9)


@pytest.mark.parametrize(
    ("shape", "limit"),
    [
        ((320, 768), 32),
        ((320, 4, 3, 3), 8),
        ((320, 320, 1, 1), 32),
        ((4, 320, 3, 3), 4),
        ((8, 5), 5),
        ((6, 2, 3, 3), 6),
    ],
)
def test_kernels_have_a_rank_of_their_own_and_no_layer_more_than_it_can(shape: tuple[int, ...], limit: int) -> None:
    assert Ranks(32, conv=8).limit(shape) == limit


@pytest.mark.parametrize(
    "wrong",
    [
        (0,), (-1,), (10**9,), (8, 0), (8, None, "energy", 0.0), (8, None, "energy", 1.5), (8, None, "sv_ratio", 1.0),
        (8, None, "sv_ratio", float("inf")), (8, None, "sv_fro", float("nan")), (8, None, "frobenius", 0.5),
    ],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(UsageError):
        Ranks(*wrong)  # type: ignore[arg-type]


def test_only_the_sum_of_singular_values_needs_all() -> None:
    assert Ranks(8, None, "sv_cumulative", 0.9).needs_all
    assert not Ranks(8, None, "energy", 0.9).needs_all and not Ranks(8).needs_all
