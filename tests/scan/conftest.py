"""What the tests of scans start from: a catalog and an empty folder for models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog.store import Catalog


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    with Catalog.open() as opened:
        yield opened


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    return folder
