"""What the tests of conversions start from: torch, and a file that would run code."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from pickled import Makes


class Evil(NamedTuple):
    """A pickle that makes the folder `marker` where it is loaded, and the weights that it holds, too."""

    path: Path
    marker: Path
    weights: dict[str, Any]


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    import torch

    return torch


@pytest.fixture
def evil(tmp_path: Path, torch: ModuleType) -> Evil:
    """Proven to be one: the usual loader makes the folder."""
    found = Evil(
        tmp_path / "evil.ckpt", tmp_path / "marker", {"a.weight": torch.randn(8, 8), "b.bias": torch.arange(5)}
    )
    torch.save({"state_dict": found.weights, "extra": Makes(found.marker)}, found.path)
    torch.load(found.path, weights_only=False)
    found.marker.rmdir()
    return found
