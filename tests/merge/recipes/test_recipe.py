"""Recipes: the text, read and written, and every way it can be wrong."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from weight_strategies import WEIGHTS

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.parts import letters
from modelhub.merge.recipes.recipe import ModelRef, Recipe, Step, checked, parse_recipe, simple_recipe
from modelhub.merge.registry import Method, Parameter, methods

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


@given(st.text(), st.text(min_size=1), st.floats(-1e30, 1e30))
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
        (MODELS + STEP + 'alpha = "half"', "Step 1: alpha"),
        (MODELS + STEP + "alpha = { IN99 = 0.5 }", "Step 1: alpha"),
        (MODELS + STEP + "alpha = [1, 2, 3]", "Step 1: alpha"),
        (MODELS + STEP + "alpha = " + "9" * 400, "alpha must be a number"),
        (MODELS + STEP + "alpha = " + "9" * 5000, "not valid TOML"),
        ("#" * 1_000_001, "1,000,000 are allowed"),
        (MODELS + STEP + 'only = ["unt"]', r"no component 'unt' \(did you mean 'unet'\?\)\."),
        (MODELS + STEP + 'only = "unet"', "only must be a list"),
        (MODELS + STEP + "alpa = 0.5", r"no parameter 'alpa' \(did you mean 'alpha'\?\)\."),
        (MODELS + STEP + '[output]\nte1 = "Z"', "te1 is to come from 'Z'"),
        (MODELS + STEP + '[output]\ncompat = "comfy"', "compatible with 'comfy'"),
        (MODELS + STEP + '[output]\nema = "use"', "EMA weights cannot be 'use'"),
        (MODELS + STEP + "[output]\nvae = 1", "output.vae must be a text"),
        (MODELS + 'C = "c"\n' + STEP, "1 model of the recipe is not used: C"),
        (MODELS + STEP + STEP, "Step 1 has no name"),
        (MODELS + STEP + 'name = "x"\n' + STEP, "nothing uses 'x'"),
        (MODELS + STEP.replace('"B"', '"x"') + 'name = "x"', "'x' is the step itself"),
        (
            MODELS + STEP.replace('"B"', '"y"') + 'name = "x"\n' + STEP.replace('"B"', '"x"') + 'name = "y"',
            "'y' is made later, by step 2",
        ),
        (MODELS + STEP.replace('"A", "B"', '"A", { method = "slerp" }'), "slerp takes 2 models, not 0"),
        (MODELS + STEP.replace('"A", "B"', "{ a = " * 30 + "1" + " }" * 30 + ', "A", "B"'), "no merge method"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\nseed = -1', "seed must be 0 or more"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\nseed = 0.5', "seed must be a whole number"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\nnormalize = 1', "must be true or false"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\ncombine = "tie"', "combine must be one of"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\nweights = [1, 2]', "2 numbers for 1 model"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A", "B"]\nweights = ["x"]', "a list of numbers"),
        (MODELS + '[[steps]]\nmethod = "dare"\ninputs = ["A"]', "takes 2 models or more, not 1"),
        (MODELS + STEP + 'name = "A"', "name 'A' is taken"),
        (MODELS + STEP + '[output]\ndtype = "int8"', "cannot be 'int8'"),
        (MODELS + STEP + '[output]\nvae = "Z"', "no model of the recipe"),
        (MODELS + STEP + '[output]\ncolour = "red"', "unknown entry 'colour'"),
        ("colour = 1\n" + MODELS + STEP, "unknown entry 'colour'"),
        ('[models]\nA = { ref = "a", sha256 = "xyz" }\nB = "b"\n' + STEP, "not 64 hexadecimal"),
        ("[models]\nA = 5\nB = 'b'\n" + STEP, "Model A must be a table"),
        ("models = 5\n" + STEP, "must be a table"),
        (f"[models]\nA = [0x{'f' * 9000}]\nB = 'b'\n" + STEP, "too long to show"),
        (".".join(["a"] * 20_000) + " = 1\n" + MODELS + STEP, "too many parts"),
        (MODELS + "".join(f"M{at} = 'x'\n" for at in range(1000)) + STEP, "1,000 models .* M29, …"),
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


FULL = """
[models]
A = "a"
B = "b"
C = "c"
D = "d"

[[steps]]
method = "ties"
inputs = ["A", "B", { method = "weighted-sum", inputs = ["C", { method = "slerp", inputs = ["B", "C"] }] }]
density = 0.3
sign = "count"
weights = [1, 0.5]
name = "all"

[[steps]]
method = "weighted-sum"
inputs = ["all", "A"]
only = ["unet", "te1"]
alpha = { default = 0.2, IN00 = 0.1, keys = { "*attn2*" = 0.0 } }

