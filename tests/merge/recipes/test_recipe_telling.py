"""Recipes told in lines: everything that they say, safe to print."""

from __future__ import annotations

from modelhub.catalog.weighing.weights import read_weight
from modelhub.merge.recipes.recipe import ModelRef, Recipe, Step
from modelhub.merge.recipes.telling import model_names, output_lines, recipe_lines, step_line


def test_every_step_and_the_output_are_told() -> None:
    steps = (
        Step("weighted-sum", ("A", "B"), {"alpha": 0.3}, name="half", only=("unet",)),
        Step("add-difference", ("half", "B", "A"), {"alpha": read_weight("0.5, IN00=1")}),
    )
    models = {"A": ModelRef("/models/one.safetensors"), "B": ModelRef("C:\\sd\\two.v2.safetensors")}
    recipe = Recipe(models, steps, dtype="bf16", vae="merge", take={"te1": "B"}, ema="keep", notes=("what is lost",))
    assert recipe_lines(recipe) == [
        "half = weighted-sum one two.v2  alpha 0.3  only unet",
        "result = add-difference half two.v2 one  alpha IN00=1, 0.5",
        "vae merged, too, te1 of two.v2, stored as bf16, A's EMA weights are kept",
        "what is lost",
    ]
    assert model_names(recipe) == {"A": "one.safetensors", "B": "two.v2.safetensors"}
    assert list(output_lines(Recipe(models, steps, compat="a1111"))) == ["computed as a1111 does"]


def test_hostile_names_stay_on_their_line() -> None:
    recipe = Recipe({"A\n": ModelRef("x/\x1b[31m[red]\n")}, (Step("average", ("A\n", "A\n"), {}, name="\x1b"),))
    told = [*recipe_lines(recipe), *model_names(recipe).values(), step_line(recipe.steps[0])]
    assert all(line.isprintable() for line in told)
    assert model_names(recipe)["A\n"] == "\\x1b[31m[red]\\x0a"
