"""rm, mv, undo, trash, forget, set, link: what they say, and that each can be taken back."""

from __future__ import annotations

import os
import pty
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.formats.stat import FileStat

Run = Callable[..., Any]


@pytest.fixture
def models(home: Path, tmp_path: Path) -> Iterator[Path]:
    """Three files and a sidecar in a folder, in the catalog as #1 to #3: a, b and c; a and b of one layout."""
    folder = tmp_path / "models"
    folder.mkdir()
    with Catalog.open(home) as catalog:
        for name in "abc":
            path = folder / f"{name}.safetensors"
            path.write_bytes(name.encode() * 1000)
            identity = Identity(kind="lora", format="safetensors", fingerprint="f00d" if name in "ab" else "beef")
            catalog.record(path, FileStat.of(path.stat()), identity, "1")
    (folder / "a.preview.png").write_bytes(b"picture")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(home: Path) -> bytes:
    """The catalog's bytes, with what still lies in the log beside it."""
    with closing(sqlite3.connect(home / "catalog.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (home / "catalog.db").read_bytes()


def test_rm_says_what_moved_where_to_and_how_to_undo(run: Run, models: Path, home: Path) -> None:
    told = run("rm", "a")
    assert told.code == 0 and "1 asset, 2 files" in told.out and "modelhub undo 1" in told.out
    assert str(models / "a.preview.png") in told.out and str(home / "trash") in told.out and "1.01 kB" in told.out
    assert names(models) == ["b.safetensors", "c.safetensors"]
    assert [asset["id"] for asset in run("ls", "--json").json] == [2, 3]
    (entry,) = run("trash", "--json").json
    assert entry["entry"] == 1 and entry["assets"] == [{"id": 1, "path": str(models / "a.safetensors")}]
    assert str(models / "a.safetensors") in run("trash").out
    assert "2 files back in place" in run("undo").out
    assert names(models) == ["a.preview.png", "a.safetensors", "b.safetensors", "c.safetensors"]
    assert "empty" in run("trash").out


def test_what_changes_one_of_two_copies_must_say_which(run: Run, make_file: Any) -> None:
    first, second = (make_file(f"{folder}/a.safetensors", {"t": np.ones(3)}) for folder in ("one", "two"))
    run("scan", first.parent, second.parent, "--hash", "fast")
    assert run("show", "a").code == 0, "the same bytes: any will do"
    for words in (["rm", "a"], ["mv", "a", second.parent], ["tag", "a", "--add", "x"], ["rate", "a", "3"]):
        told = run(*words)
        assert told.code == 2 and str(first) in told.err and str(second) in told.err
    assert run("rm", second).code == 0 and first.exists() and not second.exists()


def test_rm_json_and_dry_run(run: Run, models: Path, home: Path) -> None:
    before = content(home), names(models)
    told = run("rm", "a", "#2", "--dry-run", "--json").json
    assert told["entry"] is None and {one["id"] for one in told["assets"]} == {1, 2}
    assert [one["trash"] for one in told["files"]] == [None] * 3 and told["freed"] == 2007
    assert "would move" in run("rm", "a", "--dry-run").out
    assert (content(home), names(models)) == before
    told = run("rm", "a", "#2", "--json").json
    assert all(Path(one["trash"]).exists() and not Path(one["path"]).exists() for one in told["files"])
    assert run("rm", "#1", "--json").error["code"] == "not-found"
    assert run("rm", "a", "--json").error["code"] == "not-found"


def test_a_missing_file_is_not_removed_but_forgotten(run: Run, models: Path) -> None:
    (models / "b.safetensors").unlink()
    told = run("rm", "b")
    assert told.code == 3 and "missing already" in told.err and "modelhub forget '#2'" in told.err
    assert run("forget", "a").code == 2 and run("forget").code == 2 and run("forget", "b", "--missing").code == 2
    assert "would forget 1 asset" in run("forget", "b", "--dry-run").out
    told = run("forget", "b", "--json").json
    assert told["assets"] == [{"id": 2, "path": str(models / "b.safetensors")}]
    assert len(run("ls", "--json").json) == 2
    run("undo")
    assert len(run("ls", "--json").json) == 3


def test_forget_all_that_is_missing(run: Run, models: Path, home: Path) -> None:
    with Catalog.open(home) as catalog:
        catalog.set_missing([1, 2])
    (models / "a.safetensors").unlink()  # b is back by now
    told = run("forget", "--missing")
    assert "forgot 1 asset" in told.out and "#1" in told.out and "undo: modelhub undo" in told.out
    assert run("forget", "--missing", "--json").json == {"entry": None, "assets": []}


def test_the_path_of_a_link_does_not_name_the_asset_to_rm(run: Run, models: Path, home: Path) -> None:
    link = models / "link.safetensors"
    link.symlink_to(models / "c.safetensors")
    with Catalog.open(home) as catalog:
        catalog.set_links({str(link): 3})
    for words in (["rm", link], ["mv", link, home]):
        told = run(*words)
        assert told.code == 2 and "is a link to #3" in told.err
    assert link.exists()
    run("rm", "#3")
    assert "link.safetensors" not in names(models)


def test_mv(run: Run, models: Path, tmp_path: Path, home: Path) -> None:
    goal = tmp_path / "goal"
    goal.mkdir()
    before = content(home), names(models)
    assert "would move" in run("mv", "a", "c", goal, "--dry-run").out
    assert (content(home), names(models)) == before
    told = run("mv", "a", "c", goal)
    assert "2 assets, 3 files" in told.out and "undo: modelhub undo 1" in told.out
    assert names(goal) == ["a.preview.png", "a.safetensors", "c.safetensors"]
    told = run("mv", "a", goal / "new.safetensors", "--json").json
    assert told["assets"] == [{"id": 1, "from": str(goal / "a.safetensors"), "path": str(goal / "new.safetensors")}]
    assert "new.preview.png" in names(goal) and "is there already" in run("mv", "new", goal).out
    (goal / "b.safetensors").write_bytes(b"taken")
    assert run("mv", "b", goal, "--json").error["code"] == "file-exists"
    assert run("mv", "b", tmp_path / "none").code == 2
    run("undo")
    run("undo")
    assert names(models) == before[1] and names(goal) == ["b.safetensors"]


def test_undo_lists_what_was_done(run: Run, models: Path) -> None:
    assert "Nothing was done yet." in run("undo", "--list").out and run("undo").code == 2
    run("tag", "a", "--add", "x")
    run("rate", "a", "4")
    run("note", "a", "hello")
    run("rm", "b")
    run("undo")
    told = run("undo", "--list", "--json").json
    assert [(one["action"], one["undone"] is None) for one in told] == [
        ("rm", False), ("note", True), ("rate", True), ("tag", True),
    ]  # fmt: skip
    assert "undone" in run("undo", "--list").out
    assert "Would undo 3" in run("undo", "--dry-run").out
    assert run("undo", "1", "--json").json["says"].startswith("Undid 1")
    (found,) = run("ls", "a.safetensors", "--json").json
    assert (found["tags"], found["rating"], found["notes"]) == ([], 4, "hello")
    assert (
        run("undo", "1").code == 2
        and run("undo", "77").code == 2
        and run("undo", "x").code == 2
        and run("undo", "9" * 30).code == 2
    )


def test_emptying_asks_or_wants_to_be_told(run: Run, models: Path) -> None:
    run("rm", "a")
    for words in (["trash", "--empty"], ["trash", "--empty", "--json"]):
        told = run(*words)
        assert told.code == 2 and "--yes" in told.out + told.err
    assert "would delete 1 asset, 2 files" in run("trash", "--empty", "--dry-run").out
    assert "deleted 0 assets" in run("trash", "--empty", "--older-than", "1").out
    assert "is empty" not in run("trash", "--older-than", "1").out
    assert run("trash", "--older-than", "-1").code == 2 and run("trash", "--older-than", "nan").code == 2
    assert len(run("trash", "--json").json) == 1 and run("trash", "--older-than", "1", "--json").json == []
    told = run("trash", "--empty", "--yes", "--json").json
    assert (told["freed"], told["deleted"]) == (1007, True)
    assert run("trash", "--json").json == [] and run("undo").code == 2


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
def test_emptying_asks_on_a_terminal(spawn: Any, run: Run, models: Path, answer: str, left: int) -> None:
    run("rm", "a")
    ours, theirs = pty.openpty()
    process = spawn("trash", "--empty", stdin=theirs, stderr=theirs)
    os.write(ours, answer.encode())
    out, _ = process.communicate(timeout=60)
    asked = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "Delete 1 asset, 2 files for good" in asked and process.returncode == (130 if left else 0)
    assert ("deleted" in out) != bool(left) and len(run("trash", "--json").json) == left


def test_set_and_take_back(run: Run, models: Path, home: Path) -> None:
    before = content(home)
    (told,) = run("set", "a", "--kind", "vae", "--architecture", "sdxl", "--dry-run", "--json").json
    assert (told["kind"], told["architecture"], content(home)) == ("vae", "sdxl", before)
    told = run("set", "a", "--architecture", "sdxl", "--same-layout", "--json").json
    assert [(one["id"], one["architecture"]) for one in told] == [(1, "sdxl"), (2, "sdxl")]
    told = run("set", "a", "--kind", "vae")
    assert "kind vae (said)" in told.out and "undo: modelhub undo" in told.err
    (told,) = run("set", "a", "--kind", "auto", "--json").json
    assert (told["kind"], told["override"]) == ("lora", {"architecture": "sdxl"})
    for words in (["a"], ["a", "--kind", "spoon"], ["a", "--kind", ""], ["a", "--architecture", "no spaces"]):
        assert run("set", *words).code == 2
    for _ in range(3):
        run("undo")
    assert [one["override"] for one in run("ls", "--json").json] == [None] * 3


def test_a_dry_run_of_words_leaves_no_trace(run: Run, models: Path, home: Path) -> None:
    before = content(home)
    for words in (
        ["tag", "a", "--add", "x"],
        ["rate", "a", "4"],
        ["note", "a", "hello"],
        ["set", "a", "--kind", "vae"],
    ):
        assert run(*words, "--dry-run").code == 0
    assert content(home) == before and run("undo", "--list", "--json").json == []


def test_link_and_take_back(run: Run, models: Path, tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    for name in ("models/loras", "models/checkpoints", "custom_nodes", "comfy"):
        (root / name).mkdir(parents=True)
    for name in ("main.py", "folder_paths.py", "nodes.py"):
        (root / name).write_text("")
    told = run("link", tmp_path / "models", "--json")
    assert told.error["code"] == "usage"
    told = run("link", root, "a.safetensors", "--sidecars", "--dry-run", "--json").json
    assert told["entry"] is None and [one["status"] for one in told["links"]] == ["new", "new"]
    assert names(root / "models/loras") == []
    told = run("link", root, "a.safetensors", "--sidecars")
    assert "linked 2 files into ComfyUI" in told.out and "undo: modelhub undo 1" in told.out
    assert names(root / "models/loras") == ["a.preview.png", "a.safetensors"]
    assert "1 file there already" in run("link", root, "a.safetensors").out
    assert run("link", root / "nowhere", "--json").error["code"] == "not-found"
    assert run("link", root, "--symlink", "--hardlink").code == 2 and run("link", root, "no:field").code == 2
    run("undo")
    assert names(root / "models/loras") == [] and len(names(models)) == 4


@pytest.mark.parametrize("name", ["two\nlines", "esc\x1b[31m", "[b]x"])
def test_hostile_names_are_shown_and_not_obeyed(run: Run, home: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(b"x")
    with Catalog.open(home) as catalog:
        catalog.record(path, FileStat.of(path.stat()), Identity(format="safetensors"), "1")
    goal = tmp_path / f"goal {name}"
    goal.mkdir()
    for words in (
        ["rm", "#1"],
        ["trash"],
        ["undo"],
        ["mv", "#1", goal],
        ["undo", "--list"],
        ["set", "#1", "--kind", "vae"],
    ):
        told = run(*words)
        assert told.code == 0 and "\x1b" not in told.out + told.err
        assert all(not line.startswith("lines") for line in told.out.splitlines())


def test_rename(run: Run, models: Path, home: Path) -> None:
    before = content(home), names(models)
    assert "would rename" in run("rename", "a", "c", "--to", "{kind}_{stem}", "--dry-run").out
    assert (content(home), names(models)) == before
    told = run("rename", "a", "--to", "new name", "--json").json
    assert told["assets"] == [
        {"id": 1, "from": str(models / "a.safetensors"), "path": str(models / "new name.safetensors")}
    ]
    assert {"new name.safetensors", "new name.preview.png"} <= set(names(models))
    assert "renamed: 2 assets" in run("rename", "b", "c", "--to", "{stem}-{number}").out
    assert {"b-1.safetensors", "c-2.safetensors"} <= set(names(models))
    assert run("rename", "b-1", "c-2", "--to", "same", "--json").error["code"] == "file-exists"
    told = run("rename", "b-1", "--to", "{nothing}")
    assert told.code == 2 and "There is no word {nothing}" in told.err and "{stem}" in told.err
    run("undo")
    run("undo")
    assert names(models) == before[1]


def test_mv_makes_a_folder_when_told_to(run: Run, models: Path, tmp_path: Path) -> None:
    goal = tmp_path / "not" / "yet"
    assert run("mv", "a", goal).code == 2 and not goal.exists()
    assert run("mv", "a", goal, "--make").code == 0 and "a.safetensors" in names(goal)
