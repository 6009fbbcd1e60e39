"""The fixture `world`: the servers, and an environment that knows no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from world.place import World


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Civitai, Hugging Face and a storage host on loopback, with the environment leading to them (`home` has taken tokens out)."""
    made = World()
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    yield made
    made.end()
