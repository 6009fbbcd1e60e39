"""Trash: by rename, whole or not at all, with all that belongs to a model; and back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.errors import (
    CancelledError,
    FileError,
    FileExistsAlreadyError,
    ForbiddenError,
    NotFoundError,
    UsageError,
    VanishedError,
)
from modelhub.jobs import Job
from modelhub.organize import carrying, renaming
from modelhub.organize.emptying import contents, empty, select
from modelhub.organize.trash import trash
from modelhub.organize.undo import undo

REPOSITORY = Path(__file__).parents[2]


def test_a_model_goes_with_its_sidecars_and_comes_back_with_its_words(shelf):
    model = shelf.add("a/x.safetensors")
    shelf.add("a/x.long.safetensors")
    for name in ("a/x.json", "a/x.preview.png", "a/x.example.0.png", "a/x.long.json", "a/other.json"):
        shelf.file(name)
    shelf.catalog.tag([model.id], ["keep"])
    shelf.catalog.note(model.id, "mine")
    before = shelf.files()
    report = trash(shelf.catalog, [shelf.get(model)])
    assert set(shelf.files()) == {"a/x.long.safetensors", "a/x.long.json", "a/other.json"}
    assert report.files[0][0] == model.path and len(report.files) == 4
    assert shelf.catalog.by_path(model.path) is None and shelf.catalog.find("mine") == []
    (lying,) = shelf.catalog.in_trash()
    assert lying.id == model.id and lying.path.read_bytes() == before["a/x.safetensors"]
    assert "back in place" in undo(shelf.catalog)
    assert shelf.files() == before
    back = shelf.get(model)
    assert (back.path, back.tags, back.notes, back.missing) == (model.path, ["keep"], "mine", False)
    assert shelf.catalog.find("mine") == [back]
    assert list((shelf.catalog.folder / "trash").iterdir()) == []


def test_the_inode_stays_so_nothing_was_copied(shelf):
    model = shelf.add("x.safetensors")
    ((_, new),) = trash(shelf.catalog, [model]).files
    assert new.stat().st_ino == model.stat.inode and new.stat().st_mtime_ns == model.stat.modified


def test_what_has_come_to_the_place_of_a_link_stays(shelf):
    model = shelf.add("x.safetensors")
    links = [
        shelf.folder / name for name in ("hard.safetensors", "soft.safetensors", "new.safetensors", "gone.safetensors")
    ]
    links[0].hardlink_to(model.path)
    links[1].symlink_to(model.path)
    links[2].write_bytes(b"another model, which no scan has seen yet")
    shelf.catalog.set_links({str(link): model.id for link in links})
    before = shelf.files()
    trash(shelf.catalog, [shelf.get(model)])
    assert set(shelf.files()) == {"new.safetensors"}
    undo(shelf.catalog)
    assert shelf.files() == before and links[1].is_symlink()


def test_sidecars_stay_with_a_model_of_the_same_stem_that_stays(shelf):
    one, other = shelf.add("x.safetensors"), shelf.add("x.ckpt")
    sidecar = shelf.file("x.json")
    report = trash(shelf.catalog, [one])
    assert report.shared == [sidecar] and sidecar.exists()
    report = trash(shelf.catalog, [other])
    assert [old for old, _ in report.files] == [other.path, sidecar]
    undo(shelf.catalog)
    undo(shelf.catalog)
    both = trash(shelf.catalog, [one, other, one])
    assert {old for old, _ in both.files} == {one.path, other.path, sidecar} and len(both.files) == 3
    assert shelf.files() == {} and both.shared == []


def test_all_paths_of_a_content_go_and_come_back(shelf):
    model = shelf.add("a/x.safetensors")
    soft = shelf.link(model, "b/soft.safetensors", relative=True)
    hard = shelf.link(model, "c/x.safetensors", hard=True)
    beside = shelf.file("c/x.png")
    before = shelf.files()
    report = trash(shelf.catalog, [shelf.get(model)])
    assert {old for old, _ in report.files} == {model.path, soft, hard, beside}
    assert report.freed == model.size + len(before["c/x.png"])
    assert shelf.catalog.links() == {}
    undo(shelf.catalog)
    assert shelf.files() == before and hard.samefile(model.path)
    assert shelf.get(model).links == sorted([str(soft), str(hard)])
    assert str(soft.readlink()) == "../a/x.safetensors"


def test_bytes_are_freed_once_and_only_with_the_last_name(shelf):
    model = shelf.add("x.safetensors", b"1" * 1000)
    kept = shelf.folder / "kept.bin"
    kept.hardlink_to(model.path)
    assert trash(shelf.catalog, [model], dry_run=True).freed == 0
    kept.unlink()
    shelf.link(model, "y.safetensors", hard=True)
    shelf.link(model, "z.safetensors")
    assert trash(shelf.catalog, [shelf.get(model)], dry_run=True).freed == 1000


def test_a_dry_run_changes_nothing(shelf):
    model = shelf.add("x.safetensors")
    before = shelf.files(), (shelf.catalog.folder / "catalog.db").read_bytes()
    report = trash(shelf.catalog, [model], dry_run=True)
    assert report.entry is None and report.files == [(model.path, None)]
    assert (shelf.files(), (shelf.catalog.folder / "catalog.db").read_bytes()) == before
    assert not (shelf.catalog.folder / "trash").exists() and journal.entries(shelf.catalog) == []


def test_a_folder_goes_as_a_whole(shelf):
    for name in ("model_index.json", "unet/model.safetensors", "vae/model.safetensors"):
        shelf.file(f"pipe/{name}")
    (shelf.folder / "pipe" / "outside").symlink_to(shelf.file("other.txt"))
    model = shelf.know(shelf.folder / "pipe", format="diffusers", kind="checkpoint")
    preview, before = shelf.file("pipe.preview.png"), shelf.files()
    report = trash(shelf.catalog, [model])
    assert [old for old, _ in report.files] == [model.path, preview]
    assert set(shelf.files()) == {"other.txt"}
    assert report.freed == sum(
        len(before[name]) for name in before if name.startswith("pipe") and "outside" not in name
    )
    undo(shelf.catalog)
    assert shelf.files() == before
    trash(shelf.catalog, [model])
    empty(shelf.catalog, select(shelf.catalog))
    assert set(shelf.files()) == {"other.txt"}


def test_a_missing_file_is_said_to_be_missing(shelf):
    model, other = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    model.path.unlink()
    with pytest.raises(VanishedError, match="missing already") as error:
        trash(shelf.catalog, [other, model])
    assert f"forget '#{model.id}'" in error.value.hint and other.path.exists()


def test_what_is_in_the_trash_cannot_go_there_again(shelf):
    model = shelf.add("x.safetensors")
    trash(shelf.catalog, [model])
    for stale in (model, shelf.get(model)):
        with pytest.raises((NotFoundError, VanishedError)):
            trash(shelf.catalog, [stale])
    assert len(contents(shelf.catalog)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines.safetensors",
        "esc\x1b[31m.safetensors",
        "-rf.safetensors",
        "日本 語.safetensors",
        "%s{}.safetensors",
        "[b]x.safetensors",
    ],
)
def test_names_of_all_kinds(shelf, name):
    model = shelf.add(name)
    sidecar = shelf.folder / os.fsdecode(os.fsencode(model.path.stem) + b".\xff.json")  # no text at all
    sidecar.write_bytes(b"{}")
    before = shelf.files()
    report = trash(shelf.catalog, [model])
    assert len(report.files) == 2 and shelf.files() == {}
    assert "\x1b" not in journal.get(shelf.catalog, report.entry).summary
    assert "\n" not in journal.get(shelf.catalog, report.entry).summary
    undo(shelf.catalog)
    assert shelf.files() == before


def test_undo_refuses_when_something_took_the_old_place(shelf):
    model, other = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    sidecar = shelf.file("y.json")
    trash(shelf.catalog, [model, other])
    sidecar.write_bytes(b"new")
    with pytest.raises(FileExistsAlreadyError, match="y.json is in the way"):
        undo(shelf.catalog)
    assert shelf.files() == {"y.json": b"new"} and len(shelf.catalog.in_trash()) == 2
    sidecar.unlink()
    undo(shelf.catalog)
    assert len(shelf.files()) == 3


def test_undo_minds_the_rows_at_the_old_path(shelf):
    model = shelf.add("x.safetensors")
    trash(shelf.catalog, [model])
    newer = shelf.add("x.safetensors", b"another")
    shelf.catalog.tag([newer.id], ["mine"])
    newer.path.unlink()
    with pytest.raises(FileExistsAlreadyError, match=f"#{newer.id}"):
        undo(shelf.catalog)
    assert shelf.files() == {}
    shelf.catalog.tag([newer.id], remove=["mine"])  # now nothing is lost with it
    undo(shelf.catalog)
    assert shelf.catalog.by_path(model.path).id == model.id


def test_undo_makes_a_folder_again_that_was_removed_meanwhile(shelf):
    model = shelf.add("a/b/x.safetensors")
    trash(shelf.catalog, [model])
    model.path.parent.rmdir()
    undo(shelf.catalog)
    assert model.path.exists()


def test_undo_of_what_was_deleted_from_the_trash_by_hand(shelf):
    model = shelf.add("x.safetensors")
    ((_, new),) = trash(shelf.catalog, [model]).files
    new.unlink()
    with pytest.raises(VanishedError, match="is gone"):
        undo(shelf.catalog)
    (one,) = contents(shelf.catalog)
    assert one.files == [] and one.freed == 0
    empty(shelf.catalog, select(shelf.catalog))
    assert contents(shelf.catalog) == [] and shelf.catalog.in_trash() == []


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_failure_in_the_middle_brings_everything_back(shelf, monkeypatch, at):
    models = [shelf.add(f"{n}.safetensors") for n in range(3)]
    before, real, calls = shelf.files(), carrying.rename, []

    def failing(old, new):
        calls.append(old)
        if len(calls) == at:
            raise OSError(errno.EIO, "broken", str(old))
        real(old, new)

    monkeypatch.setattr(carrying, "rename", failing)
    with pytest.raises(FileError, match="broken"):
        trash(shelf.catalog, models)
    assert shelf.files() == before and contents(shelf.catalog) == []
    assert journal.entries(shelf.catalog) == [] and list((shelf.catalog.folder / "trash").iterdir()) == []


def test_a_job_that_is_stopped_moves_nothing(shelf):
    models = [shelf.add(f"{n}.safetensors") for n in range(5)]
    before = shelf.files()
    job = Job("rm", lambda event: job.cancel() if event.done == 3 else None, interval=0)
    with pytest.raises(CancelledError):
        trash(shelf.catalog, models, job)
    assert shelf.files() == before and journal.entries(shelf.catalog) == []


_KILLED = """
import os, signal, sys
from modelhub.catalog.store import Catalog
from modelhub.organize import carrying
from modelhub.organize.trash import trash
real, left = carrying.rename, [int(sys.argv[1])]
def rename(old, new):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    real(old, new)
    if left[0] == 0 and sys.argv[2] == "linked":  # as if killed between the two steps of a rename
        os.link(new, old)
