"""AND: where prompts are split, and which weights they have."""

from __future__ import annotations

from contextlib import suppress

import pytest
from own_time import at_most

from modelhub.errors import UsageError
from modelhub.preview.prompts.branches import branches

READ: dict[str, list[tuple[str, float]]] = {
    "a cat": [("a cat", 1.0)],
    "a cat AND a dog": [("a cat", 1.0), (" a dog", 1.0)],
    "a cat :1.2 AND a dog: .5 AND x:-1": [("a cat", 1.2), (" a dog", 0.5), (" x", -1.0)],
    "a AND": [("a", 1.0), ("", 1.0)],
    "aAND bANDc SAND ANDY": [("aAND bANDc SAND ANDY", 1.0)],
    "a,AND,b": [("a,", 1.0), (",b", 1.0)],
    "a:2.": [("a", 2.0)],
    "a:1e3": [("a:1e3", 1.0)],
    "(a:1.2)": [("(a:1.2)", 1.0)],
    "a: 1 : 2 ": [("a: 1", 2.0)],
    "a\n:\n1\n": [("a", 1.0)],
    "": [("", 1.0)],
}


@pytest.mark.parametrize(("prompt", "parts"), READ.items(), ids=READ)
def test_prompts_are_split_as_in_a1111(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert [tuple(part) for part in branches(prompt)] == parts


@pytest.mark.parametrize("number", ["1001", "-1001", "9" * 400])
def test_a_weight_that_is_too_large_is_shown_in_its_place(number: str) -> None:
    with pytest.raises(UsageError, match=f"larger than 1,000: a cat:>>>{number[:39]}…?<<<"):
        branches(f"a cat:{number}")


def test_a_hundred_prompts_are_the_most() -> None:
    assert len(branches(" AND ".join("a" * 100))) == 100
    with pytest.raises(UsageError, match="AND joins 101 prompts"):
        branches(" AND ".join("a" * 101))


@pytest.mark.parametrize("unit", ["AND", "a AND ", ":1", ": 1 ", " ", "1", ": " * 99])
def test_hostile_text_is_read_in_no_time(unit: str) -> None:
    with at_most(0.3), suppress(UsageError):
        branches((unit * 20_000)[:20_000])
