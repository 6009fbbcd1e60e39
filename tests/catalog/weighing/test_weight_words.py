"""Weights in one line: every form, what other tools write, and clear errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weight_strategies import WEIGHTS

from modelhub.catalog.blocks import block_names
from modelhub.catalog.weighing.weights import Blend, Weight
from modelhub.catalog.weighing.words import read_weight, weight_text
from modelhub.errors import BadRecipeError

LIST = [n / 26 for n in range(26)]
NAMED = dict(zip(block_names("sd1"), LIST, strict=True))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.3", Weight(0.3)),
        (" -1.5e-3 ", Weight(-0.0015)),
        ("+.5", Weight(0.5)),
        ("1.", Weight(1.0)),
        ("GRAD_V", Weight(preset=Blend("GRAD_V"))),
        ("grad-v", Weight(preset=Blend("GRAD_V"))),
        ("SMOOTHSTEP*2", Weight(preset=Blend("2SMOOTHSTEP"))),
        ("ALL0.5", Weight(preset=Blend("ALL0.5"))),
        ("GRAD_V>FLAT_25@0.3", Weight(preset=Blend("GRAD_V", "FLAT_25", 0.3))),
        ("GRAD_V > SMOOTHSTEP/2 @ .3", Weight(preset=Blend("GRAD_V", "HALF_SMOOTHSTEP", 0.3))),
        ("GRAD_V,OUT03=1", Weight(blocks={"OUT03": 1.0}, preset=Blend("GRAD_V"))),
        ("0.4; GRAD_V\nte=0", Weight(0.4, {"te": 0.0}, preset=Blend("GRAD_V"))),
        (",".join(map(str, LIST)), Weight(blocks=NAMED)),
        (" ".join(map(str, LIST)), Weight(blocks=NAMED)),
        ("\n".join(map(str, LIST)) + "\n", Weight(blocks=NAMED)),
        (", \n".join(map(str, LIST)) + ",", Weight(blocks=NAMED)),
        (",".join(map(str, LIST)) + ", M00=5, default=0.5", Weight(0.5, {}, {**NAMED, "M00": 5.0})),
        ("IN00=0.1,IN03-IN05=0.2,te1=0.5,*attn2*=0,0.4", Weight(
            0.4, {"te1": 0.5}, {"IN00": 0.1, "IN03": 0.2, "IN04": 0.2, "IN05": 0.2}, (("*attn2*", 0.0),)
        )),
        ("IN04=1, in3 - in5=0", Weight(blocks={"IN03": 0.0, "IN04": 1.0, "IN05": 0.0})),
        ("IN00=0,IN00=1", Weight(blocks={"IN00": 1.0})),
        ("T5=0.1,t5=0.2", Weight(None, {"t5": 0.2}, {"T5": 0.1})),
        ("Denoiser=0.1, TE=0.2, text_encoder_2=0.3, VAE=0, CLIP-L=1", Weight(None, {"unet": 0.1, "te": 0.2, "te2": 0.3, "vae": 0.0, "te1": 1.0})),
        ("transformer=0.5", Weight(None, {"unet": 0.5})),
        ("*a*=0,*b*=1,*a*=2", Weight(keys=(("*b*", 1.0), ("*a*", 2.0)))),
        ("conv_in.weight=0", Weight(keys=(("conv_in.weight", 0.0),))),
        ("OUT03-OUT05 te:*norm*=0.2", Weight(keys=(("OUT03-OUT05 te:*norm*", 0.2),))),
        ('"a, b=c"=0.5,"\\u00e9\\n"=1', Weight(keys=(("a, b=c", 0.5), ("é\n", 1.0)))),
        ("OUT06:attn:0.5,OUT06:attn2.to_k:0.2", Weight(keys=(("OUT06:*attn*", 0.5), ("OUT06:*attn2.to_k*", 0.2)))),
        ("0.3\nNOT OUT04:attn:1\n:norm:0", Weight(0.3, keys=(("NOT OUT04:*attn*", 1.0), ("*norm*", 0.0)))),
        ("IN05-OUT05:NOT attn proj:0", Weight(keys=(("IN05-OUT05:NOT *attn* *proj*", 0.0),))),
        ("::1", Weight(keys=(("*", 1.0),))),
    ],
)  # fmt: skip
def test_every_form(text, wanted):
    assert read_weight(text) == wanted
    assert read_weight(weight_text(wanted)) == wanted


def test_21_and_61_numbers():
    assert read_weight(",".join(["0.5"] * 20 + ["0"])).components == {"vae": 0.0}
    assert read_weight(",".join(["0.5"] * 20 + ["0"]) + ",vae=1").components == {"vae": 1.0}
    assert set(read_weight(" ".join(["1"] * 61)).blocks) == set(block_names("flux1"))


def test_it_is_written_readably():
    assert weight_text(Weight(0.3)) == "0.3"
    assert weight_text(Weight()) == ""
    assert weight_text(read_weight("te=1,OUT03=1.0,grad_v>flat_25@.5")) == "GRAD_V>FLAT_25@0.5, te=1, OUT03=1"
    assert weight_text(read_weight(",".join(map(str, range(26))))) == ", ".join(map(str, range(26)))


@given(WEIGHTS.filter(lambda weight: weight != Weight()))
def test_what_is_written_is_read_back(weight):
    assert read_weight(weight_text(weight)) == weight


@given(st.text(max_size=60) | st.text('IN0GRAD_V=>@:*.,"te1 5\n', max_size=40))
def test_any_text_is_a_weight_or_an_error(text):
    try:
        weight = read_weight(text, "here")
    except BadRecipeError as error:
        assert error.message.startswith("here: ")
    else:
        assert read_weight(weight_text(weight)) == weight


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "it is empty", "IN00=0.1"),
        (" ,\n; ", "it is empty", "preset"),
        ("nan", "'nan' is no block", ""),
        ("inf", "'inf' is no block", ""),
        ("1e999", "not a finite number", ""),
        ("1e99", "too large to compute with", ""),
        ("٣", "is no block", ""),
        ("1_0", "is no block", ""),
        ("IN00=", "'' is not a number", ""),
        ("IN00=nan", "'nan' is not a number", "0.3"),
        ("IN00=R", "'R' is not a number", ""),
        ("IN12=0.1", "'IN12' is no block", "IN1"),
        ("INN03=0.1", "'INN03' is no block", "IN03"),
        ("unett=1", "'unett' is no block", "unet"),
        ("GRADV", "'GRADV' is no block, component or preset", "GRAD_V"),
        ("GRADV>FLAT_25@1", "no preset 'GRADV'", "GRAD_V"),
        ("GRAD_V>FLAT_25", "is no block", ""),
        ("GRAD_V>FLAT_25@x", "'x' is not a number", ""),
        ("GRAD_V,GRAD_A", "two presets", ">"),
        ("0.1,0.2", "it has 2 numbers", "26"),
        (",".join(["1"] * 27), "it has 27 numbers", "26"),
        ("0.1,default=0.2", "two numbers for all", ""),
        ('"a=1', "quotation mark", ""),
        ('"\\x"=1', "is not a quoted name", ""),
        ("OUT99:attn:1", "'OUT99' is no block", "OUT09"),
        ("OUT04:attn:U", "'U' is not a number", ""),
        ("1," * 60_000, "a text of 120,000 characters", ""),
        ("*a" + "a" * 5000 + "*=1", "too long patterns", ""),
        (",".join(f"*{n}*=1" for n in range(1500)), "too many", ""),
        ("\x1b[31mred=1", "\\x1b[31mred", ""),
    ],
)  # fmt: skip
def test_errors_say_what_and_where(text, message, hint):
    with pytest.raises(BadRecipeError) as caught:
        read_weight(text, "--alpha")
    assert caught.value.message.startswith("--alpha: ")
    assert message in caught.value.message
    assert hint in caught.value.hint
