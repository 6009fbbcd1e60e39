"""A catalog of small files, and how providers come to know them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lookup_files import LORA, data_of, sha256_of
from world.place import World

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.fetch.net import Net, Patience
from modelhub.formats.hashes import Hashes


@pytest.fixture
def catalog(home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as opened:
        yield opened


@pytest.fixture
def net(world: World) -> Iterator[Net]:
    """A net that loses no time with waiting."""
    with Net(lambda provider: None, patience=Patience(tries=2, knocks=1, first=0.01)) as made:
        yield made


@pytest.fixture
def put(catalog: Catalog) -> Callable[..., int]:
    """`put("a")` puts an asset with the bytes of that name into the catalog; returns its id."""

    def add(name: str, identity: Identity = LORA, hashes: Hashes | None = None, **columns: Any) -> int:
        """`size` is that of the file; `sha256=None` leaves it without a hash, another name gives it that of a copy."""
        stat = FileStat(1, int(sha256_of(name)[:8], 16), columns.pop("size", len(data_of(name))), 5)
        sha256 = columns.pop("sha256", sha256_of(name))
        number = catalog.record(Path(os.sep, "m", f"{name}.safetensors"), stat, identity, "1", **columns)
        catalog.set_hashes(number, hashes or Hashes(sha256=sha256))
        return number

    return add


@pytest.fixture
def offer(world: World) -> Callable[..., None]:
    """`offer("a", 1, 2, baseModel="Pony")` has Civitai know the bytes of that name as version 2 of model 1."""

    def add(whose: str, model: int, version: int, file: dict[str, Any] | None = None, /, **words: Any) -> None:
        told = {"data": data_of(whose), "name": f"{whose}.safetensors", **(file or {})}
        world.add_version(model, version, [told], **words)

    return add
