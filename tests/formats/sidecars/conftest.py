"""A folder with one model in it, and ways to put sidecars beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "pony style.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"tensors")
    return path


@pytest.fixture
def beside(model: Path):
    """`beside(".json", {...})` writes a sidecar: tables as JSON, text and bytes as they are."""

    def write(ending: str, content: Any) -> Path:
        path = model.with_name(model.stem + ending)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write
