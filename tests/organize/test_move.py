"""Move: to another folder, name or disk; rows, words and links follow, and nothing is ever replaced or half there."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from modelhub.catalog import journal
from modelhub.catalog.identity import Identity
from modelhub.errors import (
    CancelledError,
    CorruptFileError,
    FileError,
    FileExistsAlreadyError,
    ForbiddenError,
    NoSpaceError,
    UsageError,
    VanishedError,
)
from modelhub.formats.hashes import Hashes
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.jobs import Job
from modelhub.organize import copying
from modelhub.organize.move import move
from modelhub.organize.trash import trash
from modelhub.organize.undo import undo

REPOSITORY = Path(__file__).parents[2]


def into(shelf, name):
    folder = shelf.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_model_moves_with_its_sidecars_and_its_words(shelf):
    model = shelf.add("a/x.safetensors")
    for name in ("a/x.json", "a/x.preview.png", "a/y.json"):
        shelf.file(name)
    shelf.catalog.tag([model.id], ["keep"])
    shelf.catalog.set_hashes(model.id, Hashes(sha256="ab" * 32))
    before = shelf.files()
    report = move(shelf.catalog, [shelf.get(model)], into(shelf, "b"))
    assert set(shelf.files()) == {"b/x.safetensors", "b/x.json", "b/x.preview.png", "a/y.json"}
    now = shelf.get(model)
    assert now.path == shelf.folder / "b/x.safetensors" and now.tags == ["keep"] and now.sha256 == "ab" * 32
    assert now.stat == model.stat == FileStat.of(now.path.stat())
    assert [(asset.id, new) for asset, new in report.assets] == [(model.id, now.path)]
    undo(shelf.catalog)
    assert shelf.files() == before and shelf.get(model).path == model.path


def test_a_new_name_is_also_that_of_the_sidecars(shelf):
    model = shelf.add("a/x.safetensors")
    for name in ("a/x.json", "a/x.example.0.png"):
        shelf.file(name)
    before = shelf.files()
    move(shelf.catalog, [model], into(shelf, "b") / "new.name.safetensors")
    assert set(shelf.files()) == {"b/new.name.safetensors", "b/new.name.json", "b/new.name.example.0.png"}
    assert shelf.catalog.named("new.name")[0].id == model.id
    undo(shelf.catalog)
    assert shelf.files() == before


def test_goals_that_are_refused(shelf):
    model, other = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    folder = into(shelf, "b")
    before = shelf.files()
    for assets, goal, what in (
        ([model], shelf.folder / "none", "is not a folder"),
        ([model], shelf.folder / "none" / "x.safetensors", "is not a folder"),
        ([model], folder / "x.ckpt", "ending"),
        ([model, other], folder / "z.safetensors", "Several"),
        ([model], Path(os.fsdecode(b"/tmp/\xff")), "UTF-8"),
    ):
        with pytest.raises((UsageError, FileError), match=what):
            move(shelf.catalog, assets, goal)
    with pytest.raises(FileError, match="longer than the file system allows"):
        move(shelf.catalog, [model], folder / f"{'x' * 300}.safetensors")
    assert shelf.files() == before and journal.entries(shelf.catalog) == []


@pytest.mark.parametrize("content", [b"other", None])
def test_a_name_that_is_taken_is_never_replaced(shelf, content):
    model = shelf.add("x.safetensors")
    into(shelf, "b")
    shelf.file("b/x.safetensors", model.path.read_bytes() if content is None else content)
    before = shelf.files()
    with pytest.raises(FileExistsAlreadyError, match="another file" if content else "the same content"):
        move(shelf.catalog, [model], shelf.folder / "b")
    (shelf.folder / "b/x.safetensors").unlink()
    (shelf.folder / "b/x.json").symlink_to("nowhere")
    shelf.file("x.json")
    with pytest.raises(FileExistsAlreadyError, match=r"x\.json"):
        move(shelf.catalog, [model], shelf.folder / "b")
    assert model.path.exists() and shelf.files()["x.safetensors"] == before["x.safetensors"]


def test_two_of_one_name_cannot_meet(shelf):
    one, two = shelf.add("a/x.safetensors"), shelf.add("b/x.safetensors")
    with pytest.raises(FileExistsAlreadyError, match="same name"):
        move(shelf.catalog, [one, two], into(shelf, "c"))
    assert one.path.exists() and two.path.exists()


def test_what_is_there_already_stays(shelf):
    model, other = shelf.add("a/x.safetensors"), shelf.add("y.safetensors")
    report = move(shelf.catalog, [model, other], shelf.folder / "a")
    assert report.already == [model] and [old for old, _ in report.files] == [other.path]
    report = move(shelf.catalog, [model], shelf.folder / "a")
    assert (report.entry, report.files) == (None, [])


def test_a_dry_run_changes_nothing(shelf):
    model = shelf.add("x.safetensors")
    database, before = shelf.catalog.folder / "catalog.db", shelf.files()
    content, folder = database.read_bytes(), into(shelf, "b")
    report = move(shelf.catalog, [model], folder, dry_run=True)
    assert report.files == [(model.path, folder / "x.safetensors")] and report.entry is None
    assert (shelf.files(), database.read_bytes()) == (before, content)


def test_missing_and_trashed_assets(shelf):
    gone, lying = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    gone.path.unlink()
    trash(shelf.catalog, [lying])
    for asset in (gone, lying, shelf.get(lying)):
        with pytest.raises((VanishedError, UsageError)):
            move(shelf.catalog, [asset], into(shelf, "b"))
    assert shelf.files() == {}


def test_links_follow_and_come_back(shelf):
    model = shelf.add("a/x.safetensors")
    links = [
        shelf.link(model, "far/absolute.safetensors"),
        shelf.link(model, "far/relative.safetensors", relative=True),
        shelf.link(model, "hard.safetensors", hard=True),
    ]
    before = shelf.files()
    report = move(shelf.catalog, [shelf.get(model)], into(shelf, "deep/er"))
    assert set(report.links) == set(links[:2])
    assert all(link.samefile(shelf.folder / "deep/er/x.safetensors") for link in links)
    assert links[0].readlink().is_absolute() and not links[1].readlink().is_absolute()
    assert shelf.get(model).links == sorted(map(str, links))
    undo(shelf.catalog)
    assert shelf.files() == before and str(links[1].readlink()) == "../a/x.safetensors"


def test_a_relative_link_still_leads_where_it_led(shelf):
    blob = shelf.file("blobs/abc")
    link = shelf.folder / "a" / "x.safetensors"
    link.parent.mkdir()
    link.symlink_to("../blobs/abc")
    model = shelf.know(link)
    move(shelf.catalog, [model], into(shelf, "b/c"))
    assert (shelf.folder / "b/c/x.safetensors").resolve() == blob and not link.is_symlink()
    undo(shelf.catalog)
    assert str(link.readlink()) == "../blobs/abc"


def test_folders_move_as_a_whole_but_not_out_of_a_download_cache(shelf):
    for name in ("model_index.json", "unet/x.safetensors"):
        shelf.file(f"pipe/{name}")
    (shelf.folder / "pipe" / "inside").symlink_to("unet/x.safetensors")
    model = shelf.know(shelf.folder / "pipe", format="diffusers")
    before = shelf.files()
    move(shelf.catalog, [model], into(shelf, "b"))
    assert set(shelf.files()) == {"b/pipe/model_index.json", "b/pipe/unet/x.safetensors", "b/pipe/inside"}
    undo(shelf.catalog)
    assert shelf.files() == before
    shelf.file("blobs/abc")
    (shelf.folder / "pipe" / "out").symlink_to("../blobs/abc")
    with pytest.raises(FileError, match="links to files outside"):
        move(shelf.catalog, [model], shelf.folder / "b")


def test_shards_keep_their_names(shelf):
    first, second = shelf.add("m-00001-of-00002.safetensors"), shelf.file("m-00002-of-00002.safetensors")
    with pytest.raises(UsageError, match="a set of 2 files"):
        move(shelf.catalog, [first], shelf.folder / "one.safetensors")
    move(shelf.catalog, [first], into(shelf, "b"))
    assert set(shelf.files()) == {f"b/{first.name}", f"b/{second.name}"}


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("kind", ["file", "shards", "folder"])
def test_what_is_moved_and_brought_back_needs_no_new_scan(shelf, request, kind, far):
    goal = request.getfixturevalue("elsewhere") if far else into(shelf, "b")
    name = {"file": "x.safetensors", "shards": "m-00001-of-00002.safetensors", "folder": "pipe"}[kind]
    for one in {"shards": [name, "m-00002-of-00002.safetensors"], "folder": ["pipe/model_index.json"]}.get(
        kind, [name]
    ):
        shelf.file(one)
    path = shelf.folder / name
    found = Identity(kind="checkpoint", format="safetensors")
    model = shelf.catalog.get(shelf.catalog.record(path, stat_of(path), found, "1"))
    shelf.catalog.set_hashes(model.id, Hashes(blake3="ab" * 32))
    move(shelf.catalog, [shelf.get(model)], goal)
    assert shelf.get(model).path == goal / name and shelf.get(model).stat == stat_of(goal / name)
    undo(shelf.catalog)
    assert shelf.get(model).stat == stat_of(path) and shelf.get(model).hashes["blake3"] == "ab" * 32


@pytest.mark.parametrize("far", [False, True])
def test_a_file_that_was_written_to_since_the_scan_does_not_pass_as_scanned(shelf, request, far):
    goal = request.getfixturevalue("elsewhere") if far else into(shelf, "b")
    model = shelf.add("x.safetensors")
    shelf.catalog.set_hashes(model.id, Hashes(blake3="ab" * 32))
    model.path.write_bytes(b"other content")
    move(shelf.catalog, [shelf.get(model)], goal)
    now = shelf.get(model)
    assert now.path == goal / "x.safetensors" and now.stat != stat_of(now.path), "the next scan reads it again"
    undo(shelf.catalog)
    assert shelf.get(model).stat != stat_of(model.path)


# -- to another file system --------------------------------------------------------------------------------------------


def far_model(shelf, size=3_000_000):
    model = shelf.add("x.safetensors", os.urandom(size))
    os.utime(model.path, ns=(1, 1_700_000_000_123_456_789))
    model.path.chmod(0o640)
    model = shelf.know(model.path)
    shelf.file("x.json")
    return model


@pytest.mark.parametrize("hashed", [True, False])
def test_a_copy_is_the_same_and_the_source_goes(shelf, elsewhere, hashed):
    model, before = far_model(shelf), shelf.files()
    sha256 = hashlib.sha256(before["x.safetensors"]).hexdigest()
    if hashed:
        shelf.catalog.set_hashes(model.id, Hashes(sha256=sha256))
    shelf.catalog.tag([model.id], ["keep"])
    link = shelf.link(model, "link.safetensors")
    move(shelf.catalog, [shelf.get(model)], elsewhere)
    assert set(shelf.files()) == {"link.safetensors"} and link.resolve() == elsewhere / "x.safetensors"
    assert {path.name for path in elsewhere.iterdir()} == {"x.safetensors", "x.json"}
    now = shelf.get(model)
    found = now.path.stat()
    assert now.path.read_bytes() == before["x.safetensors"] and now.sha256 == (sha256 if hashed else None)
    assert (now.stat, now.tags) == (FileStat.of(found), ["keep"])
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (1_700_000_000_123_456_789, 0o640)
    undo(shelf.catalog)
    link.unlink()
    assert shelf.files() == before and list(elsewhere.iterdir()) == []
    assert shelf.get(model).stat == FileStat.of(model.path.stat())


def test_a_folder_is_copied_whole(shelf, elsewhere):
    for name in ("model_index.json", "unet/x.safetensors", "vae/x.safetensors"):
        shelf.file(f"pipe/{name}")
    (shelf.folder / "pipe" / "inside").symlink_to("unet/x.safetensors")
    model, before = shelf.know(shelf.folder / "pipe", format="diffusers"), shelf.files()
    move(shelf.catalog, [model], elsewhere)
    assert shelf.files() == {} and (elsewhere / "pipe/inside").samefile(elsewhere / "pipe/unet/x.safetensors")
    undo(shelf.catalog)
    assert shelf.files() == before and list(elsewhere.iterdir()) == []


def test_bytes_that_are_not_what_was_hashed_do_not_move(shelf, elsewhere):
    model = far_model(shelf)
    shelf.catalog.set_hashes(model.id, Hashes(sha256="0" * 64))
    with pytest.raises(CorruptFileError, match="not what it was"):
        move(shelf.catalog, [shelf.get(model)], elsewhere)
    assert model.path.exists() and list(elsewhere.iterdir()) == [] and journal.entries(shelf.catalog) == []


def test_a_copy_that_reads_back_otherwise_does_not_count(shelf, elsewhere, monkeypatch):
    model = far_model(shelf)
    monkeypatch.setattr(copying, "write_all", lambda file, data: file.write(bytes(len(data))))
    with pytest.raises(CorruptFileError, match="reads back"):
        move(shelf.catalog, [model], elsewhere)
    assert model.path.exists() and list(elsewhere.iterdir()) == []


def test_a_disk_that_is_full_is_known_before(shelf, elsewhere, monkeypatch):
    model = far_model(shelf)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(NoSpaceError, match="3 MB"):
        move(shelf.catalog, [model], elsewhere)
    assert list(elsewhere.iterdir()) == []
    assert move(shelf.catalog, [model], into(shelf, "b")).entry  # a rename needs no room


def test_a_stopped_copy_leaves_the_source_whole(shelf, elsewhere):
    model, other = far_model(shelf, 20_000_000), shelf.add("a.safetensors")
    before = shelf.files()
    job = Job(
        "mv", lambda event: job.cancel() if event.phase == "copying" and event.done > 5_000_000 else None, interval=0
    )
    with pytest.raises(CancelledError):
        move(shelf.catalog, [other, model], elsewhere, job)
    assert shelf.files() == before and list(elsewhere.iterdir()) == []
    assert shelf.get(other).path == other.path and journal.entries(shelf.catalog) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from modelhub.catalog.store import Catalog
from modelhub.organize import {module} as module, move
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
module.{name} = kill
with Catalog.open() as catalog:
    move.move(catalog, catalog.find(), Path(sys.argv[1]))
"""


@pytest.mark.parametrize(("module", "name"), [("copying", "_check"), ("move", "settle"), ("move", "remove_sources")])
def test_a_kill_during_a_move_to_another_disk(shelf, elsewhere, module, name):
    model, before = far_model(shelf), shelf.files()
    script = _KILLED.format(module=module, name=name)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script, elsewhere], env=env, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert shelf.files() == before, "the source is whole whatever happens"
    whole = [path for path in elsewhere.iterdir() if not path.name.startswith(".")]
    assert all(path.read_bytes() == before[path.name] for path in whole)
    undo(shelf.catalog)
    assert shelf.files() == before and shelf.get(model).path == model.path
    assert [path for path in elsewhere.iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize("which", ["from", "to"])
def test_folders_that_may_not_be_changed(shelf, lock, which):
    model, folder = shelf.add("from/x.safetensors"), into(shelf, "to")
    lock(shelf.folder / which)
    with pytest.raises(ForbiddenError, match=f"{which} may not"):
        move(shelf.catalog, [model], folder)
    assert set(shelf.files()) == {"from/x.safetensors"} and journal.entries(shelf.catalog) == []
