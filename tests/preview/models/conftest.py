"""What small networks need to be moved like large ones."""

from __future__ import annotations

import pytest

from modelhub.preview.models import residence, weights


@pytest.fixture
def small_things_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are streamed however small they are, and no byte has to stay free."""
    monkeypatch.setattr(weights, "_SMALL", 0)
    monkeypatch.setattr(residence, "HEADROOM", 0)
