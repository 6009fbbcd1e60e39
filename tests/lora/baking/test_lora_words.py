"""A LoRA and its weight in one word: what belongs to the REF, and what is a weight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.weighing.weight import Spot, Weight
from modelhub.catalog.weighing.words import read_weight, weight_text
from modelhub.errors import BadRecipeError, UsageError
from modelhub.lora.baking.words import read_lora

SEVENTEEN = [
    "BASE",
    "IN01",
    "IN02",
    "IN04",
    "IN05",
    "IN07",
    "IN08",
    "M00",
    "OUT03",
    "OUT04",
    "OUT05",
    "OUT06",
    "OUT07",
    "OUT08",
    "OUT09",
    "OUT10",
    "OUT11",
]
TWELVE = ["BASE", "IN04", "IN05", "IN07", "IN08", "M00", "OUT00", "OUT01", "OUT02", "OUT03", "OUT04", "OUT05"]


@pytest.mark.parametrize(
    ("text", "ref", "words"),
    [
        ("style", "style", "1"),
        ("style:0.8", "style", "0.8"),
        ("style:-.5", "style", "-0.5"),
        ("style:0.8,te=0.5,IN04-IN08=0", "style", "0.8,te=0.5,IN04-IN08=0"),
        ("style:unet=1,te=0", "style", "unet=1,te=0"),
        ("style:GRAD_V", "style", "GRAD_V"),
        ("style:OUT03-OUT05:*norm*=0.2", "style", "OUT03-OUT05:*norm*=0.2"),
        ("style:0.8,OUT03:*norm*=0.2", "style", "0.8,OUT03:*norm*=0.2"),
        ("style:OUT04:attn:0.5", "style", "OUT04:attn:0.5"),
        (r"C:\loras\a.safetensors", r"C:\loras\a.safetensors", "1"),
        (r"C:\loras\a.safetensors:unet=1", r"C:\loras\a.safetensors", "unet=1"),
        (r"C:\loras\a.b=0.5", r"C:\loras\a.b=0.5", "1"),
        ("/loras/12:30/a.safetensors:0.5", "/loras/12:30/a.safetensors", "0.5"),
        ("style:v2.safetensors:te=0", "style:v2.safetensors", "te=0"),
        ("urn:air:sdxl:lora:civitai:1@2", "urn:air:sdxl:lora:civitai:1@2", "1"),
        ("urn:air:sdxl:lora:civitai:12", "urn:air:sdxl:lora:civitai:12", "1"),
        ("urn:air:sdxl:lora:civitai:1@2:0.7", "urn:air:sdxl:lora:civitai:1@2", "0.7"),
        ("#12:0.7", "#12", "0.7"),
        ("123456:0.7", "123456", "0.7"),
        ("style:", "style:", "1"),
        ("style:nan", "style:nan", "1"),
        ("style:MIDDD", "style:MIDDD", "1"),
    ],
)
def test_what_reads_as_a_weight_is_one(text: str, ref: str, words: str) -> None:
    assert read_lora(text) == (ref, read_weight(words))


@pytest.mark.parametrize("names", [SEVENTEEN, TWELVE])
def test_lists_of_the_blocks_that_loras_have(names: list[str]) -> None:
    numbers = [number / 10 for number in range(len(names))]
    ref, weight = read_lora("style:" + ",".join(map(str, numbers)))
    assert ref == "style" and {name: weight.blocks[name] for name in names} == dict(zip(names, numbers, strict=True))
    assert weight.at(Spot("unet", "IN03", "", ""), 1.0) == 1.0, "blocks that are not named keep all of it"
    assert weight.at(Spot("te1", "BASE", "", ""), 1.0) == 0.0


def test_block_weights_are_multiplied_as_in_prompts() -> None:
    _, weight = read_lora("style:0.5:" + ",".join(["1", *["0.4"] * 16]))
    assert weight.blocks["BASE"] == 0.5 and weight.blocks["OUT11"] == 0.2
    assert weight.at(Spot("unet", "IN00", "", ""), 1.0) == 0.5
    for text in ("style:0.5:MIDD", "style:0.5:lbw=MIDD"):
        _, weight = read_lora(text)
        assert (weight.blocks["M00"], weight.blocks["IN00"], weight.blocks["BASE"]) == (0.5, 0, 0.5)
        assert weight.preset is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("style:IN99=1", "IN99"),
        ("style:0.5,te1=x", "'x' is not a number"),
        ("style:" + ",".join(["1"] * 18), "18 numbers"),
        ("style:1:0,0,0,0", "4 numbers"),
    ],
)
def test_what_must_be_a_weight_and_is_none_is_told(text: str, said: str) -> None:
    with pytest.raises(BadRecipeError, match=said):
        read_lora(text)


@pytest.mark.parametrize("text", ["", " ", ":0.5", "a" * 20_000])
def test_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_lora(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        ref, weight = read_lora(text)
    except UsageError:
        return
    assert text.startswith(ref) and isinstance(weight, Weight)


@given(st.sampled_from(["style", r"C:\a.safetensors", "urn:air:sdxl:lora:civitai:1@2", "#7"]), st.floats(-4, 4))
def test_a_word_is_read_back(ref: str, number: float) -> None:
    for weight in (Weight(number), Weight(1.0, {"te": number}), Weight(None, {}, {"IN01": number, "M00": 0.5})):
        found, again = read_lora(f"{ref}:{weight_text(weight)}")
        assert (found, again) == (ref, weight)
