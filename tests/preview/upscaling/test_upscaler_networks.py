"""The networks of upscalers against the same formulas written out, in every naming, and what makes no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from upscaler_names import Rrdb, Weights, compact_enlarge, compact_weights

from modelhub.errors import IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.preview.upscaling.compact import Compact
from modelhub.preview.upscaling.loading import load_upscaler
from modelhub.preview.upscaling.rrdb import RRDBNet

MakeFile = Callable[..., Path]
NAMES = {"esrgan-old": Rrdb.old_names, "esrgan-bsrgan": Rrdb.bsrgan_names, "esrgan-new": Rrdb.new_names}
FORMS = {
    "x4": Rrdb(),
    "x2": Rrdb(doublings=1),
    "x1": Rrdb(doublings=0, blocks=1),
    "x8": Rrdb(doublings=3, blocks=1),
    "x2 folded": Rrdb(fold=2),
    "x1 folded": Rrdb(fold=4, width=12, growth=6),
    "grey": Rrdb(colours=1, doublings=1),
    "one block": Rrdb(blocks=1, width=5, growth=3),
}


def _built(network: torch.nn.Module, weights: Weights) -> torch.nn.Module:
    assert dict(network.named_parameters()).keys() == weights.keys(), (
        "the names of the file, all of them, and no others"
    )
    network.load_state_dict(weights, assign=True)
    return network.eval()


@pytest.mark.parametrize("naming", NAMES)
@pytest.mark.parametrize("form", FORMS)
@torch.inference_mode()
def test_rrdb(form: str, naming: str) -> None:
    oracle = FORMS[form]
    weights = oracle.weights()
    named = NAMES[naming](oracle, weights)
    network = _built(RRDBNet({name: tuple(tensor.shape) for name, tensor in named.items()}), named)
    assert (network.scale, network.channels) == (2**oracle.doublings // oracle.fold, oracle.colours)
    for height, width in ((16, 12), (9, 7)):
        x = torch.rand(2, oracle.colours, height, width)
        expected = oracle.enlarge(weights, x)
        assert expected.shape[-2:] == (height * network.scale, width * network.scale)
        assert expected.std() > 0.05
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_esrgan_plus() -> None:
    oracle = Rrdb(plus=True)
    weights = oracle.weights()
    named = oracle.old_names(weights)
    network = _built(RRDBNet({name: tuple(tensor.shape) for name, tensor in named.items()}), named)
    x = torch.rand(1, 3, 8, 8)
    expected = oracle.enlarge(weights, x)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    without = Rrdb().enlarge(weights, x)
    assert (expected - without).abs().max() > 1e-3, "the shortcuts count"


@pytest.mark.parametrize(
    ("colours", "width", "layers", "scale"), [(3, 8, 3, 4), (3, 6, 0, 2), (3, 8, 2, 1), (1, 4, 2, 3)]
)
@torch.inference_mode()
def test_compact(colours: int, width: int, layers: int, scale: int) -> None:
    weights = compact_weights(colours, width, layers, scale)
    network = _built(Compact({name: tuple(tensor.shape) for name, tensor in weights.items()}), weights)
    assert (network.scale, network.channels) == (scale, colours)
    x = torch.rand(2, colours, 9, 6)
    torch.testing.assert_close(network(x), compact_enlarge(weights, x, scale), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_picture_smaller_than_a_square() -> None:
    oracle = Rrdb(fold=4)
    named = oracle.new_names(oracle.weights())
    network = _built(RRDBNet({name: tuple(tensor.shape) for name, tensor in named.items()}), named)
    assert network(torch.rand(1, 3, 1, 2)).shape == (1, 3, 1, 2)


@pytest.mark.parametrize("wrapper", ["", "params", "params_ema", "module."])
@pytest.mark.parametrize("naming", NAMES)
@torch.inference_mode()
def test_every_naming_is_found_in_files(naming: str, wrapper: str, tmp_path: Path, make_file: MakeFile) -> None:
    oracle = Rrdb(blocks=1)
    weights = oracle.weights()
    named = NAMES[naming](oracle, weights)
    x = torch.rand(1, 3, 8, 8)
    expected = oracle.enlarge(weights, x)
    pickled = tmp_path / "x.pth"
    torch.save(
        {f"module.{k}": v for k, v in named.items()}
        if wrapper == "module."
        else {wrapper: named}
        if wrapper
        else named,
        pickled,
    )
    prefix = wrapper if wrapper in ("", "module.") else f"{wrapper}."
    for path in (pickled, make_file("x.safetensors", {prefix + name: tensor for name, tensor in named.items()})):
        with open_source(path) as source:
            upscaler = load_upscaler(source, "cpu")
        assert (upscaler.architecture, upscaler.scale) == (naming, 4)
        torch.testing.assert_close(upscaler.network(x), expected, rtol=1e-4, atol=1e-5)


def test_weights_of_the_average_are_preferred(tmp_path: Path) -> None:
    oracle = Rrdb(blocks=1)
    one, other = oracle.new_names(oracle.weights(1)), oracle.new_names(oracle.weights(2))
    torch.save({"params": one, "params_ema": other}, tmp_path / "x.pth")
    with open_source(tmp_path / "x.pth") as source:
        network = load_upscaler(source, "cpu").network
    assert torch.equal(network.get_parameter("conv_first.weight"), other["conv_first.weight"])


def _shapes(oracle: Rrdb, naming: str = "esrgan-new") -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in NAMES[naming](oracle, oracle.weights()).items()}


@pytest.mark.parametrize(
    ("naming", "changes", "said"),
    [
        ("esrgan-new", {"body.1.rdb2.conv3.weight": None}, "body.1.rdb2.conv3.weight is missing"),
        ("esrgan-new", {"conv_last.bias": (4,)}, "conv_last.bias has the shape"),
        ("esrgan-new", {"body.0.rdb1.conv2.weight": (4, 11, 3, 3)}, "body.0.rdb1.conv2.weight has the shape"),
        ("esrgan-new", {"conv_first.weight": (8, 7, 3, 3)}, "takes 7 channels"),
        ("esrgan-new", {"conv_first.weight": (8, 48, 3, 3), "conv_up2.weight": None, "conv_up2.bias": None}, "folds 4"),
        ("esrgan-new", {"conv_hr.weight": None}, "conv_hr.weight is missing"),
        ("esrgan-old", {"model.10.weight": None, "model.10.bias": None}, "ends with 8"),
        ("esrgan-old", {f"model.{'9' * 5000}.weight": (3, 8, 3, 3)}, "ends with 9999"),
        ("esrgan-old", {"model.6.weight": (8, 8, 1, 1)}, "model.6.weight has the shape"),
        ("esrgan-bsrgan", {"trunk_conv.weight": None, "trunk_conv.bias": None}, "conv_body.weight is missing"),
    ],
)
def test_what_is_damaged_is_named(naming: str, changes: dict[str, tuple[int, ...] | None], said: str) -> None:
    shapes: dict[str, tuple[int, ...] | None] = {**_shapes(Rrdb(), naming), **changes}
    with pytest.raises(IncompatibleError) as caught:
        RRDBNet({name: shape for name, shape in shapes.items() if shape is not None})
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"body.3.weight": None}, "body.3 is missing"),
        ({"body.8.weight": (47, 8, 3, 3), "body.8.bias": (47,)}, "ends with 47 channels"),
        ({"body.1.weight": (9,)}, "body.1.weight has the shape"),
        ({f"body.{at}.{leaf}": None for at in range(1, 9) for leaf in ("weight", "bias")}, "body.1.weight is missing"),
    ],
)
def test_a_damaged_compact_is_named(changes: dict[str, tuple[int, ...] | None], said: str) -> None:
    shapes: dict[str, tuple[int, ...] | None] = {k: tuple(v.shape) for k, v in compact_weights(3, 8, 3, 4).items()}
    with pytest.raises(IncompatibleError) as caught:
        Compact({name: shape for name, shape in {**shapes, **changes}.items() if shape is not None})
    assert said in caught.value.message
