"""A server in a process of its own, on the tiny models that are shipped, one of which has a picture."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import ORANGE, Server

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan


@pytest.fixture
def models(tmp_path: Path, home: Path) -> Path:
    """A folder with the tiny models, scanned."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in data_path("demo").glob("tiny-shapes-*.safetensors"):
        shutil.copy(path, folder)
    Image.fromarray(np.full((64, 64, 3), ORANGE, np.uint8)).save(min(folder.iterdir()).with_suffix(".preview.png"))
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
    return folder


@pytest.fixture
def serve(models: Path) -> Iterator[Callable[..., Server]]:
    """`serve(*words)` starts a server, which ends with the test."""
    running: list[Server] = []

    def start(*words: str, **more: Any) -> Server:
        running.append(Server(*words, **more))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.stop(signal.SIGTERM)
