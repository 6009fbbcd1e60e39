"""LoRAs in recipes: the text, read and written, recipes without steps, and every way that they can be wrong."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weight_strategies import NUMBERS, WEIGHTS

from modelhub.catalog.parents import merged_from
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.recipe import (
    Lora,
    ModelRef,
    Recipe,
    Step,
    bake_recipe,
    checked,
    parse_recipe,
    simple_recipe,
    with_loras,
)
from modelhub.merge.recipes.telling import recipe_lines

SHA = "ab" * 32
STACK = f"""
[models]
A = "base"
B = "stripes"
second = {{ ref = "framed", sha256 = "{SHA}" }}
first = "glow"

[[steps]]
method = "weighted-sum"
inputs = ["A", "B"]

[[loras]]
model = "first"
weight = {{ te = 0.5, IN00 = 0 }}

[[loras]]
model = "second"

[[loras]]
model = "first"
weight = "0.25, OUT03-OUT05=1"
"""
BAKE = """
[models]
A = "base"
L = "framed"
[[loras]]
model = "L"
weight = 0.8
"""


def test_loras_stand_in_their_order_with_their_weights() -> None:
    recipe = parse_recipe(STACK)
    assert recipe.loras == (
        Lora("first", Weight(None, {"te": 0.5}, {"IN00": 0.0})),
        Lora("second", 1.0),
        Lora("first", Weight(0.25, blocks={"OUT03": 1.0, "OUT04": 1.0, "OUT05": 1.0})),
    )
    assert recipe.base is None and recipe.baked == {"first", "second"}
    assert parse_recipe(recipe.dumps()) == recipe


def test_without_steps_the_one_model_that_is_nothing_else_is_baked_into() -> None:
    recipe = parse_recipe(BAKE)
    assert (recipe.steps, recipe.base, recipe.loras) == ((), "A", (Lora("L", 0.8),))
    assert "[[steps]]" not in recipe.dumps() and parse_recipe(recipe.dumps()) == recipe
    more = parse_recipe(BAKE.replace("[[loras]]", 'V = "vae"\nT = "te"\n[[loras]]') + '[output]\nvae = "V"\nte1 = "T"')
    assert more.base == "A"


def test_a_vae_alone_can_be_baked_in() -> None:
    recipe = parse_recipe('[models]\nA = "a"\nV = "v"\n[output]\nvae = "V"\n')
    assert (recipe.base, recipe.vae, recipe.loras) == ("A", "V", ())
    assert bake_recipe("a", [], vae="v") == Recipe({"A": ModelRef("a"), "VAE": ModelRef("v")}, (), vae="VAE")


def test_the_models_of_a_recipe_with_loras_are_its_parents() -> None:
    found = merged_from({"modelhub.recipe": parse_recipe(STACK).dumps()})
    assert [(one.name, one.sha256) for one in found] == [("base", ""), ("stripes", ""), ("framed", SHA), ("glow", "")]


WRONG = {
    '[models]\nA = "a"\n': "no steps",
    '[models]\nL = "l"\n[[loras]]\nmodel = "L"\n': "does not say into which of 1 model",
    '[models]\nA = "a"\nB = "b"\nL = "l"\n[[loras]]\nmodel = "L"\n': "does not say into which of 3 models",
    BAKE.replace('model = "L"', 'model = "l"'): "LoRA 1: there is no model 'l'",
    BAKE.replace("0.8", "nan"): "LoRA 1: weight must be a number, not nan",
    BAKE.replace("0.8", "true"): "LoRA 1: weight must be a number, not True",
    BAKE.replace("0.8", '"soft"'): "LoRA 1: weight",
    BAKE.replace("weight", "wait"): "LoRA 1 has an unknown entry 'wait'",
    BAKE.replace('model = "L"', "model = 3"): "LoRA 1: model must be a text, not 3",
    BAKE.replace('model = "L"', ""): "LoRA 1: there is no model ''",
    BAKE.replace("[[loras]]", "[loras]"): "[[loras]] must be a list",
    BAKE + '[output]\nvae = "L"\n': "is also what the VAE is taken from",
    BAKE + '[output]\nte1 = "L"\n': "is also what the te1 is taken from",
    BAKE + '[output]\nvae = "merge"\n': "no steps, so nothing merges the VAE",
    BAKE + '[output]\ncompat = "a1111"\n': "no steps, so nothing is computed as a1111 does",
    STACK.replace('inputs = ["A", "B"]', 'inputs = ["A", "second"]'): "is also an input of step 1",
    STACK.replace('first = "glow"', 'first = "glow"\nthird = "none"'): "1 model of the recipe is not used: third",
}


@pytest.mark.parametrize(("text", "what"), WRONG.items(), ids=range(len(WRONG)))
def test_what_is_wrong_is_said(text: str, what: str) -> None:
    with pytest.raises(BadRecipeError) as caught:
        parse_recipe(text)
    assert what in caught.value.message and caught.value.hint


def test_loras_are_added_after_those_of_a_recipe_under_letters_of_their_own() -> None:
    recipe = simple_recipe("weighted-sum", ["a", "b"], loras=[("x", 0.5), ("a", Weight(0.2, {"te": 0.0})), ("x", 1)])
    assert {key: ref.ref for key, ref in recipe.models.items()} == {"A": "a", "B": "b", "L1": "x", "L2": "a"}
    assert [lora.model for lora in recipe.loras] == ["L1", "L2", "L1"]
    more = checked(with_loras(recipe, [("y", 0.3), ("a", 1.0)]))
    assert [(lora.model, more.models[lora.model].ref) for lora in more.loras[3:]] == [("L3", "y"), ("L2", "a")]


def test_a_letter_that_a_step_has_is_not_given_to_a_lora() -> None:
    steps = (Step("weighted-sum", ("A", "B"), name="L1"), Step("weighted-sum", ("L1", "A")))
    recipe = checked(Recipe({"A": ModelRef("a"), "B": ModelRef("b")}, steps))
    assert checked(with_loras(recipe, [("x", 1.0)])).loras[0].model == "L2"


def test_a_person_reads_of_loras_by_name() -> None:
    assert recipe_lines(parse_recipe(STACK)) == [
        "result = weighted-sum base stripes  alpha 0.5",
        "LoRA glow  te=0.5, IN00=0",
        "LoRA framed  1",
        "LoRA glow  OUT03-OUT05=1, 0.25",
    ]
    assert recipe_lines(parse_recipe(BAKE)) == ["result = base", "LoRA framed  0.8"]


@st.composite
def _recipes(draw: st.DrawFn) -> Recipe:
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6, unique=True))
    base, *loras = names
    models = {name: ModelRef(draw(st.text(max_size=20)), draw(st.none() | st.just(SHA))) for name in names}
    used = [*loras, *draw(st.lists(st.sampled_from(loras), max_size=3))]
    steps = (Step("weighted-sum", (base, base), {"alpha": 0.25}),) if draw(st.booleans()) else ()
    stack = tuple(Lora(name, draw(NUMBERS | WEIGHTS)) for name in used)
    return checked(Recipe(models, steps, draw(st.text(max_size=10)), loras=stack))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_recipes())
def test_any_recipe_with_loras_written_and_read_again_is_equal(recipe: Recipe) -> None:
    again = parse_recipe(recipe.dumps())
    assert again == recipe and list(again.models) == list(recipe.models)
