"""The fixture `world`: the servers, and an environment that knows no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from world.place import TOKEN_VARIABLES, World


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Civitai, Hugging Face and a storage host on loopback, with the environment leading to them (`MODELHUB_HOME` by `home`)."""
    made = World()
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    yield made
    made.end()
