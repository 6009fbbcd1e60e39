"""Weights of words: what A1111 documents, a slow reading by hand, and hostile text."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_time import at_most

from modelhub.errors import UsageError
from modelhub.preview.prompts.attention import Piece, weigh
from modelhub.preview.prompts.places import DEEPEST

READ: dict[str, list[tuple[str, float]]] = {
    "": [("", 1.0)],
    "a red circle": [("a red circle", 1.0)],
    "a (red) circle": [("a ", 1.0), ("red", 1.1), (" circle", 1.0)],
    "a [red] circle": [("a ", 1.0), ("red", 1 / 1.1), (" circle", 1.0)],
    "a (red:1.5) circle": [("a ", 1.0), ("red", 1.5), (" circle", 1.0)],
    "(a: +.5 )": [("a", 0.5)],
    "(a:-1)": [("a", -1.0)],
    "((a))": [("a", 1.1 * 1.1)],
    "([a])": [("a", 1 / 1.1 * 1.1)],
    "(a (b:2) c)": [("a ", 1.1), ("b", 2 * 1.1), (" c", 1.1)],
    "(a (b) c": [("a ", 1.1), ("b", 1.1 * 1.1), (" c", 1.1)],
    "(one)(two)": [("onetwo", 1.1)],
    "(a [b) c]": [("a ", 1.1), ("b", 1.1 * (1 / 1.1)), (" c", 1 / 1.1)],
    "a) b]": [("a) b]", 1.0)],
    "a:1.2) b": [("a:1.2) b", 1.0)],
    "[a:1.2)": [("a:1.2)", 1 / 1.1)],
    "(a:b)": [("a:b", 1.1)],
    "(a:1.2b)": [("a:1.2b", 1.1)],
    r"\(a\) \[b\] c\\d e\f": [(r"(a) [b] c\d ef", 1.0)],
    r"(a\):1.2)": [("a)", 1.2)],
    "a BREAK b": [("a", 1.0), ("BREAK", -1.0), ("b", 1.0)],
    "a\nBREAK\n\nb BREAK": [("a", 1.0), ("BREAK", -1.0), ("b", 1.0), ("BREAK", -1.0), ("", 1.0)],
    "BREAK BREAK": [("", 1.0), ("BREAK", -1.0), ("", 1.0), ("BREAK", -1.0), ("", 1.0)],
    "BREAKING a BREAKs": [("BREAKING a BREAKs", 1.0)],
    "(a BREAK b)": [("a", 1.1), ("BREAK", -1.1), ("b", 1.1)],
}


@pytest.mark.parametrize(("text", "pieces"), READ.items(), ids=READ)
def test_texts_are_read_as_a1111_documents(text: str, pieces: list[tuple[str, float]]) -> None:
    assert [tuple(piece) for piece in weigh(text)] == pieces


def test_the_longest_documented_example() -> None:
    found = weigh("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).")
    texts = ["a ", "house", " ", "on", " a ", "hill", ", sun, ", "sky", "."]
    assert [piece.text for piece in found] == texts
    weights = [1.0, 1.573, 1.1, 1.0, 1.1, 0.55, 1.1, 1.4641, 1.1]
    assert [piece.weight for piece in found] == pytest.approx(weights, rel=1e-12)


def test_only_a_break_of_weight_minus_one_breaks() -> None:
    assert [piece.breaks for piece in weigh("a BREAK b")] == [False, True, False]
    assert not any(piece.breaks for piece in weigh("(a BREAK b)"))
    assert Piece("BREAK", 1.0).breaks is False


def by_hand(text: str) -> list[float]:
    """The weight of each letter: all brackets around it, multiplied, whatever order they are read in."""
    weights, spans = [1.0] * len(text), []
    for opener, closer, factor in (("(", ")", 1.1), ("[", "]", 1 / 1.1)):
        stack: list[int] = []
        for place, sign in enumerate(text):
            if sign == opener:
                stack.append(place)
            elif sign == closer and stack:
                start = stack.pop()
                said = re.search(r":([\d.]+)\)$", text[: place + 1]) if opener == "(" else None
                spans.append((start, place, float(said[1]) if said else factor))
        spans += [(start, len(text), factor) for start in stack]
    for start, stop, factor in spans:
        for place in range(start, stop):
            weights[place] *= factor
    return [weight for weight, sign in zip(weights, text, strict=True) if sign.isalpha()]


@given(st.text(st.sampled_from("ab([)]"), max_size=30), st.integers(0, 30))
def test_every_letter_weighs_what_all_brackets_around_it_say(text: str, place: int) -> None:
    text = f"{text[:place]}(c:1.5){text[place:]}"
    found = [piece.weight for piece in weigh(text) for sign in piece.text if sign.isalpha()]
    assert found == pytest.approx(by_hand(text), rel=1e-9)


UNITS = ["a", "b ", "(", ")", "[", "]", ":", "\\", " BREAK ", "1.2", "\n", "😀"]


@given(st.lists(st.sampled_from(UNITS), max_size=60).map("".join))
def test_no_letter_is_lost_and_neighbours_differ(text: str) -> None:
    try:
        found = weigh(text)
    except UsageError:
        return
    said = "".join("" if piece.breaks else piece.text for piece in found)
    assert [sign for sign in said if sign in "ab😀"] == [sign for sign in text if sign in "ab😀"]
    assert all(one.weight != other.weight for one, other in pairwise(found))


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1.2.3", ".", "..", "+."])
def test_a_weight_that_is_no_number_is_shown_in_its_place(number: str) -> None:
    with pytest.raises(UsageError) as caught:
        weigh(f"a painting of a dog on (a red circle:{number}), blue background, masterpiece")
    assert f"no number: … a dog on (a red circle:>>>{number}<<<), blue background, …" in caught.value.message
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_weight_that_leaves_nothing_of_a_picture_is_refused() -> None:
    """Far below what numbers can hold: at 1e38 the model itself seems to be broken."""
    assert weigh("(a:1000)") == [Piece("a", 1000.0)] and weigh("(a:-1000)") == [Piece("a", -1000.0)]
    for number, shown in (("1000.1", "1000.1"), ("-2000", "-2000"), ("9" * 400, "9" * 39 + "…")):
        with pytest.raises(UsageError) as caught:
            weigh(f"a red (circle:{number})")
        assert caught.value.message == f"A weight in the prompt is larger than 1,000: a red (circle:>>>{shown}<<<)"


def test_brackets_may_be_as_deep_as_anyone_writes_them() -> None:
    (piece,) = weigh("(" * DEEPEST + "a" + ")" * DEEPEST)
    assert piece.text == "a" and piece.weight == pytest.approx(1.1**DEEPEST)
    with pytest.raises(UsageError, match=r"more than 100 open brackets: … \(+>>>\(<<<a"):
        weigh("(" * (DEEPEST + 1) + "a")


HOSTILE = ["(", "[", ")", "a(", ":", ": ", ":1", "(a:", "(a:1.2)", "\\", "BREAK ", " ", " " * 999 + "x", "1", "(a)[b]",
           ":1 ", "[a(b]c)"]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(unit: str) -> None:
    text = (unit * 20_000)[:20_000]
    with at_most(0.5), suppress(UsageError):
        weigh(text)


def test_random_text_never_ends_in_another_error() -> None:
    random.seed(1)
    signs = ["(", ")", "[", "]", ":", "\\", "1.2", "..", "a", " ", "BREAK", "\x00", "\u2028"]
    for _ in range(3000):
        text = "".join(random.choices(signs, k=random.randint(0, 20)))
        try:
            assert weigh(text)
        except UsageError as error:
            assert "A weight in the prompt is no number" in error.message
