"""Weights: what holds where, what an architecture has, and values of recipes read and written."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from weight_strategies import WEIGHTS

from modelhub.catalog.blocks import block_names, block_of
from modelhub.catalog.weighing.key_rules import elemental, is_like, key_rule
from modelhub.catalog.weighing.weight import spans
from modelhub.catalog.weighing.weights import Blend, Spot, Weight, parse_weight, read_weight
from modelhub.errors import BadRecipeError


def spot(name: str = "input_blocks.1.1.attn2.to_k.weight", component: str = "unet", architecture: str = "sd1") -> Spot:
    prefix = {"unet": "model.diffusion_model.", "te1": "cond_stage_model.", "vae": "first_stage_model."}.get(
        component, ""
    )
    return Spot(component, block_of(architecture, component, name), name, prefix + name)


TEXT = spot("transformer.text_model.final_layer_norm.weight", "te1")
VAE = spot("decoder.conv_in.weight", "vae")


def test_what_is_said_more_closely_holds():
    whole = Weight(0.5, {"unet": 0.4, "te": 0.3}, {"IN01": 0.2}, (("*attn2*", 0.1),))
    assert whole.at(spot(), 9) == 0.1
    assert whole.at(spot("input_blocks.1.0.in_layers.0.weight"), 9) == 0.2
    assert whole.at(spot("input_blocks.2.0.in_layers.0.weight"), 9) == 0.4
    assert whole.at(TEXT, 9) == 0.3
    assert whole.at(VAE, 9) == 0.5
    assert Weight(None, {"vae": 0.0}).at(VAE, 9) == 0.0
    assert Weight().at(spot(), 9) == 9
    assert Weight(0.5).at(Spot("", None, "betas", "betas"), 9) == 0.5


def test_the_last_key_rule_that_fits_holds():
    rules = (("*attn*", 0.1), ("*attn2*", 0.2), ("*attn2.to_q*", 0.3))
    assert Weight(keys=rules).at(spot(), 9) == 0.2
    assert Weight(keys=rules[::-1]).at(spot(), 9) == 0.1


def test_text_encoders_go_by_their_own_name_before_their_block():
    weight = Weight(0.9, {"te": 0.3, "te2": 0.4}, preset=Blend("GRAD_V"))
    assert weight.at(TEXT, 9) == 0.3
    assert weight.at(spot("model.ln_final.weight", "te2", "sdxl"), 9) == 0.4
    assert Weight(0.9, preset=Blend("ALL_B")).at(TEXT, 9) == 1
    assert Weight(0.9, blocks={"BASE": 0.2}).at(TEXT, 9) == 0.2
    flux = spot("encoder.block.0.layer.0.SelfAttention.q.weight", "t5", "flux1")
    assert Weight(blocks={"T5": 0.2}).at(flux, 9) == 0.2
    assert Weight(components={"te": 0.1}, blocks={"T5": 0.2}).at(flux, 9) == 0.1


def test_presets_hold_where_no_block_is_named():
    weight = Weight(0.9, {}, {"IN00": 0.3}, preset=Blend("GRAD_V", "FLAT_25", 0.5))
    assert weight.at(spot("input_blocks.0.0.weight"), 9) == 0.3
    assert weight.at(spot("middle_block.0.in_layers.0.weight"), 9) == 0.125
    assert weight.at(VAE, 9) == 0.9
    assert weight.at(spot("double_blocks.0.img_mlp.0.weight", "unet", "flux1"), 9) == 0.625


def test_numbers_of_an_architecture():
    assert list(parse_weight("GRAD_V, te=0.7").numbers("sdxl", 9).values())[:3] == [0.7, 1, pytest.approx(11 / 12)]
    numbers = Weight(None, {"t5": 0.1}, {"D00": 0.2}, (("*", 5.0),)).numbers("flux1", 9)
    assert (len(numbers), numbers["CLIP"], numbers["T5"], numbers["D00"], numbers["OUT"]) == (61, 9, 0.1, 0.2, 9)
    assert Weight(0.5).numbers("wan", 9) == {}


def test_uniform():
    assert Weight(0.3).uniform == 0.3
    assert Weight(0.3, {"te1": 0.3}, {"IN00": 0.3}, (("*", 0.3),)).uniform == 0.3
    assert Weight().uniform is None
    for other in (
        Weight(0.3, {"te1": 0}),
        Weight(0.3, {}, {"M00": 1}),
        Weight(0.3, keys=(("*", 1),)),
        parse_weight("0.3,FLAT_25"),
    ):
        assert other.uniform is None


@pytest.mark.parametrize(
    ("pattern", "where", "fits"),
    [
        ("*attn2*", spot(), True),
        ("attn2*", spot(), False),
        ("input_blocks.1.1.attn2.to_k.weight", spot(), True),
        ("model.diffusion_model.*", spot(), True),
        ("*.weight", TEXT, True),
        ("IN01:*attn2*", spot(), True),
        ("IN00-M00:*", spot(), True),
        ("IN02 OUT00:*attn2*", spot(), False),
        ("NOT IN02:*attn2*", spot(), True),
        ("NOT IN01:*attn2*", spot(), False),
        ("IN01:NOT *attn* *proj*", spot(), False),
        ("IN01:NOT *proj* *norm*", spot(), True),
        (":*proj* *attn2*", spot(), True),
        ("te:*", TEXT, True),
        ("te2:*", TEXT, False),
        ("BASE:*", TEXT, True),
        ("unet:*", TEXT, False),
        ("vae:*", VAE, True),
        ("note: a*", Spot("", None, "note: all", "note: all"), True),
        ("[a-z]*", spot(), False),
        ("", spot(), False),
    ],
)  # fmt: skip
def test_key_rules(pattern, where, fits):
    assert key_rule(pattern).fits(*where) is fits


def test_elemental_rules_of_supermerger():
    assert elemental("OUT06", "attn") == "OUT06:*attn*"
    assert elemental("", "attn2") == "*attn2*"
    assert elemental("", "") == "*"
    assert elemental("OUT03 OUT04", "attn2 attn1.to_out") == "OUT03 OUT04:*attn2* *attn1.to_out*"
    assert elemental("NOT OUT04", "attn") == "NOT OUT04:*attn*"
    assert elemental("OUT05", "NOT attn proj") == "OUT05:NOT *attn* *proj*"
    with pytest.raises(ValueError):
        elemental("OUT99", "attn")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_stars_stand_for_any_text(pattern, name):
    import re

    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert is_like(pattern, name) is wanted


def test_hostile_patterns_cost_nothing():
    assert not is_like("*a" * 500 + "*b", "a" * 10_000)


@pytest.mark.parametrize(
    ("value", "architecture"),
    [
        (0.3, None), (0.3, "wan"), ("te=0.1,*attn*=1", "wan"), ("te1=0.1", None), ("GRAD_V", "sd1"), ("GRAD_V", "flux1"), ("GRAD_V", "sdxl"),
        ([0.1] * 26, "sd1"), ([0.1] * 26, "sdxl"), ([0.1] * 26, "sdxl-refiner"), ([0.1] * 20, "sdxl"), ([0.1] * 21, "sdxl"),
        ([0.1] * 61, "flux1"), ("IN00-OUT11=0.5", "sdxl"), ("IN00-IN08=1,M00=1,OUT00-OUT08=1", "sd1"), ("t5=1,te2=1,J03=0", "sd3"),
    ],
)  # fmt: skip
def test_what_an_architecture_has(value, architecture):
    parse_weight(value).check(architecture)


@pytest.mark.parametrize(
    ("value", "architecture", "message", "hint"),
    [
        ("IN09=1", "sdxl", "sdxl has no block IN09", "Did you mean IN0"),
        ("IN00=1", "flux1", "flux1 has no block IN00", "CLIP, T5, IN, D00-D18, S00-S37, OUT"),
        ("T5=1", "sd3", "sd3 has no block T5", "Did you mean t5?"),
        ([0.1] * 20, "sd1", "sd1 has 26 blocks, and the weight has numbers for the 20", "IN00-IN11"),
        ([0.1] * 61, "sd1", "sd1 has no block CLIP, T5, IN and 58 more", "IN00-IN11"),
        ([0.1] * 26, "flux1", "flux1 has no block BASE", "D00-D18"),
        ("te2=1", "sd1", "sd1 has no component 'te2'", "te, te1, unet, vae"),
        ("t5=1", "sdxl", "sdxl has no component 't5'", "te, te1, te2, unet, vae"),
        ("IN00=1", "wan", "No blocks are known of wan", "unet=0.3"),
        ("GRAD_V", None, "No blocks are known of this model", "*attn*"),
        ("GRAD_V", "sd3", "not made for sd3", "J00-J37"),
    ],
)  # fmt: skip
def test_what_an_architecture_does_not_have(value, architecture, message, hint):
    with pytest.raises(BadRecipeError) as caught:
        parse_weight(value).check(architecture)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_lists_by_their_length():
    for architecture, count in (("sd1", 26), ("sdxl", 20), ("flux1", 61)):
        numbers = [n / count for n in range(count)]
        assert parse_weight(numbers).blocks == dict(zip(block_names(architecture), numbers, strict=True))
    with_vae = parse_weight([n / 21 for n in range(21)])
    assert (with_vae.components, with_vae.blocks["OUT08"]) == ({"vae": 20 / 21}, 19 / 21)


def test_26_numbers_on_sdxl_are_reduced_by_name():
    """w[:9] + w[12:22] of the 25 that are not of text encoders."""
    numbers = [n / 26 for n in range(26)]
    rest = numbers[1:]
    assert list(parse_weight(numbers).numbers("sdxl", 9).values()) == [numbers[0], *rest[:9], *rest[12:22]]


def test_a_table():
    table = {
        "default": 0.5, "te1": 0.2, "transformer": 0.3, "IN03": 0.1, "IN03-IN06": 0.2, "preset": "grad_v",
        "blocks": [0.25] * 26, "keys": {"*attn2*": 0, "IN05:*": 1},
    }  # fmt: skip
    weight = parse_weight(table)
    assert (weight.base, weight.components, weight.preset) == (0.5, {"te1": 0.2, "unet": 0.3}, Blend("GRAD_V"))
    assert [weight.blocks[name] for name in ("IN02", "IN03", "IN04", "IN06", "IN07")] == [0.25, 0.1, 0.2, 0.2, 0.25]
    assert weight.keys == (("*attn2*", 0), ("IN05:*", 1))
    between = parse_weight({"preset": {"from": "GRAD_V", "to": "FLAT_25", "at": 0.3}})
    assert between.preset == Blend("GRAD_V", "FLAT_25", 0.3)


def test_it_is_written_as_short_as_it_can_be():
    assert Weight(0.3).toml() == 0.3
    assert Weight().toml() == {}
    assert parse_weight("GRAD_V").toml() == {"preset": "GRAD_V"}
    assert parse_weight([0.5] * 26).toml() == {"BASE": 0.5, "IN00-IN11": 0.5, "M00": 0.5, "OUT00-OUT11": 0.5}
    assert parse_weight(list(range(20))).toml() == {"blocks": ", ".join(map(str, range(20)))}
    assert list(parse_weight("0.4,te1=1,OUT00=2,IN03=1,IN04=1").toml()) == ["default", "te1", "IN03-IN04", "OUT00"]


@given(WEIGHTS)
def test_what_is_written_is_read_back(weight):
    value = weight.toml()
    assert parse_weight(value) == weight
    assert parse_weight(value).toml() == value


@given(WEIGHTS)
def test_in_a_recipe_too(weight):
    try:
        text = tomli_w.dumps({"alpha": weight.toml()})
        read = tomllib.loads(text)
    except (UnicodeError, tomllib.TOMLDecodeError):  # halves of characters are not TOML
        return
    assert parse_weight(read["alpha"]) == weight


@given(
    WEIGHTS,
    st.sampled_from(["unet", "te1", "te2", "t5", "vae", ""]),
    st.sampled_from([None, *block_names("sd1"), *block_names("flux1")]),
)
def test_it_is_always_a_number(weight, component, block):
    found = weight.at(Spot(component, block, "a.b", "c.a.b"), 0.5)
    assert (isinstance(found, float) and math.isfinite(found)) or (weight.preset is not None and weight.preset.second)


@given(WEIGHTS)
def test_a_uniform_weight_is_the_same_everywhere(weight):
    if weight.uniform is not None:
        for component in ("unet", "te1", "vae", ""):
            for block in (None, "IN00", "BASE"):
                assert weight.at(Spot(component, block, "a.b", "a.b"), 77.0) == weight.uniform


DEEP: object = 0.5
for _ in range(5000):
    DEEP = {"keys": DEEP}


@pytest.mark.parametrize(
    "value",
    [
        True, None, math.nan, math.inf, -math.inf, 10**400, [], [0.1], [0.1] * 25, [0.1] * 100_000, [0.1] * 25 + [True],
        [0.1] * 25 + ["1"], [[0.1] * 26], {"default": True}, {"default": math.nan}, {"IN00": "0.5"}, {"IN12": 1}, {"": 1},
        {"in00 ; drop": 1}, {"preset": 3}, {"preset": "GRADV"}, {"preset": {}}, {"preset": {"from": "GRAD_V", "to": "", "at": 0}},
        {"preset": {"from": "GRAD_V", "to": "GRAD_A", "at": math.inf}}, {"preset": {"from": "GRAD_V", "to": "GRAD_A", "at": 0, "x": 1}},
        {"preset": {"from": ["GRAD_V"], "to": "GRAD_A", "at": 0}}, {"blocks": 3}, {"blocks": "a,b"}, {"blocks": "GRAD_V"}, {"blocks": "1," * 10**6},
        {"blocks": {"IN00": 1}}, {"keys": [1]}, {"keys": {"*": True}}, {"keys": {"*" * 5000: 1}}, {"keys": {f"*{n}*": 1 for n in range(2000)}},
        {f"IN{n}": 1 for n in range(100)}, {f"x{n}": 1 for n in range(5000)}, DEEP, b"0.5", object(),
        {"\x1b[31m\n" * 1000: 1}, {"blocks": [0.1] * 26 + [0.1]}, {"te9": 1}, {"IN06-IN03": 1},
    ],
)  # fmt: skip
def test_what_is_no_weight_is_refused_with_where(value):
    with pytest.raises(BadRecipeError) as caught:
        parse_weight(value, "step 1, alpha")
    assert caught.value.message.startswith("step 1, alpha: ")
    assert len(caught.value.message) + len(caught.value.hint) < 1200
    assert "\x1b" not in caught.value.message


def test_a_text_is_read_as_words():
    assert parse_weight("IN00=0.1, 0.4") == read_weight("IN00=0.1, 0.4") == Weight(0.4, {}, {"IN00": 0.1})


def test_spans():
    assert spans(block_names("sd1")) == "BASE, IN00-IN11, M00, OUT00-OUT11"
    assert spans(block_names("flux1")) == "CLIP, T5, IN, D00-D18, S00-S37, OUT"


def test_no_torch():
    code = "import sys; import modelhub.catalog.weighing.weights; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_other_numbers_for_blocks_leave_the_rest_and_reach_the_text_encoders() -> None:
    given = read_weight("GRAD_V, te=0.2, te2=0.4, vae=0.7, IN04=0.1, *attn*=0.9, 0.3")
    said = given.revised({"IN00": 1.5}, "sdxl")
    assert said == read_weight("GRAD_V, te=0.2, te2=0.4, vae=0.7, IN00=1.5, IN04=0.1, *attn*=0.9, 0.3")
    said = given.revised({"BASE": 0.6}, "sdxl")
    assert said.numbers("sdxl", 0.5) == given.numbers("sdxl", 0.5) | {"BASE": 0.6}
    assert (said.components["te1"], said.components["te2"], said.components["vae"]) == (0.6, 0.6, 0.7)
    assert read_weight("GRAD_V").revised({"BASE": 0.6}, "sdxl") == read_weight("GRAD_V, BASE=0.6")
