"""Oracles of the preview tests: diffusers and transformers, importable whatever torchvision is installed; one seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

# A torchvision that does not match torch breaks the import of both; without one they do not miss it.
sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def inference() -> Iterator[None]:
    """Nothing is kept for gradients."""
    with torch.inference_mode():
        yield
