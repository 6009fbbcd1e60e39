"""Views that make tensors say of what: two views of one file are equal where their bytes are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.formats.assembled import Transposed
from modelhub.formats.cast import Cast
from modelhub.formats.packed.scaled import Scaled
from modelhub.formats.packed.view import Unpacked
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

View = Callable[[TensorSource], TensorSource]
_VIEWS: dict[str, View] = {
    "as it is": lambda source: source,
    "turned": lambda source: Transposed(source, ["w"]),
    "in fp16": lambda source: Cast(source, {"w": "F16"}),
    "in bf16": lambda source: Cast(source, {"w": "BF16"}),
    "fp16, turned": lambda source: Transposed(Cast(source, {"w": "F16"}), ["w"]),
    "scaled": lambda source: Unpacked(source, {"w": Scaled(source, "w", "s")}),
    "scaled by another": lambda source: Unpacked(source, {"w": Scaled(source, "w", "t")}),
}


@pytest.fixture
def path(make_file: Any) -> Path:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    scales = {"s": np.full((3, 1), 2, np.float32), "t": np.full((3, 1), 3, np.float32)}
    found: Path = make_file("a.safetensors", {"w": weights, **scales})
    return found


@pytest.mark.parametrize("name", _VIEWS)
def test_two_views_of_one_file_have_equal_origins_where_they_have_equal_bytes(name: str, path: Path) -> None:
    with SafetensorsFile(path) as one, SafetensorsFile(path) as two:
        view = _VIEWS[name](one)
        assert {other: _VIEWS[other](two).origin("w") == view.origin("w") for other in _VIEWS} == {
            other: other == name for other in _VIEWS
        }
        assert view.origin("s") == one.origin("s")


def test_a_tensor_of_another_file_is_another(path: Path, make_file: Any) -> None:
    other = make_file("b.safetensors", {"w": np.zeros((3, 4), np.float32), "s": np.ones((3, 1), np.float32)})
    with SafetensorsFile(path) as one, SafetensorsFile(other) as two:
        for name in ("turned", "in fp16", "scaled"):
            assert _VIEWS[name](one).origin("w") != _VIEWS[name](two).origin("w")
        renamed = Renamed(one, {"w": "v", "s": "s", "t": "w"}.__getitem__)
        assert Cast(renamed, {"w": "F16"}).origin("w") != Cast(one, {"w": "F16"}).origin("w")
