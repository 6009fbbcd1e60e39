"""Rename: files get other names where they lie, with sidecars, links and words, and nothing is replaced."""

from __future__ import annotations

import pytest

from modelhub.catalog import journal
from modelhub.errors import FileError, FileExistsAlreadyError, NoSpaceError, UsageError
from modelhub.organize import move as moving
from modelhub.organize.move import move, rename
from modelhub.organize.undo import undo


def test_several_are_renamed_with_their_sidecars_and_come_back(shelf):
    one, two = shelf.add("a/x.safetensors"), shelf.add("b/y.v1.safetensors")
    for name in ("a/x.json", "a/x.preview.png", "b/y.v1.civitai.info", "b/other.json"):
        shelf.file(name)
    link = shelf.link(two, "far/y.safetensors")
    shelf.catalog.tag([one.id], ["keep"])
    before = shelf.files()
    report = rename(shelf.catalog, [(one, "sdxl_x.safetensors"), (shelf.get(two), "z.safetensors")])
    assert set(shelf.files()) == {
        "a/sdxl_x.safetensors", "a/sdxl_x.json", "a/sdxl_x.preview.png",
        "b/z.safetensors", "b/z.civitai.info", "b/other.json", "far/y.safetensors",
    }  # fmt: skip
    assert shelf.get(one).tags == ["keep"] and shelf.get(one).path.name == "sdxl_x.safetensors"
    assert link.resolve() == shelf.get(two).path and report.links == [link]
    assert journal.get(shelf.catalog, report.entry).summary == "Renamed 2 assets"
    says = undo(shelf.catalog)
    assert "Renamed 2 assets" in says and shelf.files() == before and shelf.get(one).path == one.path


def test_a_folder_is_renamed_with_what_lies_beside_it(shelf):
    shelf.file("pipe.v1/unet/model.safetensors")
    shelf.file("pipe.v1.json")
    asset = shelf.know(shelf.folder / "pipe.v1", format="diffusers")
    rename(shelf.catalog, [(asset, "pipe.v2")])
    assert set(shelf.files()) == {"pipe.v2/unet/model.safetensors", "pipe.v2.json"}
    assert shelf.get(asset).path.name == "pipe.v2"


@pytest.mark.parametrize("name", ["", "..", "a/b.safetensors", "x.ckpt", "x", ".x.safetensors", "a\nb.safetensors"])
def test_what_is_no_name_is_refused(shelf, name):
    asset = shelf.add("x.safetensors")
    with pytest.raises(UsageError):
        rename(shelf.catalog, [(asset, name)])
    assert set(shelf.files()) == {"x.safetensors"} and journal.entries(shelf.catalog) == []


def test_nothing_is_replaced_and_all_or_none_are_renamed(shelf):
    one, two = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    shelf.file("taken.safetensors")
    shelf.file("x.json")
    shelf.file("free.json")
    before = shelf.files()
    for names, says in (
        ([(one, "fine.safetensors"), (two, "taken.safetensors")], "exists already"),
        ([(one, "same.safetensors"), (two, "same.safetensors")], "same name"),
        ([(one, "y.safetensors"), (two, "x.safetensors")], "exists already"),
        ([(one, "free.safetensors")], r"free\.json exists already"),
    ):
        with pytest.raises(FileExistsAlreadyError, match=says):
            rename(shelf.catalog, names)
    assert shelf.files() == before and journal.entries(shelf.catalog) == []


def test_a_name_that_it_has_already_is_nothing_to_do(shelf):
    asset = shelf.add("x.safetensors")
    report = rename(shelf.catalog, [(asset, "x.safetensors")])
    assert (report.entry, report.files, report.already) == (None, [], [asset])


def test_a_set_of_shards_keeps_its_names(shelf):
    asset = shelf.add("m-00001-of-00002.safetensors")
    shelf.file("m-00002-of-00002.safetensors")
    with pytest.raises(UsageError, match="names belong together"):
        rename(shelf.catalog, [(asset, "n.safetensors")])


def test_a_dry_run_tells_and_does_nothing(shelf):
    asset = shelf.add("x.safetensors")
    report = rename(shelf.catalog, [(asset, "y.safetensors")], dry_run=True)
    assert report.files == [(asset.path, shelf.folder / "y.safetensors")] and set(shelf.files()) == {"x.safetensors"}


def test_a_folder_is_made_for_what_moves_there_and_not_for_nothing(shelf, monkeypatch):
    asset = shelf.add("x.safetensors")
    goal = shelf.folder / "new" / "deep"
    with pytest.raises(UsageError, match="is not a folder"):
        move(shelf.catalog, [asset], goal)
    assert move(shelf.catalog, [asset], goal, dry_run=True, make=True).files == [(asset.path, goal / "x.safetensors")]
    assert not goal.parent.exists()

    def full(*_):
        raise NoSpaceError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_check_room", full)
        with pytest.raises(FileError):
            move(shelf.catalog, [asset], goal, make=True)
    assert not goal.parent.exists() and asset.path.exists()
    move(shelf.catalog, [asset], goal, make=True)
    assert set(shelf.files()) == {"new/deep/x.safetensors"}
