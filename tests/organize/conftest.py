"""A shelf: a folder of files that are in a catalog, without a scan; and a second file system, where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog.asset import Asset
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.formats.stat import FileStat


class Shelf:
    """Files below `folder`, and the catalog that knows them."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.catalog, self.folder = catalog, folder

    def file(self, name: str, content: bytes | None = None) -> Path:
        """A file that no catalog knows, with content of its own."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100 if content is None else content)
        return path

    def add(self, name: str, content: bytes | None = None, **identity: Any) -> Asset:
        """A model in the catalog."""
        return self.know(self.file(name, content), **identity)

    def know(self, path: Path, **identity: Any) -> Asset:
        """Put what is at `path` into the catalog."""
        found = Identity(**{"kind": "lora", "format": "safetensors", **identity})
        return self.catalog.get(self.catalog.record(path, FileStat.of(path.stat()), found, "1"))

    def get(self, asset: Asset) -> Asset:
        """The asset as the catalog has it now."""
        return self.catalog.get(asset.id)

    def link(self, asset: Asset, name: str, *, hard: bool = False, relative: bool = False) -> Path:
        """Another path of a content that the catalog knows."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if hard:
            path.hardlink_to(asset.path)
        else:
            path.symlink_to(os.path.relpath(asset.path, path.parent) if relative else asset.path)
        self.catalog.set_links({str(path): asset.id})
        return path

    def files(self) -> dict[str, bytes]:
        """Every file and link below the folder and what it holds, the trash left out."""
        return tree(self.folder)


def tree(folder: Path) -> dict[str, bytes]:
    """Relative name to content of all files below a folder, hidden folders left out; links as `-> target`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if any(part.startswith(".") for part in path.relative_to(folder).parts[:-1]):
            continue
        if path.is_symlink():
            found[name] = b"-> " + os.fsencode(os.path.realpath(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


@pytest.fixture
def shelf(home: Path, tmp_path: Path) -> Iterator[Shelf]:
    """An empty shelf."""
    folder = tmp_path / "models"
    folder.mkdir()
    with Catalog.open(home) as catalog:
        yield Shelf(catalog, folder)


@pytest.fixture
def lock() -> Iterator[Callable[[Path], None]]:
    """`lock(folder)`: nothing in it can be made or removed, until the test is over; skips where that stops nobody."""
    locked: list[Path] = []

    def close(folder: Path) -> None:
        folder.chmod(0o555)
        locked.append(folder)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")

    yield close
    for folder in locked:
        folder.chmod(0o755)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)
