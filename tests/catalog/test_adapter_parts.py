"""Parts of adapters that few files have: which module they make, and the sizes of its layer."""

from __future__ import annotations

import pytest

from modelhub.catalog.adapters import read_adapter


def module(**endings):
    """The one module of these endings, with __ for dots."""
    (found,) = read_adapter({"m." + name.replace("__", "."): shape for name, shape in endings.items()}).modules
    return found


@pytest.mark.parametrize(
    ("endings", "sizes"),
    [
        ({"lora_embedding_A": (2, 20), "lora_embedding_B": (6, 2)}, ("lora", 20, 6, 2)),
        ({"lora_embedding_A__default": (2, 20), "lora_embedding_B__default": (6, 2)}, ("lora", 20, 6, 2)),
        ({"ia3_l": (8, 1)}, ("ia3", 8, None, None)),
        ({"ia3_l__default": (1, 12)}, ("ia3", None, 12, None)),
        ({"boft_R": (1, 3, 4, 4), "boft_s": (8, 1)}, ("oft", 8, 12, 4)),
        ({"oft_diag": (2, 4, 4)}, ("oft", 8, None, 4)),
        ({"set_weight": (8, 12)}, ("diff", 8, 12, None)),
        ({"a1__weight": (2, 12), "a2__weight": (12, 2), "b1__weight": (2, 12), "b2__weight": (8, 2)}, ("glora", 8, 12, 2)),
        ({"a1__weight": (12, 2), "a2__weight": (2, 12), "b1__weight": (8, 2), "b2__weight": (2, 12)}, ("glora", 8, 12, 2)),
        ({"a1__weight": (4, 8), "a2__weight": (8, 4), "b1__weight": (32, 8), "b2__weight": (8, 4)}, ("glora", 32, 4, 8)),
        ({"a1__weight": (8, 4), "a2__weight": (4, 8), "b1__weight": (8, 4), "b2__weight": (32, 8)}, ("glora", 32, 4, 8)),
        ({"a1__weight": (4, 4), "a2__weight": (4, 4), "b1__weight": (4, 4), "b2__weight": (8, 4)}, ("glora", 8, 4, 4)),
    ],
)  # fmt: skip
def test_sizes_of_rare_forms(endings, sizes):
    found = module(**endings)
    assert (found.algorithm, found.size.out_size, found.size.in_size, found.size.rank) == sizes
    assert not found.incomplete


def test_factors_of_a_convolution_may_be_those_of_either_side():
    assert module(ia3_l=(1, 8, 1, 1)).size.either == 8


@pytest.mark.parametrize(
    "endings", [{"on_input": ()}, {"boft_R": (1, 3, 4, 4)}, {"lora_embedding_A": (2, 20)}, {"lora_embedding_B": (6, 2)}]
)
def test_half_of_a_rare_form_is_incomplete(endings):
    assert module(**endings).incomplete


@pytest.mark.parametrize(
    ("endings", "side"),
    [
        ({"dora_scale": (8, 1)}, "out"), ({"dora_scale": (8, 1, 1, 1)}, "out"), ({"dora_scale": (1, 12)}, "in"),
        ({"dora_scale": (3, 4)}, "unknown"), ({"lora_magnitude_vector": (8,)}, "out"),
        ({"lora_magnitude_vector__default__weight": (8,)}, "out"), ({"lora_magnitude_vector": (1, 8, 1, 1)}, "out"),
        ({"alpha": ()}, None),
    ],
)  # fmt: skip
def test_the_side_of_norms(endings, side):
    assert module(lora_A__weight=(2, 12), lora_B__weight=(8, 2), **endings).kind.dora == side


def test_norms_of_an_embedding_are_those_of_its_columns():
    found = module(lora_embedding_A=(2, 20), lora_embedding_B=(6, 2), lora_magnitude_vector=(6,))
    assert found.kind.dora == "in"


def test_biases_of_either_factor_are_told_apart():
    parts = module(
        lora_down__weight=(2, 12), lora_up__weight=(8, 2), lora_down__bias=(2,), lora_up__bias=(8,),
    ).parts  # fmt: skip
    assert (parts["extra.a_bias"], parts["extra.bias"]) == ((2,), (8,))
