"""Merges are tested with the small pipelines that conversions are tested with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from merge_bench import Bench, checkpoint, tried_methods

from modelhub.catalog.store import Catalog

sys.path.append(str(Path(__file__).parents[1] / "convert"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A folder with the SD1 checkpoints a, b and c."""
    with Catalog.open() as catalog:
        made = Bench(tmp_path, catalog)
        for seed, name in enumerate(("a", "b", "c")):
            made.put(name, checkpoint(seed))
        yield made
        made.opener.close()


@pytest.fixture
def tried() -> Iterator[None]:
    """Methods that only tests have: try-mean, try-tasks, try-rows, try-tensor, try-measured, try-random, try-survey."""
    with tried_methods():
        yield
