"""Prompts that change on the way: documented examples, recorded answers of A1111's grammar, errors, hostile text."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_time import at_most

from modelhub.errors import UsageError
from modelhub.preview.prompts.editing import stages
from modelhub.preview.prompts.grammar import parse

Stages = list[tuple[int, str]]
RECORDED: list[Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "prompts" / "editing.json").read_text(encoding="utf-8")
)


def turns(*texts: str) -> Stages:
    return [(step, texts[(step - 1) % len(texts)]) for step in range(1, 11)]


OF_TEN: dict[str, Stages] = {
    "": [(10, "")],
    "circle": [(10, "circle")],
    "a [red:3]": [(3, "a "), (10, "a red")],
    "a [red: 3 ]": [(3, "a "), (10, "a red")],
    "a [red::3]": [(3, "a red"), (10, "a ")],
    "a [red:blue:3]": [(3, "a red"), (10, "a blue")],
    "a [red:blue:0.5]!": [(5, "a red!"), (10, "a blue!")],
    "a [red:blue:.25]": [(2, "a red"), (10, "a blue")],
    "a [red:blue:1.]": [(10, "a red")],
    "a [red:blue:0]": [(10, "a blue")],
    "a [red:blue:12]": [(10, "a red")],
    "a [red:blue:1e0]": [(1, "a red"), (10, "a blue")],
    "a [red : blue : 1] c": [(1, "a red  c"), (10, "a  blue  c")],
    "a [[[b]]:2]": [(2, "a "), (10, "a [[b]]")],
    "[(a:2):3]": [(3, ""), (10, "(a:2)")],
    "a[b:[c:d:2]:1]e": [(1, "abe"), (2, "ace"), (10, "ade")],
    "[a:b:2][c:d:4]": [(2, "ac"), (4, "bc"), (10, "bd")],
    "a [unbalanced": [(10, "a [unbalanced")],
    "((a][:b:c [d:3]": [(3, "((a][:b:c "), (10, "((a][:b:c d")],
    "[a:b:c:3]": [(10, "[a:b:c:3]")],
    "[a:b]": [(10, "[a:b]")],
    r"\[a:b:3\]": [(10, r"\[a:b:3\]")],
    r"[a\]:b:3]": [(3, r"a\]"), (10, "b")],
    "[a|b]": turns("a", "b"),
    "[a|(b:1.1)]": turns("a", "(b:1.1)"),
    "[fe|]male": turns("female", "male"),
    "[fe|||]male": turns("female", "male", "male", "male"),
    "[a|[b|c]]": turns("a", "c"),
    "[[a|b]:c:4]": [(1, "a"), (2, "b"), (3, "a"), (4, "b"), *((step, "c") for step in range(5, 11))],
    "a | [b:3]": [(10, "a | [b:3]")],
    "(a|b) [b:3]": [(10, "(a|b) [b:3]")],
    "[a|b:3]": [(10, "[a|b:3]")],
    "[a:b:3] \\": [(10, "[a:b:3] \\")],
}


@pytest.mark.parametrize(("prompt", "texts"), OF_TEN.items(), ids=OF_TEN)
def test_a_prompt_changes_where_it_says(prompt: str, texts: Stages) -> None:
    assert [tuple(stage) for stage in stages(prompt, 10)] == texts


def test_the_documented_landscape() -> None:
    prompt = (
        "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
        "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
    )
    said = "fantasy landscape with a {} and {} {}".format
    assert [tuple(stage) for stage in stages(prompt, 100)] == [
        (25, said("mountain", "an oak in foreground", "shoddy")),
        (50, said("lake", "an oak in foreground in background", "shoddy")),
        (60, said("lake", "an oak in foreground in background", "masterful")),
        (75, said("lake", "an oak in background", "masterful")),
        (100, said("lake", "a christmas tree in background", "masterful")),
    ]


@pytest.mark.parametrize(("prompt", "second", "texts"), RECORDED, ids=range(len(RECORDED)))
def test_the_grammar_is_that_of_a1111(prompt: str, second: int | None, texts: list[list[Any]]) -> None:
    found = stages(prompt, 10) if second is None else stages(prompt, second, 10)
    assert [list(stage) for stage in found] == texts


def test_in_the_second_pass_numbers_count_from_the_first() -> None:
    assert [tuple(stage) for stage in stages("[a:b:.5]", 8, 10)] == [(8, "b")]
    assert [tuple(stage) for stage in stages("[a:b:1.5]", 8, 10)] == [(4, "a"), (8, "b")]
    assert [tuple(stage) for stage in stages("[a:b:10]", 8, 10)] == [(8, "b")]
    assert [tuple(stage) for stage in stages("[a:b:13]", 8, 10)] == [(3, "a"), (8, "b")]


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["-1", "-0.5", "1e999"])
def test_a_time_that_never_is_is_shown_in_its_place(when: str) -> None:
    with pytest.raises(UsageError) as caught:
        stages(f"a [red:blue:{when}] circle", 10)
    assert f"a [red:blue:>>>{when}<<<] circle" in caught.value.message and caught.value.hint


def test_the_place_is_found_beyond_spaces_and_other_edits() -> None:
    with pytest.raises(UsageError, match=r": a \[b:c:3\] \[d:e: >>>-2<<< \] f"):
        stages("a [b:c:3] [d:e: -2 ] f", 10)


def test_too_many_open_brackets_are_refused() -> None:
    assert len(stages("[a:" * 100, 10)) == 1
    with pytest.raises(UsageError, match=">>>\\[<<<"):
        stages("[a:" * 101, 10)
    deep = "[" * 99 + "a" + ":b:3]" * 99
    assert stages(deep, 10)[-1].text == "b"


def test_what_keeps_a_prompt_from_changing_is_told() -> None:
    assert parse("a [b:3] | c").ungrammatical == 8
    assert parse("a [b|c:3]").ungrammatical == 4
    assert parse("a [b|c]").ungrammatical is None


@pytest.mark.parametrize("unit", ["(", "[", "]", ":", "[a:", "[a|", "[a:b:1]", "[a|b]", "\\", "\\(", "([|])", "|", "[[a]:3]", " ", "[x:y:" + "9" * 40 + "]", "[" * 90 + "a" + "|b]" * 90])  # fmt: skip
def test_hostile_text_is_read_in_time(unit: str) -> None:
    text = (unit * 20_000)[:20_000]
    with at_most(1.5), suppress(UsageError):
        stages(text, 300)


@given(
    st.lists(st.sampled_from(["[", "]", "(", ")", ":", "|", "a", "b", " ", "3", "0.5", "\\", "\n"]), max_size=40).map(
        "".join
    )
)
def test_any_text_becomes_texts_in_order(prompt: str) -> None:
    found = stages(prompt, 7)
    assert [stage.last for stage in found] == sorted({stage.last for stage in found})
    assert found[-1].last == 7 and all(1 <= stage.last <= 7 for stage in found)
    if len(found) == 1 and "[" not in prompt:
        assert found[0].text == prompt
