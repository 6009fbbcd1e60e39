"""Infotext: what is written is read back, and what others wrote is read as A1111 reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_time import at_most

from modelhub.preview.pictures.infotext import parse_infotext, write_infotext
from modelhub.preview.pictures.origin import Origin

A1111 = """a cat, (sharp:1.2) <lora:foo:0.8>
on two lines
Negative prompt: lowres,
blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned-emaonly, VAE: vae-ft-mse.safetensors, Clip skip: 2, Lora hashes: "foo: 0123456789ab, bar: ba98", \
Version: v1.10.1"""

prompts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=60)
keys = st.from_regex(re.compile(r"[A-Z][a-z]{1,8}( [a-z]{1,8})?", re.ASCII), fullmatch=True)
values = st.one_of(st.integers().map(str), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))


def tidy(text: str) -> str:
    """What a reader that strips lines leaves of a prompt."""
    return "\n".join(line.strip() for line in text.strip().split("\n")).strip()


def test_an_infotext_of_a1111() -> None:
    found = parse_infotext(A1111)
    assert found.prompt == "a cat, (sharp:1.2) <lora:foo:0.8>\non two lines"
    assert found.negative == "lowres,\nblurry"
    assert found.settings["Sampler"] == "DPM++ 2M"
    assert found.settings["Size"] == "512x768"
    assert found.settings["Lora hashes"] == "foo: 0123456789ab, bar: ba98"
    assert list(found.settings)[-1] == "Version"
    assert len(found.settings) == 12


def test_what_was_read_is_written_as_it_was() -> None:
    found = parse_infotext(A1111)
    assert write_infotext(found.prompt, found.negative, found.settings) == A1111


@settings(deadline=None)
@given(prompts, prompts, st.dictionaries(keys, values, min_size=3, max_size=8))
def test_round_trip(prompt: str, negative: str, pairs: dict[str, str]) -> None:
    pairs = {key: value for key, value in pairs.items() if key != value}
    if len(pairs) < 3 or any(line.startswith("Negative prompt:") for line in tidy(prompt).split("\n")):
        return
    found = parse_infotext(write_infotext(tidy(prompt), tidy(negative), pairs))
    assert (found.prompt, found.negative) == (tidy(prompt), tidy(negative))
    assert dict(found.settings) == pairs


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_the_reader_fail(text: str) -> None:
    found = parse_infotext(text)
    lines = [line.strip() for line in text.split("\n")]
    assert all(line.strip() in lines for line in found.prompt.split("\n") if line.strip())
    assert all(key in text for key in found.settings)


def test_a_last_line_of_fewer_than_three_pairs_is_prompt() -> None:
    found = parse_infotext("a cat\nSteps: 20, Sampler: Euler")
    assert found.prompt == "a cat\nSteps: 20, Sampler: Euler"
    assert found.settings == {}


def test_none_is_left_out_and_a_value_equal_to_its_key_stands_alone() -> None:
    text = write_infotext("", "", {"Steps": 1, "Tiling": "Tiling", "Model hash": None, "Seed": 2, "Size": "8x8"})
    assert text == "Steps: 1, Tiling, Seed: 2, Size: 8x8"
    assert parse_infotext(text).settings == {"Steps": "1", "Seed": "2", "Size": "8x8"}


def test_values_that_would_break_the_line_are_quoted_as_json() -> None:
    hostile = 'a, Seed: 9\n"x\\'
    text = write_infotext("p", "", {"Steps": 1, "Model": hostile, "Seed": 2, "Size": "8x8"})
    assert text.count("\n") == 1
    assert parse_infotext(text).settings == {"Steps": "1", "Model": hostile, "Seed": "2", "Size": "8x8"}


@pytest.mark.parametrize(
    "hostile",
    ["a" * 300_000, "ab:" * 100_000, 'ab:"' * 80_000, " " * 300_000, 'a: "' + '\\"' * 150_000, "ab: x," * 50_000],
)
def test_hostile_text_is_read_in_linear_time(hostile: str) -> None:
    with at_most(3):
        parse_infotext("p\n" + hostile + "x")


def test_the_settings_of_a_file_and_of_an_unwritten_merge() -> None:
    file = dict(Origin("base", "0123456789abcdef", vae_name="v.safetensors", vae_sha256="fedcba9876543210").models())
    assert file["Model hash"] == "0123456789"
    assert file["VAE hash"] == "fedcba9876"
    merge = Origin("mix", recipe="a = 1")
    told = {key for key, value in (*merge.models(), *merge.refined(0.8), *merge.others()) if value is not None}
    assert told == {"Model", "Merge recipe", "Version"}