[output]
text_encoder = "D"
t5 = "B"
ema = "keep"
"""


def test_steps_inside_of_inputs_are_steps_of_their_own() -> None:
    recipe = parse_recipe(FULL)
    assert [(step.name, step.method, step.inputs) for step in recipe.steps] == [
        ("step-1-3-2", "slerp", ("B", "C")),
        ("step-1-3", "weighted-sum", ("C", "step-1-3-2")),
        ("all", "ties", ("A", "B", "step-1-3")),
        ("", "weighted-sum", ("all", "A")),
    ]
    ties = recipe.steps[2].parameters
    assert (ties["sign"], ties["weights"], ties["alpha"]) == ("count", (1.0, 0.5), 1.0)
    assert recipe.steps[3].only == ("unet", "te1")
    weight = recipe.steps[3].parameters["alpha"]
    assert isinstance(weight, Weight) and (weight.base, weight.blocks) == (0.2, {"IN00": 0.1})
    assert (recipe.take, recipe.ema, recipe.vae) == ({"text_encoder": "D", "t5": "B"}, "keep", None)
    assert parse_recipe(recipe.dumps()) == recipe


def test_nesting_has_an_end() -> None:
    inside = '"A"'
    for _ in range(30):
        inside = f'{{ method = "slerp", inputs = ["B", {inside}] }}'
    with pytest.raises(BadRecipeError, match="nested too deeply"):
        parse_recipe(MODELS + f'[[steps]]\nmethod = "slerp"\ninputs = ["A", {inside}]')


def test_a_simple_recipe_takes_everything_that_a_text_takes() -> None:
    recipe = simple_recipe(
        "add-difference",
        ["a", "b", "c"],
        parameters={"alpha": Weight(0.5, {"te1": 0.1}, {"IN00": 1.0})},
        vae="v",
        take={"te1": "B", "te2": "other", "unet": "a"},
        compat=None,
        ema="keep",
        only=("unet",),
    )
    assert recipe.models["VAE"] == ModelRef("v") and recipe.models["TE2"] == ModelRef("other")
    assert recipe.take == {"te1": "B", "te2": "TE2", "unet": "A"}
    assert simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": "0.25"}).steps[0].parameters == {
        "alpha": 0.25
    }
    assert parse_recipe(recipe.dumps()) == recipe


def test_components_are_letters_of_the_models_or_models_of_their_own() -> None:
    recipe = simple_recipe("weighted-sum", ["x", "y"], vae="B", take={"te1": "y", "te2": "other", "t5": "A"})
    assert recipe.vae == "B"
    assert recipe.take == {"te1": "B", "te2": "TE2", "t5": "A"}
    assert recipe.models == {"A": ModelRef("x"), "B": ModelRef("y"), "TE2": ModelRef("other")}
    recipe = simple_recipe("weighted-sum", ["x", "y"], vae="good.vae", take={"text_encoder": "good.vae"})
    assert (recipe.vae, recipe.take, len(recipe.models)) == ("VAE", {"text_encoder": "VAE"}, 3)
    assert simple_recipe("weighted-sum", ["x", "y"], vae="merge").vae == "merge"


def test_there_are_letters_for_any_number_of_models() -> None:
    recipe = simple_recipe("average", [f"m{at}" for at in range(100)])
    assert list(recipe.models)[24:29] == ["Y", "Z", "AA", "AB", "AC"] and list(recipe.models)[-1] == "CV"
    found = [letter for letter, _ in zip(letters(), range(26 + 26**2 + 1), strict=False)]
    assert found[-1] == "AAA" and len(set(found)) == len(found)


def test_a_long_list_of_weights_is_one_table() -> None:
    alpha = Weight(0.5, {}, {f"IN{n:02}": n / 100 for n in range(12)})
    recipe = simple_recipe("weighted-sum", ["a" * 200, "b"], parameters={"alpha": alpha})
    text = recipe.dumps()
    assert text.count("\n[") == 2, "after the models the step and its weights"
    assert list(parse_recipe(text).models) == ["A", "B"]


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NUMBERS = st.floats(-1e30, 1e30)


def values(parameter: Parameter, many: int) -> st.SearchStrategy[object]:
    if parameter.kind == "number":
        return NUMBERS | WEIGHTS
    if parameter.kind == "whole":
        return st.integers(int(parameter.low), 2**63 - 1)
    if parameter.kind == "choice":
        return st.sampled_from(parameter.choices)
    if parameter.kind == "flag":
        return st.booleans()
    return st.just(()) | st.lists(NUMBERS, min_size=many, max_size=many)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Chains of steps over models with any names; each step takes the one before it."""
    names = draw(st.lists(NAMES, min_size=4, max_size=6, unique=True))
    models, later = names[:3], names[3:]
    steps: list[Step] = []
    for name in [*later[1:], ""]:
        method: Method = draw(st.sampled_from(list(methods().values())))
        count = method.least + (draw(st.integers(0, 2)) if method.many else 0)
        inputs = [steps[-1].name if steps else models[0]] + [draw(st.sampled_from(models)) for _ in range(count - 1)]
        wanted = [p for p in method.parameters if draw(st.booleans())]
        parameters = {p.name: draw(values(p, count - len(method.names))) for p in wanted}
        only = draw(st.lists(st.sampled_from(["unet", "te1", "vae"]), max_size=2, unique=True))
        steps.append(Step(method.name, tuple(inputs), parameters, name, tuple(only)))
    used = {name for step in steps for name in step.inputs}
    kept = [name for name in models if name in used]
    sha256 = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
    refs = {name: ModelRef(draw(NAMES), draw(sha256)) for name in kept}
    take = draw(st.dictionaries(st.sampled_from(["unet", "te1", "text_encoder"]), st.sampled_from(kept), max_size=2))
    output = (draw(st.sampled_from([None, "fp16", "bf16"])), draw(st.sampled_from([None, "merge", *kept])))
    return Recipe(refs, tuple(steps), draw(st.text(st.characters(codec="utf-8"))), *output, take)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(recipes())
def test_any_recipe_written_and_read_again_is_equal(recipe: Recipe) -> None:
    whole = checked(recipe)
    text = whole.dumps()
    again = parse_recipe(text)
    assert again == whole
    assert list(again.models) == list(whole.models) and again.dumps() == text
