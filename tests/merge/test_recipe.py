"""Recipes: the text, read and written, and every way it can be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import BadRecipeError
from modelhub.merge.recipe import ModelRef, parse_recipe, simple_recipe

NESTED = """
name = "nested"

[models]
A = "base"
B = { ref = "stripes", sha256 = "%s" }
C = "pastel"

[[steps]]
name = "soft"
method = "weighted-sum"
inputs = ["A", "B"]
alpha = 0.25

[[steps]]
method = "add-difference"
inputs = ["soft", "C", "A"]

[output]
dtype = "fp16"
vae = "B"
""" % ("ab" * 32)


def test_a_recipe_says_what_it_says() -> None:
    recipe = parse_recipe(NESTED)
    assert recipe.models["B"] == ModelRef("stripes", "ab" * 32)
    assert [step.method for step in recipe.steps] == ["weighted-sum", "add-difference"]
    assert recipe.steps[0].parameters == {"alpha": 0.25}
    assert recipe.steps[1].parameters == {"alpha": 1.0}, "defaults are filled in"
    assert (recipe.name, recipe.dtype, recipe.vae) == ("nested", "fp16", "B")


def test_written_and_read_again_it_is_equal() -> None:
    for recipe in (
        parse_recipe(NESTED),
        simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.1}, vae="v", name='"quo\\te"\n'),
    ):
        assert parse_recipe(recipe.dumps()) == recipe


@given(st.text(), st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False))
def test_any_name_and_number_survives_the_text(name: str, ref: str, alpha: float) -> None:
    if any("\ud800" <= char <= "\udfff" for char in name + ref):
        return
    recipe = simple_recipe("weighted-sum", [ref, ref], name=name, parameters={"alpha": alpha})
    assert parse_recipe(recipe.dumps()) == recipe


MODELS = '[models]\nA = "a"\nB = "b"\n'
STEP = '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "B"]\n'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("models = [", "not valid TOML"),
        ("", "no steps"),
        (MODELS, "no steps"),
        (MODELS + "[[steps]]\n", "no merge method"),
        (MODELS + '[[steps]]\nmethod = "ninja"\ninputs = ["A", "B"]', "Step 1: There is no merge method 'ninja'"),
        (MODELS + '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A"]', "takes 2 models, not 1"),
        (MODELS + '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "Z"]', "no model or earlier step 'Z'"),
        (MODELS + '[[steps]]\nmethod = "weighted-sum"\ninputs = "AB"', "inputs must be a list"),
        (MODELS + STEP + "beta = 1", "no parameter 'beta'"),
        (MODELS + STEP + "alpha = nan", "alpha must be a number"),
        (MODELS + STEP + "alpha = inf", "alpha must be a number"),
        (MODELS + STEP + "alpha = true", "alpha must be a number"),
        (MODELS + STEP + 'alpha = "0.5"', "alpha must be a number"),
        (MODELS + STEP + 'name = "A"', "name 'A' is taken"),
        (MODELS + STEP + '[output]\ndtype = "int8"', "cannot be 'int8'"),
        (MODELS + STEP + '[output]\nvae = "Z"', "no model of the recipe"),
        (MODELS + STEP + '[output]\ncolour = "red"', "unknown entry 'colour'"),
        ("colour = 1\n" + MODELS + STEP, "unknown entry 'colour'"),
        ('[models]\nA = { ref = "a", sha256 = "xyz" }\nB = "b"\n' + STEP, "not 64 hexadecimal"),
        ("[models]\nA = 5\nB = 'b'\n" + STEP, "Model A must be a table"),
        ("models = 5\n" + STEP, "must be a table"),
        ("name = 7\n" + MODELS + STEP, "name must be a text"),
    ],
)
def test_what_is_wrong_is_said(text: str, what: str) -> None:
    with pytest.raises(BadRecipeError, match=what) as caught:
        parse_recipe(text)
    assert caught.value.exit_code == 2


def test_too_many_models_for_a_method() -> None:
    with pytest.raises(BadRecipeError, match="takes 2 models, not 3"):
        simple_recipe("weighted-sum", ["a", "b", "c"])


def test_steps_that_double_the_work_again_and_again_are_refused() -> None:
    steps = "".join(
        f'[[steps]]\nname = "s{at}"\nmethod = "weighted-sum"\ninputs = ["{last}", "{last}"]\n'
        for at, last in enumerate(["A", *(f"s{at}" for at in range(60))])
    )
    with pytest.raises(BadRecipeError, match="are allowed"):
        parse_recipe('[models]\nA = "a"\n' + steps)


def test_a_long_chain_of_steps_is_fine() -> None:
    steps = "".join(
        f'[[steps]]\nname = "s{at}"\nmethod = "weighted-sum"\ninputs = ["{last}", "A"]\n'
        for at, last in enumerate(["A", *(f"s{at}" for at in range(99))])
    )
    assert len(parse_recipe('[models]\nA = "a"\n' + steps).steps) == 100
