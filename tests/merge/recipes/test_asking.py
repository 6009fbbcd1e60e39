"""What a person says of a merge: values by kind, block weights over a base, components by letter or REF."""

from __future__ import annotations

import pytest

from modelhub.errors import BadRecipeError, ModelhubError, UsageError
from modelhub.merge.recipes.asking import asked_recipe, block_parameter, plain, read_value, shown_value, with_blocks
from modelhub.merge.recipes.recipe import ModelRef
from modelhub.merge.registry import find_method, methods
from modelhub.merge.weighing.weights import Weight, read_weight


@pytest.mark.parametrize(
    ("method", "name", "text", "value"),
    [
        ("weighted-sum", "alpha", "0.25", 0.25),
        ("weighted-sum", "alpha", "-3", -3.0),
        ("weighted-sum", "alpha", "GRAD_V", read_weight("GRAD_V")),
        ("weighted-sum", "alpha", "0.5, IN00=1", Weight(0.5, blocks={"IN00": 1.0})),
        ("dare", "seed", " 12 ", 12),
        ("dare", "combine", "TIES", "ties"),
        ("dare", "normalize", "on", True),
        ("dare", "normalize", "off", False),
        ("average", "weights", "1, 2 0.5", (1.0, 2.0, 0.5)),
        ("average", "weights", "", ()),
    ],
)
def test_a_text_is_read_by_the_kind_of_its_parameter(method: str, name: str, text: str, value: object) -> None:
    parameter = find_method(method).parameter(name)
    assert parameter is not None
    found = read_value(parameter, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("method", "name", "text"),
    [
        ("weighted-sum", "alpha", "much"),
        ("weighted-sum", "alpha", ""),
        ("weighted-sum", "alpha", "nan"),
        ("dare", "seed", "1.5"),
        ("dare", "combine", "product"),
        ("average", "weights", "1;2"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_can(method: str, name: str, text: str) -> None:
    parameter = find_method(method).parameter(name)
    assert parameter is not None
    with pytest.raises(ModelhubError, match=name) as caught:
        read_value(parameter, text)
    assert caught.value.hint


def test_every_default_is_read_back_as_it_is_shown() -> None:
    for method in methods().values():
        for parameter in method.parameters:
            text = shown_value(parameter.default) if parameter.default != () else ""
            assert read_value(parameter, text) == parameter.default, (method.name, parameter.name)


def test_block_weights_stand_on_the_number_beside_them() -> None:
    method = find_method("weighted-sum")
    assert with_blocks(method, {"alpha": 0.3}, "IN00=1") == {"alpha": Weight(0.3, blocks={"IN00": 1.0})}
    assert with_blocks(method, {}, "IN00=1") == {"alpha": Weight(blocks={"IN00": 1.0})}
    assert with_blocks(method, {}, "0.7") == {"alpha": 0.7}
    for alpha, blocks in ((read_weight("GRAD_V"), "IN00=1"), (0.3, "0.5, IN00=1")):
        with pytest.raises(UsageError, match="alpha and the block weights both"):
            with_blocks(method, {"alpha": alpha}, blocks)
    with pytest.raises(UsageError, match="no number"):
        with_blocks(find_method("model-stock"), {}, "GRAD_V")


def test_block_weights_are_for_alpha_wherever_it_stands() -> None:
    for method in methods().values():
        numbers = [p.name for p in method.parameters if p.kind == "number"]
        found = block_parameter(method)
        assert (found.name if found else None) == ("alpha" if "alpha" in numbers else next(iter(numbers), None))


def test_plain_takes_nothing_away() -> None:
    assert plain(Weight(0.5)) == 0.5
    for weight in (Weight(), Weight(0.5, keys=(("*a*", 0.5),)), Weight(0.5, components={"te": 0.5})):
        assert plain(weight) is weight


def test_components_are_letters_of_the_models_or_models_of_their_own() -> None:
    recipe = asked_recipe("weighted-sum", ["x", "y"], vae="B", take={"te1": "y", "te2": "other", "t5": "A"})
    assert recipe.vae == "B"
    assert recipe.take == {"te1": "B", "te2": "TE2", "t5": "A"}
    assert recipe.models == {"A": ModelRef("x"), "B": ModelRef("y"), "TE2": ModelRef("other")}
    recipe = asked_recipe("weighted-sum", ["x", "y"], vae="good.vae", take={"text_encoder": "good.vae"})
    assert (recipe.vae, recipe.take, len(recipe.models)) == ("VAE", {"text_encoder": "VAE"}, 3)
    assert asked_recipe("weighted-sum", ["x", "y"], vae="merge").vae == "merge"


def test_any_number_of_models_have_letters() -> None:
    recipe = asked_recipe("average", [f"m{n}" for n in range(60)], parameters={"weights": (1.0,) * 60})
    assert len(recipe.models) == 60 and recipe.steps[0].inputs == tuple(recipe.models)


def test_a_recipe_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(BadRecipeError, match="takes 2 models"):
        asked_recipe("weighted-sum", ["x"])
    with pytest.raises(BadRecipeError, match="no component 'nose'"):
        asked_recipe("weighted-sum", ["x", "y"], only=["nose"])
