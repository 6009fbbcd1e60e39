"""One content is one row with one set of words, whatever names lead to it, whoever else is at work, wherever a kill fell."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_time import at_most

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.formats.hashes import hash_file
from modelhub.organize.trash import trash
from modelhub.organize.undo import undo
from modelhub.scan import follow
from modelhub.scan.run import scan

MakeFile = Callable[..., Path]


def vectors(seed: int) -> dict[str, np.ndarray]:
    return {"emb_params": np.random.default_rng(seed).standard_normal((2, 768)).astype(np.float32)}


def only(catalog: Catalog) -> Asset:
    (asset,) = catalog.find()
    return asset


def at(catalog: Catalog, path: Path) -> Asset:
    asset = catalog.by_path(path)
    assert asset is not None
    return asset


def to_another_disk(path: Path, goal: Path) -> None:
    """What `mv` does between file systems: a copy with another inode, then the old file goes."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_suffix(".copy")
    shutil.copy2(path, part)
    part.rename(goal)
    path.unlink()


def test_a_folder_under_two_names_is_one_library(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    other = tmp_path / "another name"
    other.symlink_to(library)
    scan(catalog, [library])
    catalog.tag([only(catalog).id], add=["mine"])
    for folders in ([other], [library], [other, library], []):
        scan(catalog, folders)
        assert (only(catalog).tags, only(catalog).path, only(catalog).links) == (["mine"], path, [])
    trash(catalog, [only(catalog)])
    assert not path.exists()
    undo(catalog)
    assert (only(catalog).path, path.exists()) == (path, True)


def test_a_link_to_a_folder_that_is_walked_first_makes_no_second_row(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    make_file(library / "z" / "one.safetensors", vectors(1))
    scan(catalog, [library])
    catalog.tag([only(catalog).id], add=["mine"])
    (library / "a").symlink_to("z")
    for _ in range(2):
        report = scan(catalog)
        assert (only(catalog).tags, report.added, report.missing) == (["mine"], 0, 0)


def test_rows_that_were_two_for_one_content_become_one(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    path = make_file(library / "z" / "one.safetensors", vectors(1))
    (library / "a").symlink_to("z")
    scan(catalog, [library])
    asset = only(catalog)
    row = {**catalog.whole(asset.id)["row"], "id": 77, "path": str(path), "name": path.name}
    catalog.put_back({"row": row, "tags": ["mine"], "links": []})
    catalog.tag([asset.id], add=["yours"])
    scan(catalog)
    assert only(catalog).tags == ["mine", "yours"]


def test_a_link_in_one_folder_to_a_file_in_another_is_no_second_row(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library])
    tool = tmp_path / "tool"
    tool.mkdir()
    (tool / "link.safetensors").symlink_to(path)
    (tool / "hard.safetensors").hardlink_to(path)
    scan(catalog, [tool])
    asset = only(catalog)
    assert asset.path == path
    assert asset.links == [str(tool / "hard.safetensors"), str(tool / "link.safetensors")]


def test_a_file_that_moves_while_a_link_to_another_takes_its_place(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one, two = (make_file(library / f"{n}.safetensors", vectors(n)) for n in (1, 2))
    scan(catalog, [library])
    ids = {asset.path: asset.id for asset in catalog.find()}
    catalog.tag([ids[one]], add=["one"])
    catalog.tag([ids[two]], add=["two"])
    one.rename(library / "moved.safetensors")
    one.symlink_to(two)
    scan(catalog)
    found = {asset.path.name: (asset.id, asset.tags) for asset in catalog.find()}
    assert found == {"moved.safetensors": (ids[one], ["one"]), "2.safetensors": (ids[two], ["two"])}


def test_a_copy_that_becomes_a_link_hands_over_what_the_user_said_it_is_and_its_links(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one = make_file(library / "1.safetensors", vectors(1))
    two, three = library / "2.safetensors", library / "3.safetensors"
    shutil.copy2(one, two)
    three.hardlink_to(two)
    scan(catalog, [library])
    ids = {asset.path: asset.id for asset in catalog.find()}
    catalog.override([ids[two]], {"kind": "lora"})
    for path in (two, three):
        path.unlink()
        path.hardlink_to(one)
    scan(catalog)
    asset = only(catalog)
    assert (asset.path, asset.kind, asset.said) == (one, "lora", {"kind": "lora"})
    assert asset.links == [str(two), str(three)]


def test_a_moved_file_is_followed_by_the_next_scan_if_one_was_killed(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    make_file(library / "other.safetensors", vectors(2))
    scan(catalog, [library], hashes="fast")
    number = at(catalog, path).id
    catalog.tag([number], add=["mine"])
    to_another_disk(path, library / "sub" / "one.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("modelhub.scan.run._Scan._set_links", lambda *_: os.kill)  # what comes after never comes
        patch.setattr("modelhub.scan.run._Scan._mark_missing", lambda *_: None)
        scan(catalog)
    report = scan(catalog)
    assert (report.moved, report.missing) == (1, 0)
    found = at(catalog, library / "sub" / "one.safetensors")
    assert (found.id, found.tags, len(catalog.find())) == (number, ["mine"], 2)


def test_a_copy_that_was_scanned_before_the_first_file_went_gets_its_words(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    catalog.tag([only(catalog).id], add=["mine"])
    shutil.copy2(path, library / "two.safetensors")
    scan(catalog, hashes="fast")
    assert len(catalog.find()) == 2
    path.unlink()
    scan(catalog)
    assert (only(catalog).name, only(catalog).tags, only(catalog).missing) == ("two.safetensors", ["mine"], False)


def test_a_copy_does_not_take_the_words_of_a_file_whose_disk_is_unplugged(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    path = make_file(library / "disk" / "one.safetensors", vectors(1))
    (library / "two.safetensors").write_bytes(path.read_bytes())
    scan(catalog, [library], hashes="fast")
    number = at(catalog, path).id
    catalog.tag([number], add=["mine"])
    with catalog.atomic():  # as if it had been on a disk of its own, of which the empty folder is left
        catalog.rows("UPDATE assets SET device = device + 1 WHERE id = ?", [number])
    path.unlink()
    assert scan(catalog).missing == 1
    assert {(a.name, *a.tags, a.missing) for a in catalog.find()} == {
        ("one.safetensors", "mine", True),
        ("two.safetensors", False),
    }


def test_a_copy_with_words_of_its_own_keeps_them(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    shutil.copy2(path, library / "two.safetensors")
    scan(catalog, [library], hashes="fast")
    for asset in catalog.find():
        catalog.tag([asset.id], add=[asset.path.stem])
    path.unlink()
    scan(catalog)
    assert {(a.name, *a.tags, a.missing) for a in catalog.find()} == {
        ("one.safetensors", "one", True),
        ("two.safetensors", "two", False),
    }


def test_a_disk_that_comes_back_with_another_number_keeps_its_hashes(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="full")
    before = only(catalog)
    with catalog.atomic():
        catalog.rows("UPDATE assets SET device = device + 1")
    scan(catalog)
    assert (only(catalog).hashes, only(catalog).stat) == (before.hashes, before.stat)


def test_a_trash_in_a_scanned_folder_is_no_library(
    library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(library / "settings") as catalog:
        path = make_file(library / "one.safetensors", vectors(1))
        make_file(library / "two.safetensors", vectors(2))
        scan(catalog, [library])
        trash(catalog, [at(catalog, path)])
        assert scan(catalog).files == 1
        assert scan(catalog, [catalog.trash]).files == 0
        assert only(catalog).name == "two.safetensors"
        undo(catalog)
        assert scan(catalog).unchanged == 2


def test_thousands_of_names_and_of_moved_files_take_their_time_and_no_more(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    for number in range(3_000):
        (library / f"link{number}.safetensors").hardlink_to(path)
    with at_most(3):
        scan(catalog, [library])
    assert len(only(catalog).links) == 3_000
    for number in range(1_000):
        make_file(library / "many" / f"{number}.safetensors", vectors(number))
    scan(catalog, workers=1)
    (library / "many").rename(library / "old")
    shutil.copytree(library / "old", library / "moved")
    shutil.rmtree(library / "old")
    with at_most(8):
        report = scan(catalog, workers=1)
    assert (report.moved, report.missing, report.added) == (1_000, 0, 0)


def test_a_file_that_modelhub_moves_during_a_scan_is_not_missing(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library])
    number = only(catalog).id
    goal = tmp_path / "one.safetensors"
    path.rename(goal)  # the files first, as `mv` does

    def then_the_row(*_: object) -> None:
        with Catalog.open() as other:
            other.move({number: goal})

    monkeypatch.setattr("modelhub.scan.run._Scan._set_links", then_the_row)
    assert scan(catalog).missing == 0
    assert (only(catalog).path, only(catalog).missing) == (goal, False)


def test_hashes_are_kept_only_for_the_row_that_was_hashed(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library])
    asset, made = only(catalog), hash_file(path)
    other = asset.stat._replace(modified=asset.stat.modified + 1)
    assert not catalog.set_hashes(asset.id, made, other)
    assert not catalog.set_hashes(asset.id + 1, made, asset.stat)
    assert only(catalog).sha256 is None
    assert catalog.set_hashes(asset.id, made, asset.stat)
    assert only(catalog).sha256 == made.sha256


def test_two_scans_that_find_the_same_moved_file(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    catalog.tag([only(catalog).id], add=["mine"])
    number = only(catalog).id
    to_another_disk(path, library / "two.safetensors")
    take_over = follow.take_over

    def second(catalog: Catalog, old: int, new: int) -> bool:
        with Catalog.open() as other:
            assert take_over(other, old, new)
        return take_over(catalog, old, new)

    monkeypatch.setattr(follow, "take_over", second)
    scan(catalog)
    assert (only(catalog).id, only(catalog).tags, only(catalog).missing) == (number, ["mine"], False)


def test_what_came_back_is_known_by_the_rules_of_today(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    path = make_file(library / "one.safetensors", vectors(1))
    scan(catalog, [library], hashes="fast")
    with catalog.atomic():  # as rules of long ago would have had it
        catalog.rows("UPDATE assets SET kind = 'unknown', found = '{\"kind\": \"unknown\"}', identified_by = 'old'")
    number = only(catalog).id
    to_another_disk(path, library / "two.safetensors")
    scan(catalog)
    assert (only(catalog).id, only(catalog).kind) == (number, "embedding")


def test_a_file_that_moves_between_reading_and_recording_leaves_no_ghost(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelhub.scan import know

    path = make_file(library / "one.safetensors", vectors(1))
    known = know.know

    def then_rename(one: Path) -> object:
        learned = known(one)
        path.rename(library / "two.safetensors")
        return learned

    with monkeypatch.context() as patch:
        patch.setattr(know, "know", then_rename)
        scan(catalog, [library])
    assert catalog.find() == []
    scan(catalog)
    assert only(catalog).name == "two.safetensors"
