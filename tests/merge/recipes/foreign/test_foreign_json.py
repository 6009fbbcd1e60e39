"""Recipes in JSON, of AUTOMATIC1111 and supermerger, in the forms in which they stand in files; and hostile ones."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.recipe import ModelRef, parse_recipe

A, B, C = ("1a" * 32, "2b" * 32, "3c" * 32)
KNOWN = {
    A: {"name": "first.safetensors [1a1a1a1a1a]", "legacy_hash": "12345678", "sd_merge_recipe": None},
    B: {"name": "folder/second.ckpt", "legacy_hash": "22345678", "sd_merge_recipe": None},
}


def webui(**changes: Any) -> dict[str, Any]:
    return {
        "type": "webui", "primary_model_hash": A, "secondary_model_hash": B, "tertiary_model_hash": None,
        "interp_method": "Weighted sum", "multiplier": 0.3, "save_as_half": True, "custom_name": "half and half",
        "config_source": 0, "bake_in_vae": "None", "discard_weights": "", "is_inpainting": False,
        "is_instruct_pix2pix": False,
    } | changes  # fmt: skip


def supermerger(**changes: Any) -> dict[str, Any]:
    return {
        "type": "sd-webui-supermerger", "weights_alpha": None, "weights_beta": None, "weights_alpha_orig": None,
        "weights_beta_orig": None, "model_a": A, "model_b": B, "model_c": C, "base_alpha": 0.25, "base_beta": 0.5,
        "mode": "Weight sum", "mbw": False, "elemental_merge": "", "calcmode": "normal", "Off": [""],
    } | changes  # fmt: skip


def read(recipe: Mapping[str, Any], known: Any = KNOWN) -> Any:
    return read_foreign({"format": "pt", "sd_merge_recipe": json.dumps(recipe), "sd_merge_models": json.dumps(known)})


def test_a_weighted_sum_of_the_webui() -> None:
    recipe = read(webui())
    assert recipe.models == {"A": ModelRef("first.safetensors", A), "B": ModelRef("second.ckpt", B)}
    (step,) = recipe.steps
    assert (step.method, step.inputs, step.parameters) == ("weighted-sum", ("A", "B"), {"alpha": 0.3})
    assert (recipe.name, recipe.dtype, recipe.vae, recipe.compat) == ("half and half", "fp16", "merge", "a1111")
    assert parse_recipe(recipe.dumps()) == recipe and recipe.notes == ()


def test_add_difference_with_a_vae_and_discarded_weights() -> None:
    recipe = read(
        webui(
            interp_method="Add difference", tertiary_model_hash=C, multiplier=1, save_as_half=False,
            bake_in_vae="vae-ft-mse-840000.safetensors", discard_weights="model_ema.*",
        ),
        {},
    )  # fmt: skip
    assert recipe.steps[0].inputs == ("A", "B", "C")
    assert recipe.models["C"] == ModelRef(C, C), "a model without a name is named by its hash"
    assert (recipe.vae, recipe.models["VAE"].ref, recipe.dtype) == ("VAE", "vae-ft-mse-840000.safetensors", None)
    assert len(recipe.notes) == 1 and "model_ema.*" in recipe.notes[0]
    assert parse_recipe(recipe.dumps()) == recipe, "also with models that have no name"


def test_no_interpolation_is_the_first_model() -> None:
    recipe = read(webui(interp_method="No interpolation", secondary_model_hash=None, multiplier=0.7))
    assert recipe.steps[0].inputs == ("A", "A") and recipe.steps[0].parameters == {"alpha": 0.0}
    assert (recipe.vae, recipe.compat) == (None, None)


@pytest.mark.parametrize(
    ("mode", "calcmode", "method", "inputs", "parameters", "vae"),
    [
        ("Weight sum", "normal", "weighted-sum", "AB", {"alpha": 0.25}, "merge"),
        ("Weight sum:A*(1-alpha)+B*alpha", "normal", "weighted-sum", "AB", {"alpha": 0.25}, "merge"),
        ("Add difference", "normal", "add-difference", "ABC", {"alpha": 0.25}, "merge"),
        ("Triple sum", "normal", "triple-sum", "ABC", {"alpha": 0.25, "beta": 0.5}, "merge"),
        ("sum Twice", "normal", "sum-twice", "ABC", {"alpha": 0.25, "beta": 0.5}, "merge"),
        ("Weight sum", "cosineA", "cosine-a", "AB", {"alpha": 0.25}, None),
        ("Weight sum", "cosineB", "cosine-b", "AB", {"alpha": 0.25}, None),
        ("Add", "trainDifference", "train-difference", "ABC", {"alpha": 0.25}, "merge"),
        ("Add difference", "smoothAdd", "smooth-add", "ABC", {"alpha": 0.25}, "merge"),
        ("Add difference", "smoothAdd MT", "smooth-add", "ABC", {"alpha": 0.25}, "merge"),
        ("Weight sum", "tensor", "tensor-sum", "AB", {"alpha": 0.25, "beta": 0.5}, "merge"),
    ],
)
def test_modes_of_supermerger(mode: str, calcmode: str, method: str, inputs: str, parameters: Any, vae: Any) -> None:
    recipe = read(supermerger(mode=mode, calcmode=calcmode))
    (step,) = recipe.steps
    assert (step.method, "".join(step.inputs), step.parameters, recipe.vae) == (method, inputs, parameters, vae)
    assert parse_recipe(recipe.dumps()) == recipe and any("precision" in note for note in recipe.notes)


def test_block_weights_of_supermerger() -> None:
    numbers = [n / 100 for n in range(25)]
    recipe = read(supermerger(mbw=True, weights_alpha=numbers))
    weight = recipe.steps[0].parameters["alpha"]
    assert isinstance(weight, Weight) and weight.base == 0.25
    assert (weight.blocks["BASE"], weight.blocks["IN00"], weight.blocks["M00"], weight.blocks["OUT11"]) == (
        0.25, 0.0, 0.12, 0.24,
    )  # fmt: skip
    typed = read(supermerger(mbw="True", weights_alpha=",".join(map(str, [0.9, *numbers]))))
    assert typed.steps[0].parameters["alpha"].blocks["IN01"] == 0.01, "a text begins with the base"
    unused = read(supermerger(mbw=False, weights_alpha=numbers))
    assert unused.steps[0].parameters == {"alpha": 0.25}


def test_block_weights_of_sdxl_and_flux() -> None:
    xl = read(supermerger(mbw=True, weights_alpha=[n / 100 for n in range(19)] + [0]))
    weight = xl.steps[0].parameters["alpha"]
    assert (weight.blocks["M00"], weight.blocks["OUT08"], len(weight.blocks)) == (0.09, 0.18, 20)
    assert xl.vae is None, "the 20th weight is the VAE's, and it is 0"
    merged = read(supermerger(mbw=True, weights_alpha=[0.1] * 19 + [0.7]))
    assert merged.vae == "merge" and merged.steps[0].parameters["alpha"].components == {"vae": 0.7}
    flux = read(supermerger(mbw=True, weights_alpha=[n / 100 for n in range(60)]))
    blocks = flux.steps[0].parameters["alpha"].blocks
    assert (blocks["CLIP"], blocks["T5"], blocks["D00"], blocks["S37"], blocks["OUT"]) == (0.25, 0.0, 0.02, 0.58, 0.59)
    assert flux.vae is None
    for recipe in (xl, merged, flux):
        assert parse_recipe(recipe.dumps()) == recipe


def test_elemental_rules() -> None:
    rules = ["IN00-IN02 M00:attn2 norm:0.7", "BASE::0", "not a rule", "NOT OUT11:NOT bias:1"]
    recipe = read(supermerger(elemental_merge=rules))
    assert recipe.steps[0].parameters["alpha"].keys == (
        ("IN00-IN02 M00:*attn2* *norm*", 0.7), ("BASE vae:*", 0.0), ("NOT OUT11:NOT *bias*", 1.0),
    )  # fmt: skip
    assert parse_recipe(recipe.dumps()) == recipe
    as_text = read(supermerger(elemental_merge="IN05:attn1:0.5\nOUT01:proj:0.1"))
    assert len(as_text.steps[0].parameters["alpha"].keys) == 2


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        (webui(interp_method="Sigmoid"), "method 'Sigmoid' is none that modelhub knows"),
        (webui(primary_model_hash=None), "does not say what primary_model_hash is"),
        (webui(multiplier=None), "multiplier is no number"),
        (webui(multiplier="half"), "multiplier is no number"),
        (webui(multiplier=True), "multiplier is no number"),
        (webui(multiplier=10**400), "multiplier is no number"),
        (webui(custom_name=["x"]), "custom_name is no text"),
        (webui(type="comfy"), "of the kind 'comfy'"),
        (webui(type="modelhub"), "of the kind 'modelhub'"),
        (supermerger(mode="Ninja"), "mode 'Ninja' is unknown"),
        (supermerger(calcmode="plus random"), "no equal method"),
        (supermerger(calcmode="extract"), "does not tell the gamma"),
        (supermerger(calcmode="cosineA", mode="Add difference"), "in the mode 'Add difference'"),
        (supermerger(calcmode="smoothAdd", mode="Weight sum"), "in the mode 'Weight sum'"),
        (supermerger(mbw=True, weights_alpha=[0.1] * 7), "weights_alpha are 7 numbers"),
        (supermerger(mbw=True, weights_alpha={"IN00": 1}), "weights_alpha are no list"),
        (supermerger(mbw=True, weights_alpha=[0.1] * 24 + ["x"]), "weight is no number"),
        (supermerger(mbw=True, weights_alpha=[0.1] * 100_000), "weights_alpha are no list"),
        (supermerger(elemental_merge=["IN77:attn:1"]), "names no block"),
        (supermerger(elemental_merge=["IN01:at*n:1"]), "has stars"),
        (supermerger(elemental_merge=["IN01:attn:x"]), "number is no number"),
        (supermerger(elemental_merge=["IN01:attn:1"] * 501), "more or longer elemental rules"),
        (supermerger(elemental_merge=7), "no list of rules"),
        (supermerger(Exclude=["IN00", "VAE"]), "list Exclude"),
        (supermerger(model_b="", base_alpha=1), "does not say what model B is"),
        (supermerger(base_alpha=float("nan")), "not valid JSON"),
        ({}, "of the kind ''"),
    ],
)
def test_what_does_not_map_is_said(recipe: dict[str, Any], what: str) -> None:
    with pytest.raises(BadRecipeError, match=what) as caught:
        read(recipe)
    assert "\n" not in caught.value.message and len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not valid JSON"),
        ('{"a":' * 5000, "nested too deeply"),
        ("[" * 100_000, "begins with"),
        ('{"x": "' + "y" * 3_000_000 + '"}', "longer than any recipe"),
        ('{"multiplier": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"type": "web\\u0007ui"}', "of the kind"),
        ("", "begins with"),
        ("null", "begins with"),
    ],
)
def test_hostile_texts_are_refused(text: str, what: str) -> None:
    with pytest.raises(BadRecipeError, match=what):
        read_foreign(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from([webui(), supermerger(mbw=True, weights_alpha=[0.5] * 25)]), st.data(), JSON)
def test_any_value_anywhere_is_read_or_refused(recipe: dict[str, Any], data: st.DataObject, value: Any) -> None:
    changed = recipe | {data.draw(st.sampled_from(sorted(recipe))): value}
    known = data.draw(st.sampled_from([{}, {A: value}, {A: {"name": value}}, value]))
    try:
        recipe_read = read(changed, known)
    except BadRecipeError:
        return
    assert parse_recipe(recipe_read.dumps()) == recipe_read


def test_a_text_may_be_the_metadata_or_the_recipe() -> None:
    metadata = {"sd_merge_recipe": json.dumps(webui()), "sd_merge_models": json.dumps(KNOWN)}
    opened = {"sd_merge_recipe": webui(), "sd_merge_models": KNOWN}
    assert read_foreign(json.dumps(metadata)) == read_foreign(json.dumps(opened)) == read(webui())
    assert read_foreign(json.dumps(webui())) == read(webui(), {})
    with pytest.raises(BadRecipeError, match="no recipe of a program"):
        read_foreign({"format": "pt"})
