"""What a person says of parameters: values by kind, and block weights over a base."""

from __future__ import annotations

import pytest

from modelhub.catalog.weighing.weights import Weight, read_weight
from modelhub.errors import ModelhubError, UsageError
from modelhub.merge.recipes.asking import block_parameter, read_value, shown_value, with_blocks, without_blocks
from modelhub.merge.recipes.values import plain
from modelhub.merge.registry import find_method, methods


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


def test_values_are_read_back_to_the_bit() -> None:
    for name, value in (
        ("alpha", 0.30000000000000004),
        ("alpha", 1e-9),
        ("density", -12345678.9),
        ("seed", 4294967295),
        ("weights", (0.1234567890123, 1e22)),
        ("alpha", read_weight("GRAD_V, te1=0.1234567890123, 0.3")),
    ):
        parameter = find_method("dare").parameter(name)
        assert parameter is not None
        assert read_value(parameter, shown_value(value)) == value


def test_block_weights_are_taken_off_the_number_below_them() -> None:
    method = find_method("tensor-sum")
    for said in (
        {"alpha": 0.5, "beta": 0.1},
        {"alpha": read_weight("0.3, IN00=1"), "beta": 0.1},
        {"alpha": 0.3, "beta": read_weight("0.3, IN00=1")},
    ):
        values, weight = without_blocks(method, said)
        assert (values if weight is None else with_blocks(method, values, weight)) == said
        assert values["beta"] == said["beta"]
    assert without_blocks(method, {"alpha": read_weight("IN00=1")}) == ({}, read_weight("IN00=1"))