carrying.rename = rename
with Catalog.open() as catalog:
    trash(catalog, catalog.find())
"""


@pytest.mark.parametrize(("after", "how"), [(0, ""), (1, ""), (3, ""), (3, "linked")])
def test_a_kill_in_the_middle_can_be_undone(shelf, after, how):
    models = [shelf.add(f"{n}.safetensors") for n in range(5)]
    shelf.catalog.tag([models[0].id], ["kept"])
    before = shelf.files()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    done = subprocess.run([sys.executable, "-c", _KILLED, str(after), how], env=env, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert len(shelf.files()) == 5 - after + (how == "linked")
    assert [one.complete for one in contents(shelf.catalog)] == [False] and select(shelf.catalog) == []
    undo(shelf.catalog)
    assert shelf.files() == before and shelf.catalog.in_trash() == []
    assert [asset.missing for asset in shelf.catalog.find()] == [False] * 5
    assert shelf.get(models[0]).tags == ["kept"] and contents(shelf.catalog) == []


def test_a_kill_just_before_a_folder_is_renamed(shelf, monkeypatch):
    shelf.file("pipe/model_index.json")
    model = shelf.know(shelf.folder / "pipe", format="diffusers")
    before = shelf.files()
    real = Path.mkdir

    def die(path, *args, **kwargs):
        real(path, *args, **kwargs)
        if path.name == "pipe":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "mkdir", die)
        patch.setattr("modelhub.organize.trash.give_up", lambda *_: None)
        trash(shelf.catalog, [model])
    undo(shelf.catalog)
    assert shelf.files() == before and shelf.get(model).path == model.path
    assert contents(shelf.catalog) == []


def test_two_processes_at_the_same_asset(shelf):
    model = shelf.add("x.safetensors", b"content")
    shelf.file("x.json")
    script = textwrap.dedent("""
        import sys
        from modelhub.catalog.store import Catalog
        from modelhub.errors import ModelhubError
        from modelhub.organize.trash import trash
        with Catalog.open() as catalog:
            assets = catalog.find()
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                trash(catalog, assets)
            except ModelhubError as error:
                sys.exit(error.exit_code)
    """)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    start = [sys.executable, "-c", script]
    both = [
        subprocess.Popen(
            start, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode in (2, 3) for process in both) == [False, True, True], said
    assert shelf.files() == {} and len(contents(shelf.catalog)) == 1
    undo(shelf.catalog)
    assert shelf.files()["x.safetensors"] == b"content" and shelf.get(model).path == model.path


def test_another_file_system_has_a_trash_of_its_own(shelf, elsewhere):
    folder = elsewhere / "models"
    folder.mkdir()
    shelf.catalog.add_root(folder)
    far = folder / "sub" / "far.safetensors"
    far.parent.mkdir()
    far.write_bytes(b"far")
    asset, near = shelf.know(far), shelf.add("near.safetensors")
    report = trash(shelf.catalog, [asset, near])
    new = dict(report.files)
    assert new[far].is_relative_to(folder / ".modelhub-trash") and new[far].stat().st_ino == asset.stat.inode
    assert new[near.path].is_relative_to(shelf.catalog.folder / "trash")
    assert (folder / ".modelhub-trash").stat().st_mode & 0o77 == 0
    undo(shelf.catalog)
    assert far.read_bytes() == b"far" and near.path.exists() and not (folder / ".modelhub-trash").exists()


def test_a_trash_that_someone_else_prepared_is_not_used(shelf, elsewhere, tmp_path):
    root = elsewhere / "models"
    root.mkdir()
    (root / ".modelhub-trash").symlink_to(tmp_path)
    shelf.catalog.add_root(root)
    (root / "x.safetensors").write_bytes(b"x")
    ((_, new),) = trash(shelf.catalog, [shelf.know(root / "x.safetensors")]).files
    assert not new.is_relative_to(root) and new.exists() and new.stat().st_dev == root.stat().st_dev
    undo(shelf.catalog)


def test_a_folder_that_may_not_be_changed(shelf, lock):
    model, free = shelf.add("locked/x.safetensors"), shelf.add("free/y.safetensors")
    before = shelf.files()
    lock(model.path.parent)
    with pytest.raises(ForbiddenError, match="locked"):
        trash(shelf.catalog, [free, model])
    assert shelf.files() == before and journal.entries(shelf.catalog) == []


def test_a_set_of_shards_goes_with_its_index_whole_or_not(shelf):
    first = shelf.add("m-00001-of-00003.safetensors")
    other = shelf.add("n-00001-of-00003.safetensors")
    parts = [
        shelf.file(f"m{end}")
        for end in ("-00003-of-00003.safetensors", ".safetensors.index.json", "-00001-of-00003.json")
    ]
    for end in ("-00002-of-00004.safetensors", "-00002-of-00003.ckpt", ".safetensors"):
        shelf.file(f"m{end}")
    before = shelf.files()
    report = trash(shelf.catalog, [first])
    assert {old for old, _ in report.files} == {first.path, *parts}
    assert len(shelf.files()) == 4 and other.path.exists()
    undo(shelf.catalog)
    assert shelf.files() == before
    own = shelf.know(parts[0])  # an asset of its own is none of another
    assert own.path not in {old for old, _ in trash(shelf.catalog, [first]).files}


# -- emptying ----------------------------------------------------------------------------------------------------------


def test_a_set_under_two_names_goes_whole_and_comes_back(shelf):
    names = [f"m-0000{number}-of-00002.safetensors" for number in (1, 2)]
    first, second = shelf.add(f"a/{names[0]}"), shelf.file(f"a/{names[1]}")
    shelf.link(first, f"b/{names[0]}", hard=True)
    (shelf.folder / "b" / names[1]).hardlink_to(second)
    before = shelf.files()
    trash(shelf.catalog, [shelf.get(first)])
    assert shelf.files() == {}
    undo(shelf.catalog)
    assert shelf.files() == before


def test_emptying_deletes_files_rows_and_entries(shelf):
    one, two = shelf.add("x.safetensors", b"1" * 500), shelf.add("y.safetensors", b"2" * 300)
    first, second = trash(shelf.catalog, [one]), trash(shelf.catalog, [two])
    assert [(t.entry, t.freed, t.assets) for t in contents(shelf.catalog)] == [
        (second.entry, 300, {two.id: two.path}),
        (first.entry, 500, {one.id: one.path}),
    ]
    assert empty(shelf.catalog, select(shelf.catalog, [first.entry])) == 500
    assert [asset.id for asset in shelf.catalog.in_trash()] == [two.id]
    with pytest.raises(NotFoundError):
        undo(shelf.catalog, first.entry)
    assert select(shelf.catalog, older_than_days=1) == []
    assert [t.entry for t in select(shelf.catalog, older_than_days=0)] == [second.entry]
    undo(shelf.catalog)
    assert set(shelf.files()) == {"y.safetensors"}
    with pytest.raises(UsageError, match="not in the trash"):
        select(shelf.catalog, [second.entry])


def test_what_was_brought_back_while_the_trash_was_emptied_keeps_its_row(shelf):
    model = shelf.add("x.safetensors")
    shelf.catalog.tag([model.id], ["mine"])
    trash(shelf.catalog, [model])
    selected = select(shelf.catalog)
    undo(shelf.catalog)
    assert empty(shelf.catalog, selected) == 0
    assert shelf.get(model).tags == ["mine"] and model.path.exists()


def test_emptying_follows_no_link(shelf, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "x.safetensors").write_bytes(b"keep me")
    (precious / "1").mkdir()
    (precious / "1" / "x.safetensors").write_bytes(b"keep me, too")
    model = shelf.add("x.safetensors")
    shelf.link(model, "y.safetensors")
    report = trash(shelf.catalog, [shelf.get(model)])
    call = report.files[0][1].parent.parent
    call.rename(call.with_name("moved"))
    call.symlink_to(precious)
    with pytest.raises(FileError, match="does not lie in a folder of the trash"):
        empty(shelf.catalog, select(shelf.catalog))
    assert (precious / "1" / "x.safetensors").read_bytes() == b"keep me, too"


def test_a_journal_that_names_other_files_deletes_none_of_them(shelf, tmp_path):
    precious = tmp_path / "a" / "b" / "c" / "precious.bin"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"keep me")
    model = shelf.add("x.safetensors")
    report = trash(shelf.catalog, [model])
    details = journal.get(shelf.catalog, report.entry).details
    for path in (precious, report.files[0][1].parent / ".." / ".." / ".." / ".." / "a/b/c/precious.bin"):
        journal.update(shelf.catalog, report.entry, {**details, "pairs": [[str(model.path), str(path)]]})
        with pytest.raises(FileError, match="was not deleted"):
            empty(shelf.catalog, select(shelf.catalog))
    assert precious.exists()


# -- any order ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", "c", "undo"]), max_size=8))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_can_be_undone_to_the_first_state(shelf, tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("steps")
    with Catalog.open(folder / "home") as catalog:
        here = type(shelf)(catalog, folder / "models")
        assets = {name: here.add(f"{name}.safetensors") for name in "abc"}
        here.file("a.json")
        before = here.files()
        for step in steps:
            if step == "undo":
                if journal.last(catalog):
                    undo(catalog)
            elif catalog.by_path(assets[step].path):
                trash(catalog, [assets[step]])
        assert len(here.files()) + sum(len(one.files) for one in contents(catalog)) == 4
        while journal.last(catalog):
            undo(catalog)
        assert here.files() == before


def test_a_rename_never_replaces(tmp_path):
    for make in (lambda path: path.write_bytes(b"new"), lambda path: path.symlink_to("nowhere")):
        old, new = tmp_path / "old", tmp_path / "new"
        make(old)
        for taken in ("file", "link", "folder"):
            new.write_bytes(b"there") if taken == "file" else new.mkdir() if taken == "folder" else new.symlink_to(
                "gone"
            )
            with pytest.raises(FileExistsError):
                renaming.rename(old, new)
            assert os.path.lexists(old)
            renaming.remove(new)
        old.unlink()
    old.mkdir()
    new.mkdir()
    with pytest.raises(FileExistsError):
        renaming.rename(old, new)


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(renaming.os, "link", refuse)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"x")
    new.write_bytes(b"there")
    with pytest.raises(FileExistsError):
        renaming.rename(old, new)
    new.unlink()
    renaming.rename(old, new)
    assert new.read_bytes() == b"x" and not old.exists()
