"""A getter: the world's servers, an empty catalog, and ComfyUI's folder of models to get into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from getting import HASTE, Getter
from world.place import World

from modelhub.catalog.store import Catalog
from modelhub.fetch.net import Net


@pytest.fixture
def getter(world: World, home: Path, tmp_path: Path) -> Iterator[Getter]:
    """Gets from `world` into `tmp_path/models`, which looks like ComfyUI's and is scanned."""
    models = tmp_path / "models"
    for name in ("checkpoints", "loras", "vae"):
        (models / name).mkdir(parents=True)
    with Catalog.open(home) as catalog, Net(patience=HASTE) as net:
        catalog.add_root(models)
        yield Getter(world, catalog, net, models)
