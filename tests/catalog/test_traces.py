"""Assets are found by what somebody remembers of them: any hash or a part of it, Civitai's numbers, a name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelhub.catalog.lookups import Lookup, keep
from modelhub.catalog.store import Catalog
from modelhub.catalog.traces import Trace, find
from modelhub.scan.run import scan


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    folder = tmp_path / "models"
    folder.mkdir()
    lora = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": np.ones((4, 320), np.float32)}
    lora["lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"] = np.ones((320, 4), np.float32)
    save_file(lora, folder / "style v1.5.safetensors", metadata={"sshs_model_hash": "ab" * 32})
    save_file({"x": np.ones(3, np.float32)}, folder / "other.safetensors")
    with Catalog.open(tmp_path / "home") as opened:
        scan(opened, [folder], hashes="full")
        yield opened


def test_every_hash_and_every_part_of_one(catalog: Catalog) -> None:
    (asset,) = catalog.named("style v1.5")
    known = [asset.hashes[name] for name in ("sha256", "blake3", "autov2", "autov3", "crc32")]
    for digest in filter(None, known):
        for count in (8, 10, 12, 64):
            found = find(catalog, Trace(hash=digest[:count].lower()))
            assert found is not None and (found.asset.id, found.by) == (asset.id, "hash")
    written = find(catalog, Trace(hash="ab" * 6))
    assert written is not None and written.asset.id == asset.id, "the hash that its trainer wrote"
    assert find(catalog, Trace(hash="12345")) is None
    assert find(catalog, Trace(hash="%' OR 1")) is None


@pytest.mark.parametrize(
    "name", ["style v1.5", "style v1.5.safetensors", "loras\\sub\\style v1.5.safetensors", "a/b/STYLE V1.5"]
)
def test_names_as_programs_write_them(catalog: Catalog, name: str) -> None:
    found = find(catalog, Trace(name=name), ("lora",))
    assert found is not None and (found.asset.path.stem, found.by, found.is_other) == ("style v1.5", "name", False)
    assert find(catalog, Trace(name=name), ("vae",)) is None


def test_a_name_with_another_hash_is_another_content(catalog: Catalog) -> None:
    found = find(catalog, Trace(hash="0123456789", name="style v1.5"))
    assert found is not None and found.is_other
    unsure = find(catalog, Trace(hash="01234567", name="style v1.5"))
    assert unsure is not None and not unsure.is_other, "eight digits may be of a hash that it has not"


def test_of_several_with_one_hash_the_name_decides(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shared = {"a": np.zeros(300_000, np.float32)}  # AutoV1 sees 64 KiB from the first MiB on
    for place, name in enumerate(("one", "two")):
        save_file({**shared, "b": np.full(3, place, np.float32)}, folder / f"{name}.safetensors")
    shutil.copy(folder / "two.safetensors", folder / "copy.safetensors")
    with Catalog.open(tmp_path / "home") as catalog:
        scan(catalog, [folder], hashes="full")
        (one,), (two,) = catalog.named("one"), catalog.named("two")
        autov1 = one.hashes["autov1"]
        assert autov1 and autov1 == two.hashes["autov1"] and one.sha256 != two.sha256
        for asset in (one, two):
            found = find(catalog, Trace(hash=autov1, name=asset.path.stem))
            assert found is not None and (found.asset.id, found.by, found.is_unsure) == (asset.id, "hash", False)
        unsure = find(catalog, Trace(hash=autov1, name="three"))
        assert unsure is not None and unsure.is_unsure
        copied = find(catalog, Trace(hash=two.sha256, name="three"))
        assert copied is not None and not copied.is_unsure, "a copy is no other content"
        (folder / "below").mkdir()
        shutil.copy(folder / "one.safetensors", folder / "below" / "two.safetensors")
        scan(catalog, [folder], hashes="full")
        both = find(catalog, Trace(hash=autov1, name="two"))
        assert both is not None and both.is_unsure, "two contents have both"
        (folder / "below" / "two.safetensors").unlink()
        (folder / "two.safetensors").rename(tmp_path / "elsewhere")
        scan(catalog, [folder], hashes="full")
        here = find(catalog, Trace(hash=autov1, name="two"))
        assert here is not None and (here.asset.path.name, here.asset.missing) == ("copy.safetensors", False)


def test_numbers_of_civitai(catalog: Catalog) -> None:
    (asset,) = catalog.named("other")
    assert asset.sha256 is not None
    keep(catalog, [Lookup(asset.sha256, "civitai", facts={"name": "Other"}, model="7", version="99")])
    found = find(catalog, Trace(version=99, name="style v1.5"))
    assert found is not None and (found.asset.id, found.by) == (asset.id, "civitai")
    assert find(catalog, Trace(version=98)) is None
    (lora,) = catalog.named("style v1.5")
    assert lora.sha256 is not None
    keep(catalog, [Lookup(lora.sha256, "civitai", facts={"name": "Other"}, model="7", version="99")])
    found = find(catalog, Trace(version=99), ("lora",))
    assert found is not None and (found.asset.id, found.is_unsure) == (lora.id, False), "a version has several files"


def test_a_file_that_is_gone_is_still_known(catalog: Catalog, tmp_path: Path) -> None:
    (asset,) = catalog.named("other")
    assert asset.sha256 is not None
    copy = tmp_path / "models" / "copy.safetensors"
    shutil.copy(asset.path, copy)
    asset.path.unlink()
    scan(catalog, [tmp_path / "models"], hashes="full")
    found = find(catalog, Trace(hash=asset.sha256[:10]))
    assert found is not None and found.asset.path == copy
    copy.unlink()
    scan(catalog, [tmp_path / "models"], hashes="full")
    gone = find(catalog, Trace(hash=asset.sha256[:10]))
    assert gone is not None and gone.asset.missing


@pytest.mark.parametrize("name", ["", "..", "\udcff", "x" * 10_000, "%", "a/b/", "\0"])
def test_names_that_are_none(catalog: Catalog, name: str) -> None:
    assert find(catalog, Trace(name=name)) is None
