"""The same recipe with other numbers and models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import BadRecipeError, ModelhubError
from modelhub.merge.recipes.recipe import ModelRef, parse_recipe, simple_recipe
from modelhub.merge.recipes.varying import parameter_names, varied

ONE = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})
TWO = parse_recipe(
    """
    [models]
    A = "a"
    B = "b"
    C = "c"
    [[steps]]
    name = "first"
    method = "weighted-sum"
    inputs = ["A", "B"]
    alpha = 0.1
    [[steps]]
    method = "slerp"
    inputs = ["first", "C"]
    alpha = 0.2
    """
)


def test_names_of_parameters() -> None:
    assert {*parameter_names(ONE)} == {"alpha", "1.alpha"}
    assert {"alpha", "1.alpha", "2.alpha"} <= set(parameter_names(TWO))


@pytest.mark.parametrize(
    ("name", "alphas"), [("alpha", (0.1, 0.75)), ("2.alpha", (0.1, 0.75)), ("1.alpha", (0.75, 0.2))]
)
def test_a_number_is_set_in_its_step(name: str, alphas: tuple[float, float]) -> None:
    found = varied(TWO, {name: "0.75"}, {})
    assert tuple(step.parameters["alpha"] for step in found.steps) == alphas
    assert TWO.steps[1].parameters["alpha"] == 0.2


def test_blocks_are_weighed_on_top_of_the_number() -> None:
    found = varied(ONE, {}, {"IN04": "0.9", "OUT03-OUT05": "0", "te1": "1"}).steps[0].parameters["alpha"]
    assert isinstance(found, Weight)
    assert found.base == 0.3
    assert found.blocks == {"IN04": 0.9, "OUT03": 0.0, "OUT04": 0.0, "OUT05": 0.0}
    assert found.components == {"te1": 1.0}


def test_a_number_for_a_parameter_with_blocks_is_their_base() -> None:
    blocks = varied(ONE, {}, {"IN04": "0.9"})
    found = varied(blocks, {"alpha": "0.5"}, {}).steps[0].parameters["alpha"]
    assert found == Weight(0.5, blocks={"IN04": 0.9})


def test_a_preset_is_a_value_too() -> None:
    found = varied(ONE, {"alpha": "GRAD_V"}, {}).steps[0].parameters["alpha"]
    assert isinstance(found, Weight)
    assert found.preset is not None


def test_another_model_takes_a_letter_and_no_pin() -> None:
    pinned = replace(ONE, models={"A": ModelRef("a"), "B": ModelRef("b", "0" * 64)})
    found = varied(pinned, {"alpha": "0.75"}, {}, {"B": "other"})
    assert found.models == {"A": ModelRef("a"), "B": ModelRef("other")}
    assert found.steps[0].parameters["alpha"] == 0.75 and pinned.models["B"].ref == "b"


def test_a_letter_that_no_model_has_is_said() -> None:
    with pytest.raises(BadRecipeError, match="no model 'C'") as caught:
        varied(ONE, {}, {}, {"C": "other"})
    assert "A, B" in caught.value.hint


@pytest.mark.parametrize(
    ("recipe", "parameters", "blocks"),
    [
        (ONE, {"beta": "1"}, {}),
        (ONE, {"alpha": "much"}, {}),
        (ONE, {}, {"IN04": "x"}),
        (ONE, {}, {"NOWHERE": "1"}),
        (simple_recipe("model-stock", ["a", "b", "c"]), {}, {"IN04": "1"}),
    ],
)
def test_what_cannot_be_set_is_said(recipe, parameters, blocks) -> None:
    with pytest.raises(ModelhubError) as caught:
        varied(recipe, parameters, blocks)
    assert caught.value.hint
