"""Fixtures for downloads: a bench with a file at the storage host."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from download_bench import Bench, some_bytes
from world.place import World

from modelhub.fetch.offer import RemoteFile


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    """A file of 300,000 bytes of which SHA256 and size are known."""
    data = some_bytes(300_000)
    url = world.add_file("files/model.safetensors", data)
    hashes = {"sha256": hashlib.sha256(data).hexdigest()}
    file = RemoteFile("model.safetensors", url, size=len(data), hashes=hashes)
    return Bench(world, tmp_path / "models" / "mine.safetensors", data, file)


@pytest.fixture
def bare(bench: Bench) -> Bench:
    """The same file, of which nothing is known but its address."""
    bench.file = replace(bench.file, size=None, hashes={})
    return bench
