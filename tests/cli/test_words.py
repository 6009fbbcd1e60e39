"""The order of words: options anywhere, and words with one dash that are no options."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.cli.words import in_order


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    made.add_argument("words", nargs="*")
    made.add_argument("-o", "--output")
    made.add_argument("--add", action="append", default=[])
    made.add_argument("--force", action="store_true")
    return made


def parsed(words: list[str]) -> argparse.Namespace:
    made = parser()
    return made.parse_args(in_order(words, made._option_string_actions))


@pytest.mark.parametrize(
    ("words", "others", "output"),
    [
        (["a", "-o", "x", "b"], ["a", "b"], "x"),
        (["a", "-ox", "b"], ["a", "b"], "x"),
        (["-tag:nsfw", "a", "--output=x"], ["-tag:nsfw", "a"], "x"),
        (["-o:x"], ["-o:x"], None),
        (["-o", "-x"], [], "-x"),
        (["-o", ""], [], ""),
        (["--", "--force", "-o"], ["--force", "-o"], None),
        (["-one of these"], ["-one of these"], None),
        (["-"], ["-"], None),
        (["-1"], ["-1"], None),
    ],
)
def test_words(words: list[str], others: list[str], output: str | None) -> None:
    found = parsed(words)
    assert (found.words, found.output, found.force) == (others, output, False)


def test_an_option_does_not_take_another_for_its_value() -> None:
    assert in_order(["-o", "--force", "a"], parser()._option_string_actions) == ["-o", "--force", "--", "a"]


_options = st.lists(
    st.sampled_from([["--force"], ["--add", "x"], ["--add", "-y"], ["--add=z"], ["-o", "f"], ["--output", "-1"]])
)
_word = st.text(st.characters(exclude_characters="\0"), max_size=8).filter(
    lambda word: not word.startswith(("--", "-o", "-h"))
)


@given(st.data(), _options, st.lists(_word))
def test_no_mixture_of_options_and_words_changes_what_either_says(
    data: st.DataObject, options: list[list[str]], words: list[str]
) -> None:
    mixed = data.draw(st.permutations([*((0, option) for option in options), *((1, [word]) for word in words)]))
    given_options = [option for kind, option in mixed if kind == 0]
    found = parsed([part for _, parts in mixed for part in parts])
    assert found.words == [parts[0] for kind, parts in mixed if kind == 1]
    assert found.force == (["--force"] in options)
    added = [o[-1].removeprefix("--add=") for o in given_options if o[0].startswith("--add")]
    assert found.add == added
