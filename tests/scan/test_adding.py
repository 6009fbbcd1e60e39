"""What was just written is in the catalog at once, with its hashes if they were made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from modelhub.catalog.store import Catalog
from modelhub.errors import FileError
from modelhub.formats.views import Held
from modelhub.formats.writer import write
from modelhub.scan.adding import add_written


@pytest.mark.parametrize("hashes", [True, False])
def test_a_file_is_known_when_it_is_written(tmp_path: Path, hashes: bool):
    written = write(Held({"w": ("F32", (2,), bytes(8))}), tmp_path / "a.safetensors", hashes=hashes)
    with Catalog.open(tmp_path / "home") as catalog:
        asset = catalog.get(add_written(catalog, written))
    assert Path(asset.path) == tmp_path / "a.safetensors"
    data = written.path.read_bytes()
    wanted = (hashlib.sha256(data).hexdigest(), hashlib.sha256(data[-8:]).hexdigest()[:12]) if hashes else (None, None)
    assert (asset.hashes.get("sha256"), asset.hashes.get("autov3")) == wanted


def test_a_catalog_that_cannot_be_written_does_not_hide_that_the_file_is_there(tmp_path: Path) -> None:
    written = write(Held({"w": ("F32", (2,), bytes(8))}), tmp_path / "a.safetensors")
    with Catalog.open(tmp_path / "home") as catalog:
        catalog.rows("PRAGMA query_only = ON")
        with pytest.raises(FileError, match="a.safetensors is written, but not in the catalog: .*cannot be written"):
            add_written(catalog, written)
    assert written.path.exists()
