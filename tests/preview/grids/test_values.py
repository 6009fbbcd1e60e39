"""Lists of values and ranges, as people write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import UsageError
from modelhub.preview.grids.values import numbers, words


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,5", [1, 2, 5]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-10(+3)", [1, 4, 7, 10]),
        ("1-10 (+4)", [1, 5, 9]),
        ("10-1(-3)", [10, 7, 4, 1]),
        ("3-1", [3, 2, 1]),
        ("0-1[5]", [0, 0.25, 0.5, 0.75, 1]),
        ("0-1 [3], 7", [0, 0.5, 1, 7]),
        ("-1-1", [-1, 0, 1]),
        ("-2--1(+0.5)", [-2, -1.5, -1]),
        ("0-1(+0.1)", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("0-1[1]", [0]),
        ("1e-3", [0.001]),
        (".5", [0.5]),
        ("100", [100]),
    ],
)
def test_numbers_and_ranges(text: str, values: list[float]) -> None:
    assert numbers(text, "cfg") == values


@given(st.floats(-100, 100), st.floats(-100, 100), st.integers(2, 40))
def test_a_count_is_evenly_spaced(first: float, last: float, count: int) -> None:
    found = numbers(f"{first:.6f}-{last:.6f}[{count}]", "cfg")
    assert np.allclose(found, np.linspace(float(f"{first:.6f}"), float(f"{last:.6f}"), count), atol=1e-6)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='"'), min_size=1),
        min_size=1,
        max_size=9,
    )
)
def test_words_in_quotes_are_kept(given_words: list[str]) -> None:
    text = ",".join(f'"{word}"' for word in given_words)
    assert words(text, "prompt") == given_words


@pytest.mark.parametrize("text", ["", " ", "a,,b", ",", "1,", '"open', '"a"b'])
def test_empty_and_broken_lists_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="axis prompt|values of prompt"):
        words(text, "prompt")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1-5(+0)",
        "1-5(-1)",
        "5-1(+1)",
        "1-9999",
        "0-1[0]",
        "0-1[5000]",
        "nan",
        "inf",
        "1e999",
        "1-2-3",
        "0-99999999999999999999",
        f"1{'0' * 40}-1{'0' * 39}5",
    ],
)
def test_what_is_no_number_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        numbers(text, "cfg")


def test_large_seeds_keep_their_digits() -> None:
    first = 869532071485563521
    assert numbers(f"{first}-{first + 2}", "seed", whole=True) == [first, first + 1, first + 2]
    first = 10**19
    assert numbers(f"{first}-{first + 9}[10]", "seed", whole=True) == [*range(first, first + 10)]
    assert numbers(f"{first}-{first + 2}", "seed", whole=True) == [*range(first, first + 3)]
    assert numbers("1e300", "seed", whole=True) == [10**300], "what a seed may be the request says"


@pytest.mark.parametrize(
    ("text", "values"), [("1-10[5]", [1, 3, 5, 7, 10]), ("1-10[4]", [1, 4, 7, 10]), ("9-1[3]", [9, 5, 1])]
)
def test_so_many_whole_numbers_are_cut_as_a1111_cuts_them(text: str, values: list[int]) -> None:
    assert numbers(text, "steps", whole=True) == values


@pytest.mark.parametrize("text", ["1.5", "0-1[3]", "1-2(+0.5)"])
def test_whole_numbers_are_whole(text: str) -> None:
    with pytest.raises(UsageError, match="whole"):
        numbers(text, "seed", whole=True)
    assert numbers("1,2-4", "seed", whole=True) == [1, 2, 3, 4]
