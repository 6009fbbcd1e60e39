"""A stack of LoRAs as plain data: what counts, what its strengths are, what a prompt and the memory have of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import BadRecipeError, UsageError
from modelhub.lora.baking.words import read_lora
from modelhub.tui.lab.recipes import free_name
from modelhub.tui.loras import parts as lora_parts
from modelhub.tui.loras.entry import Entry, counted, moved, plain, prompt_words, recalled, strengths
from modelhub.tui.loras.parts import read_steps
from modelhub.tui.loras.request import read_request
from modelhub.tui.loras.wishes import ON, goal, ranks
from modelhub.tui.loras.words import lacking, trigger_words, with_words
from modelhub.tui.typed_values import PROMPT


@pytest.fixture
def assets(tiny):
    with tiny.open() as catalog:
        found = {one.path.stem: one for one in catalog.find()}
    return found["tiny-shapes-base"], found["tiny-shapes-framed-lora"]


def test_what_is_muted_does_not_count_and_beside_what_is_alone_only_that_does(assets):
    _, lora = assets
    one, two, three = (Entry(lora, float(number)) for number in (1, 2, 3))
    assert counted([one, two]) == [one, two]
    assert counted([one, replace(two, muted=True)]) == [one]
    alone = replace(three, alone=True)
    assert counted([one, two, alone]) == [alone]
    assert counted([one, replace(alone, muted=True)]) == [one], "one that is muted, too, silences nobody"
    assert [entry.unet for entry in moved([one, two, three], 2, -2)] == [3, 1, 2]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"unet": 0.8}, "l:0.8"),
        ({"unet": 0.7, "blocks": "MIDD"}, "l:0.7:MIDD"),
        ({"unet": 1.0, "text": 0.0}, "l:1,te=0"),
        ({"unet": 1.0, "blocks": "IN04-IN08=0,te1=0.5", "text": 0.25}, "l:1,te=0.25,IN04-IN08=0"),
    ],
)
def test_strengths_are_those_that_the_command_line_has_words_for(assets, entry, word):
    weight = Entry(assets[1], **entry).weight
    weight = weight if isinstance(weight, Weight) else Weight(weight)
    wanted = read_lora(word)[1]
    assert weight.numbers("sd1", 1.0) == wanted.numbers("sd1", 1.0)
    assert weight.components.get("te") == wanted.components.get("te")


def test_block_weights_that_cannot_be_read_say_so(assets):
    with pytest.raises(BadRecipeError):
        strengths([Entry(assets[1], blocks="NONSENSE")])


def test_another_strength_keeps_the_proportion_of_the_text_encoders(assets):
    entry = Entry(assets[1], 0.5, text=0.25, muted=True)
    assert (entry.at(1.0).text, entry.at(0.0).text, entry.at(2.0).muted) == (0.5, 0.0, False)
    assert Entry(assets[1], 0.0, text=0.3).at(1.0).text is None


def test_tags_tell_what_they_have_words_for(assets):
    lora = assets[1]
    text, short = prompt_words([Entry(lora, 0.8), Entry(lora, 1.0, text=0.5), Entry(lora, muted=True)])
    name = "tiny-shapes-framed-lora"
    assert text == f"<lora:{name}:0.8> <lora:{name}:0.5:1>" and short == []
    text, short = prompt_words([Entry(lora, 0.8, blocks="OUTD")])
    assert text == f"<lora:{name}:0.8>" and short == [name]
    text, short = prompt_words([Entry(replace(lora, path=Path("/x/a:b.safetensors")))])
    assert text == "" and short == ["a:b"]


def test_a_stack_comes_back_from_plain_values_and_nonsense_does_not(assets):
    lora = assets[1]
    entries = [Entry(lora, 0.25, 0.5, "OUTD", muted=True, alone=True), Entry(lora, -1.0)]
    again = [Entry(lora, **fields) for path, fields in recalled(plain(entries)) if path == str(lora.path)]
    assert again == entries
    for nonsense in (None, 3, "x", {"a": 1}, [None, 3, {"path": 3}, {"unet": 1}]):
        assert recalled(nonsense) == []
    ((_, fields),) = recalled([{"path": "/a", "unet": "much", "text": float("nan"), "blocks": 3, "muted": "yes"}])
    assert fields == {"unet": 1.0, "text": None, "blocks": "", "muted": False, "alone": False}
    assert recalled([{"path": "/a", "unet": 10**400}])[0][1]["unet"] == 1.0
    assert len(recalled([{"path": f"/{n}"} for n in range(99)])) == 12


def test_trigger_words_are_put_in_once():
    assert with_words("a dog", ["Framed", "framed", "dog"]) == "a dog, Framed"
    assert with_words("a dog, ", ["white frame"]) == "a dog, white frame"
    assert with_words(with_words("", ["x", "y"]), ["y", "x"]) == "x, y"
    assert lacking("reframed art", ["framed"]) == ["framed"], "a part of a word is not the word"
    assert lacking("a WHITE  frame", ["white frame"]) == []
    assert lacking("c++ style", ["c++"]) == []
    assert trigger_words(["ok", "", " , ", None, 3, "x" * 999, "a\x1b[31m", "ok"]) == ["ok", "a\\x1b[31m"]


def test_the_parts_of_a_pair_and_of_a_row(assets):
    base, lora = assets
    with_it, without = lora_parts.pair(base, [Entry(lora, 0.8)])
    assert (with_it.letter, without.letter, without.path) == ("with", "without", base.path)
    assert [one.weight for one in with_it.recipe.loras] == [0.8]
    assert [part.letter for part in lora_parts.pair(base, [Entry(lora, muted=True)])] == ["without"]
    other = Entry(lora, 0.3, alone=True)
    row = lora_parts.strip(base, [Entry(lora, 1.0, muted=True), other], 0, (0.0, 1.5))
    assert [[one.weight for one in part.recipe.loras] for part in row] == [[0.0, 0.3], [1.5, 0.3]]
    assert [part.title.partition("  ")[0] for part in row] == ["× 0", "× 1.5"]


@pytest.mark.parametrize("text", ["", "x", "1, nan", "inf", "1 2 3 4 5 6 7 8 9"])
def test_a_row_of_strengths_that_is_none(text):
    with pytest.raises(UsageError):
        read_steps(text)


def test_a_row_of_strengths_is_read():
    assert read_steps("0; 0.5,1 -1.5") == (0.0, 0.5, 1.0, -1.5)


def test_the_request_of_fields():
    found = read_request({"prompt": " ", "steps": "", "size": "64×96", "cfg": "3,5", "seed": ""}, 9)
    assert (found.prompt, found.steps, found.width, found.height, found.cfg, found.seed) == (PROMPT, 9, 64, 96, 3.5, 1)
    assert (found.negative, found.sampler) == ("", ""), "nothing, and the sampler that suits"
    asked = read_request({"negative": " blurry ", "sampler": "DDIM"}, 9)
    assert (asked.negative, asked.sampler) == ("blurry", "DDIM")
    assert read_request({"size": "auto"}, 9).width is None
    for bad in ({"steps": "x"}, {"size": "1x2x3"}, {"cfg": "-"}, {"seed": "-1"}, {"steps": "9" * 30}):
        with pytest.raises(UsageError):
            read_request(bad, 9)


def test_ranks_of_fields():
    assert ranks({"rank": ""}) is None
    assert ranks({"rank": "", "rule": "energy", "share": "0,9"}).share == 0.9
    assert ranks({"rank": "8", "conv": "4"}).conv == 4
    assert ranks({"rank": ""}, 32).most == 32
    for bad in (
        {"rank": "x"},
        {"rank": "0"},
        {"rule": "energy", "share": ""},
        {"rule": "energy", "share": "7"},
        {"conv": "3"},
    ):
        with pytest.raises(UsageError):
            ranks(bad)


def test_files_get_an_ending_and_a_free_name(tmp_path):
    assert goal({"file": f"{tmp_path}/a.v2"}).name == "a.v2.safetensors"
    with pytest.raises(UsageError):
        goal({"file": "  "})
    first = tmp_path / "a.safetensors"
    first.touch()
    assert free_name(first).name == "a-2.safetensors" and ON
