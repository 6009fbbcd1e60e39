"""What headers say of a module that cannot be baked, and that nothing else than what they allow is ever computed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from algorithms_helper import FORMS, LINEAR, THREE, Weight, forms, values
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.adapters import read_adapter
from modelhub.errors import CorruptFileError, IncompatibleError
from modelhub.lora.algorithms.applying import change_of, step_of, unsupported
from modelhub.lora.algorithms.fits import own
from modelhub.lora.algorithms.registry import Given, algorithms


def module(**endings):
    """The module of these endings, with __ for dots."""
    (found,) = read_adapter({"m." + name.replace("__", "."): shape for name, shape in endings.items()}).modules
    return found


LORA = {"lora_down__weight": (4, 12), "lora_up__weight": (8, 4)}


@pytest.mark.parametrize(
    ("endings", "shape", "says"),
    [
        (LORA, LINEAR, ""),
        (LORA, (8, 12, 1, 1), ""),
        (LORA, (8, 10), "makes 8 x 12, the layer is [8, 10]"),
        (LORA, THREE, "makes 8 x 12, the layer is [8, 12, 3, 3]"),
        (LORA, (8,), "makes 8 x 12, the layer is [8]"),
        (LORA, (), "changes a layer that is a single number"),
        ({**LORA, "lora_up__weight": (8, 5)}, LINEAR, "cannot be multiplied"),
        ({**LORA, "lora_up__weight": (8,)}, LINEAR, "has b [8], not a matrix"),
        ({"lora_down__weight": (0, 12), "lora_up__weight": (8, 0)}, LINEAR, ""),
        ({**LORA, "lora_mid__weight": (4, 3, 3, 3)}, THREE, "which does not fit ranks 4 and 4"),
        ({**LORA, "lora_mid__weight": (4, 4, 3, 3)}, THREE, ""),
        ({**LORA, "alpha": (3,)}, LINEAR, "has alpha [3], not 1 values"),
        ({**LORA, "alpha": (1,)}, LINEAR, ""),
        ({**LORA, "dora_scale": (8, 1)}, LINEAR, ""),
        ({**LORA, "dora_scale": (1, 12)}, LINEAR, ""),
        ({**LORA, "dora_scale": (1, 8)}, LINEAR, "has dora_scale [1, 8]"),
        ({**LORA, "lora_magnitude_vector": (12,)}, LINEAR, "has magnitudes [12]"),
        ({**LORA, "lora_up__bias": (7,)}, LINEAR, "has bias [7], not 8 values"),
        ({**LORA, "diff_b": (7,)}, LINEAR, "has diff_b [7], not 8 values"),
        ({**LORA, "reshape_weight": (2,)}, LINEAR, ""),
        ({**LORA, "reshape_weight": (2,)}, (8, 6), "changes the shape of its layer, which is [8, 6]"),
        ({"hada_w1_a": (8, 2), "hada_w1_b": (2, 12), "hada_w2_a": (8, 2), "hada_w2_b": (2, 11)}, LINEAR, "multiplies"),
        ({"lokr_w1": (2, 3), "lokr_w2": (4, 4)}, LINEAR, ""),
        ({"lokr_w1": (2, 3), "lokr_w2": (4, 3)}, LINEAR, "makes 8 x 9"),
        ({"weight": (12,), "on_input": ()}, LINEAR, ""),
        ({"weight": (9,), "on_input": ()}, LINEAR, "not 8 or 12 values"),
        ({"ia3_l": (8, 1)}, LINEAR, ""),
        ({"ia3_l": (12, 1)}, LINEAR, "has factor [12, 1], not 8 values"),
        ({"oft_blocks": (2, 4, 4)}, LINEAR, ""),
        ({"oft_blocks": (3, 4, 4)}, LINEAR, "rotates 3 x 4 outputs, the layer has 8"),
        ({"oft_blocks": (2, 4, 3)}, LINEAR, "not square ones"),
        ({"oft_blocks": (3, 4, 2, 2)}, LINEAR, ""),
        ({"oft_blocks": (9, 4, 2, 2)}, LINEAR, "has 9 stages"),
        ({"oft_blocks": (10**9, 4, 2, 2)}, LINEAR, "stages"),
        ({"oft_R__weight": (3, 6)}, LINEAR, ""),
        ({"oft_R__weight": (1, 6)}, LINEAR, ""),
        ({"oft_R__weight": (3, 7)}, LINEAR, "has skew [3, 7]"),
        ({"oft_R__weight": (5, 6)}, LINEAR, "rotates 5 x 4 inputs, the layer has 12"),
        ({"oft_blocks": (2, 4, 4), "dora_scale": (8, 1)}, LINEAR, "norms of DoRA"),
        ({"diff": (8, 12)}, (8, 12, 1, 1), ""),
        ({"set_weight": (8, 11)}, LINEAR, "has set [8, 11]"),
        ({"a1__weight": (2, 12), "a2__weight": (12, 2), "b1__weight": (2, 12), "b2__weight": (8, 2)}, LINEAR, ""),
        (
            {"a1__weight": (2, 11), "a2__weight": (11, 2), "b1__weight": (2, 12), "b2__weight": (8, 2)}, LINEAR,
            "mixes 11 x 11 inputs",
        ),
        (
            {
                "a1__weight": (2, 12), "a2__weight": (12, 2), "b1__weight": (2, 12), "b2__weight": (8, 2),
                "bm1__weight": (8,),
            },
            LINEAR, "has a part bm1, whose meaning is not known",
        ),
    ],
)  # fmt: skip
def test_what_a_module_cannot_do_is_said_by_its_header(endings, shape, says):
    found = unsupported(module(**endings), shape)
    assert found == says if not says else says in found


def test_norms_go_to_norms():
    shapes = {"m.lora_down.weight": (4, 12), "m.lora_up.weight": (8, 4), "n.w_norm": (8,), "n.b_norm": (8,)}
    norm = read_adapter(shapes).modules[1]
    assert (unsupported(norm, (8,)), unsupported(norm, (9,))) == ("", "has w [8], not 9 values")
    assert "is for a norm" in unsupported(norm, LINEAR)


def test_the_step_is_told_by_headers():
    assert step_of(module(**LORA), LINEAR) == 1
    assert step_of(module(oft_blocks=(2, 4, 4)), LINEAR) == 4
    assert step_of(module(oft_blocks=(3, 4, 2, 2)), LINEAR) == 8


def test_parts_of_other_algorithms_are_left_out():
    parts = {"lora.a": 1, "lora.b": 2, "norm.b": 3, "diff.diff": 4, "diff.diff_b": 5, "extra.alpha": 6}
    assert own("lora", parts) == {"a": 1, "b": 2, "diff_b": 5, "alpha": 6}
    assert own("norm", parts) == {"b": 3, "diff_b": 5, "alpha": 6}
    assert own("diff", parts) == {"diff": 4, "diff_b": 5, "alpha": 6}


@st.composite
def lies(draw):
    """A form with shapes of some parts changed, one dimension more or less, or a part that is not there."""
    name, shape = draw(st.sampled_from(FORMS))
    algorithm, parts = forms(shape)[name]
    parts = dict(parts)
    for part in draw(st.lists(st.sampled_from(sorted(parts)), max_size=2, unique=True)):
        old = parts.pop(part).shape
        sizes = [draw(st.sampled_from([size, size, 0, 1, 2, 3, 8, 12])) for size in old]
        change = draw(st.sampled_from(["sizes", "shorter", "longer", "gone"]))
        if change == "gone":
            continue
        sizes = (
            sizes[:-1] if change == "shorter" else [*sizes, draw(st.integers(0, 3))] if change == "longer" else sizes
        )
        parts[part] = np.full(sizes, 0.25)
    return algorithm, parts, shape


@given(lies())
def test_shapes_that_lie_are_refused_before_anything_is_computed(lie):
    algorithm, parts, shape = lie
    tensors = {name: torch.from_numpy(np.asarray(part, np.float32)) for name, part in parts.items()}
    weight = Weight(values(9, *shape))
    try:
        change = change_of(algorithm, Given(tensors, shape, {}, "m\n\x1b[31m"), weight)
    except IncompatibleError as error:
        assert "cannot be baked in: it " in error.message and error.message.isprintable()
        return
    except CorruptFileError as error:
        assert algorithm == "ia3" and "not those of the side it names" in error.message and error.message.isprintable()
        return
    found = change.rows(0, 8, weight.matrix if change.needs_weight else None)
    assert tuple(found.shape) == weight.shape and bool(torch.isfinite(found).all())


def test_checking_needs_no_torch():
    code = (
        "import sys\nfrom modelhub.lora.algorithms.applying import unsupported\n"
        "from modelhub.lora.algorithms.registry import algorithms\nalgorithms()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_every_algorithm_of_the_catalog_is_there():
    from modelhub.catalog.keymaps import adapter_table

    table = adapter_table()["suffixes"]
    assert set(algorithms()) == set(table) - {"extra"}
    for name, found in algorithms().items():
        words = {part if isinstance(part, str) else part[0] for part in table[name].values()}
        assert words - found.known <= {"bm1", "bm2"}, "parts of which nobody knows what they mean"
