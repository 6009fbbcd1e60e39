"""Files that move to other disks, have several names, or become links: what the user said goes along, in one row."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.formats import hashes as hashing
from modelhub.formats.hashes import hash_file
from modelhub.scan.run import scan

MakeFile = Callable[..., Path]


def vectors(seed: int) -> dict[str, np.ndarray]:
    return {"emb_params": np.random.default_rng(seed).standard_normal((2, 768)).astype(np.float32)}


def only(catalog: Catalog, query: str = "") -> Asset:
    (asset,) = catalog.find(query)
    return asset


def to_another_disk(path: Path, goal: Path) -> None:
    """What `mv` does between file systems: a copy with another inode, then the old file goes."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, goal.with_suffix(".copy"))
    goal.with_suffix(".copy").rename(goal)
    path.unlink()


@pytest.mark.parametrize("hashes", ["none", "fast"])
def test_a_file_moved_to_another_disk_keeps_id_and_words(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path, hashes: str
) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes=hashes)
    before = only(catalog)
    catalog.tag([before.id], add=["mine"])
    catalog.rate(before.id, 4)
    catalog.override([before.id], {"architecture": "sd2"})
    goal = tmp_path / "disk2" / "one.safetensors"
    to_another_disk(one, goal)
    report = scan(catalog, [library, goal.parent])
    assert (report.moved, report.added, report.missing) == (1, 0, 0)
    after = only(catalog)
    assert (after.id, after.path, after.tags, after.rating, after.missing) == (before.id, goal, ["mine"], 4, False)
    assert (after.architecture, after.sha256) == ("sd2", before.sha256)
    assert scan(catalog).unchanged == 1


def test_a_moved_and_renamed_file_is_recognised_by_its_hash_alone(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    catalog.note(only(catalog).id, "a fine one")
    to_another_disk(one, library / "sub" / "other name.safetensors")
    os.utime(library / "sub" / "other name.safetensors", (1, 1))
    report = scan(catalog)
    assert (report.moved, report.missing) == (1, 0)
    assert (only(catalog).notes, only(catalog).name) == ("a fine one", "other name.safetensors")


def test_a_file_of_equal_size_and_layout_with_other_values_is_not_taken_for_it(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    catalog.note(only(catalog).id, "of one")
    one.unlink()
    make_file(library / "sub" / "one.safetensors", vectors(2))
    report = scan(catalog)
    assert (report.moved, report.added, report.missing) == (0, 1, 1)
    assert only(catalog, "missing:yes").notes == "of one" and only(catalog, "missing:no").notes == ""


def test_a_missing_file_is_recognised_when_it_comes_back_much_later(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    catalog.tag([only(catalog).id], add=["mine"])
    to_another_disk(one, tmp_path / "unplugged" / "one.safetensors")
    assert scan(catalog).missing == 1
    assert only(catalog).missing
    assert scan(catalog, [tmp_path / "unplugged"]).moved == 1
    assert (only(catalog).tags, only(catalog).missing) == (["mine"], False)


def test_hard_and_symbolic_links_are_one_asset_that_is_hashed_once(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_file(library / "m" / "one.safetensors", vectors(1))
    (library / "a-link.safetensors").symlink_to(one)
    (library / "z").mkdir()
    os.link(one, library / "z" / "hard.safetensors")
    report = scan(catalog, [library], hashes="fast")
    assert (report.files, report.added, report.links) == (1, 1, 2)
    asset = only(catalog)
    assert not asset.path.is_symlink(), "a real file stands for the content"
    others = {library / "a-link.safetensors", one, library / "z" / "hard.safetensors"} - {asset.path}
    assert {Path(path) for path in asset.links} == others
    assert asset.sha256 == hash_file(one).sha256
    assert {catalog.by_path(path).id for path in others} == {asset.id}
    monkeypatch.setattr(hashing, "hash_file", lambda *_: pytest.fail("hashed again"))
    again = scan(catalog, hashes="fast")
    assert (again.unchanged, again.links, catalog.count()) == (1, 2, 1)


def test_when_the_path_of_an_asset_goes_a_link_takes_its_place(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    os.link(one, library / "two.safetensors")
    scan(catalog, [library])
    asset = only(catalog)
    catalog.tag([asset.id], add=["mine"])
    asset.path.unlink()
    report = scan(catalog)
    left = only(catalog)
    assert (report.moved, report.missing) == (1, 0)
    assert (left.id, left.tags, left.links) == (asset.id, ["mine"], []) and left.path.exists()


def test_a_copy_that_becomes_a_link_hands_its_words_over(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    shutil.copy(one, library / "two.safetensors")
    scan(catalog, [library])
    for asset in catalog.find():
        catalog.tag([asset.id], add=[asset.path.stem])
    (library / "two.safetensors").unlink()
    os.link(one, library / "two.safetensors")
    scan(catalog)
    assert only(catalog).tags == ["one", "two"]
    assert [Path(path).name for path in only(catalog).links] == ["two.safetensors"]


def test_a_link_that_is_gone_is_forgotten(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    one = make_file(library / "one.safetensors", vectors(1))
    os.link(one, library / "two.safetensors")
    scan(catalog, [library])
    link = Path(only(catalog).links[0])
    link.unlink()
    assert scan(catalog).missing == 0
    assert (only(catalog).links, catalog.by_path(link)) == ([], None)
