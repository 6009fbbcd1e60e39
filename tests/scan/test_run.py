"""Scans of real folders: what is found, kept, moved and missed, and everything a folder can do to a scan."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, FileError, ForbiddenError, NotFoundError, VanishedError
from modelhub.formats.hashes import hash_file
from modelhub.jobs import Event, Job
from modelhub.scan import know as knowing
from modelhub.scan.adding import add_file
from modelhub.scan.run import scan

MakeFile = Callable[..., Path]
EMBEDDING = {"emb_params": np.zeros((2, 768), np.float32)}
needs_permissions = pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything, and setpriv is missing"
)


def by_name(catalog: Catalog) -> dict[str, object]:
    return {asset.name: asset for asset in catalog.find()}


def test_a_first_scan_a_rescan_and_a_changed_file(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    one = make_file(library / "a" / "one.safetensors", EMBEDDING)
    make_file(library / "b" / "two.safetensors", EMBEDDING, {"modelspec.title": "Two"})
    (library / "readme.txt").write_text("no model")
    report = scan(catalog, [library])
    assert (report.files, report.added, report.unchanged, report.problems) == (2, 2, 0, [])
    assert {a.name: (a.kind, a.title) for a in catalog.find()} == {
        "one.safetensors": ("embedding", None),
        "two.safetensors": ("embedding", "Two"),
    }
    report = scan(catalog)
    assert (report.files, report.added, report.updated, report.unchanged) == (2, 0, 0, 2), "the folder is remembered"
    make_file(one, {"emb_params": np.zeros((3, 768), np.float32)})
    report = scan(catalog)
    assert (report.updated, report.unchanged, report.added) == (1, 1, 0)


def test_a_renamed_file_keeps_its_tags_and_a_deleted_one_is_kept_as_missing(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    one = make_file(library / "one.safetensors", EMBEDDING)
    two = make_file(library / "two.safetensors", EMBEDDING)
    scan(catalog, [library])
    number = catalog.find("name:one")[0].id
    catalog.tag([number], add=["loved"])
    catalog.rate(number, 5)
    (library / "deep").mkdir()
    one.rename(library / "deep" / "renamed.safetensors")
    two.unlink()
    report = scan(catalog)
    assert (report.moved, report.missing, report.added) == (1, 1, 0)
    moved = catalog.get(number)
    assert (moved.name, moved.tags, moved.rating, moved.missing) == ("renamed.safetensors", ["loved"], 5, False)
    assert catalog.find("missing:yes")[0].name == "two.safetensors"
    assert scan(catalog).missing == 0, "it is reported once"
    make_file(two, EMBEDDING)
    scan(catalog)
    assert not catalog.find("missing:yes")


def test_a_file_put_back_unchanged_is_no_longer_missing(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    one = make_file(library / "one.safetensors", EMBEDDING)
    scan(catalog, [library])
    one.rename(tmp_path / "away.safetensors")
    assert scan(catalog).missing == 1
    (tmp_path / "away.safetensors").rename(one)
    assert scan(catalog).unchanged == 1
    assert not catalog.find("missing:yes")


def test_broken_files_are_listed_with_their_problem_and_the_rest_goes_on(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    whole = make_file(library / "whole.safetensors", EMBEDDING)
    data = whole.read_bytes()
    (library / "truncated.safetensors").write_bytes(data[:-100])
    (library / "text.safetensors").write_text("I am not a model\n" * 10)
    (library / "empty.safetensors").write_bytes(b"")
    (library / "page.safetensors").write_text("<!DOCTYPE html><title>Log in</title>")
    report = scan(catalog, [library])
    assert {Path(p.path).name: p.code for p in report.problems} == {
        "truncated.safetensors": "corrupt-file", "text.safetensors": "not-a-model", "empty.safetensors": "corrupt-file", "page.safetensors": "not-a-model"
    }  # fmt: skip
    assert report.added == 5
    assert {a.name for a in catalog.find("problem:yes")} == {Path(p.path).name for p in report.problems}
    assert catalog.find("name:whole")[0].kind == "embedding"
    (library / "truncated.safetensors").write_bytes(data)
    scan(catalog)
    assert catalog.find("name:truncated")[0].problem is None


def test_formats_are_told_by_content_not_by_name(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    make_file(library / "really-safetensors.ckpt", EMBEDDING)
    (library / "really-pickle.safetensors").write_bytes(pickle.dumps({"epoch": 3}, protocol=2) + b"\0" * 300)
    (library / "model.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\0" * 100)
    (library / "zip.pt").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    report = scan(catalog, [library])
    found = {a.name: (a.format, a.kind) for a in catalog.find()}
    assert found["really-safetensors.ckpt"] == ("safetensors", "embedding")
    codes = {Path(problem.path).name: problem.code for problem in report.problems}
    assert codes["zip.pt"] == "corrupt-file" and "not a zip" not in str(report.problems)


def test_strange_names_are_just_names(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    names = [
        "new\nline",
        "esc\x1b[31m",
        "quo'te\"",
        "[red]x[-red]",
        "日本 語",
        "%s {0} `id`",
        "-rf",
        "tab\t",
        "\u202eevil",
    ]
    for name in names:
        make_file(library / f"{name}.safetensors", EMBEDDING)
    report = scan(catalog, [library])
    assert (report.added, report.problems) == (len(names), [])
    assert {a.path.stem for a in catalog.find()} == set(names)
    assert scan(catalog).unchanged == len(names)


def test_a_name_that_is_not_utf8_is_reported_and_left_out(catalog: Catalog, library: Path) -> None:
    Path(os.fsdecode(os.fsencode(library) + b"/bad\xff.safetensors")).write_bytes(b"x")
    report = scan(catalog, [library])
    assert (report.files, len(report.problems)) == (0, 1)
    assert "UTF-8" in report.problems[0].message


def test_links_loops_and_nested_folders_are_walked_once(
    catalog: Catalog, library: Path, make_file: MakeFile, tmp_path: Path
) -> None:
    make_file(library / "a" / "one.safetensors", EMBEDDING)
    outside = make_file(tmp_path / "elsewhere" / "two.safetensors", EMBEDDING)
    (library / "a" / "loop").symlink_to(library)
    (library / "linked").symlink_to(outside.parent)
    (library / "broken.safetensors").symlink_to(library / "nowhere")
    (library / "self.safetensors").symlink_to(library / "self.safetensors")
    report = scan(catalog, [library, library / "a"])
    assert sorted(a.name for a in catalog.find()) == ["one.safetensors", "two.safetensors"]
    assert {Path(p.path).name for p in report.problems} == {"broken.safetensors", "self.safetensors"}


def test_downloads_in_progress_and_hidden_folders_are_left_out(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    for path in (".cache/a.safetensors", "tmpinstall_1/b.safetensors", ".c.safetensors", "d.safetensors"):
        make_file(library / path, EMBEDDING)
    (library / "e.safetensors.part").write_bytes(b"half")
    scan(catalog, [library])
    assert [a.name for a in catalog.find()] == ["d.safetensors"]


def test_a_file_that_vanishes_during_the_scan(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        make_file(library / f"{name}.safetensors", EMBEDDING)
    know = knowing.know

    def late(path: Path):
        if path.name == "one.safetensors":
            path.unlink()
        return know(path)

    monkeypatch.setattr(knowing, "know", late)
    report = scan(catalog, [library])
    assert [p.code for p in report.problems] == [VanishedError.code]
    assert [a.name for a in catalog.find()] == ["two.safetensors"]


@needs_permissions
def test_an_unreadable_folder_is_a_problem_and_proves_nothing(library: Path, make_file: MakeFile) -> None:
    make_file(library / "open" / "one.safetensors", EMBEDDING)
    make_file(library / "closed" / "two.safetensors", EMBEDDING)
    with Catalog.open() as catalog:
        scan(catalog, [library])
    (library / "closed").chmod(0)
    code = "import json; from modelhub.catalog.store import Catalog; from modelhub.scan.run import scan\nwith Catalog.open() as c: print(json.dumps(scan(c).as_dict()))"
    powerless = "-dac_override,-dac_read_search"  # root without these may read no more than anybody
    drop = ["setpriv", f"--inh-caps={powerless}", f"--bounding-set={powerless}"] if os.geteuid() == 0 else []
    try:
        done = subprocess.run([*drop, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        (library / "closed").chmod(0o755)
    assert '"forbidden"' in done.stdout, done.stderr
    with Catalog.open() as catalog:
        assert not catalog.find("missing:yes"), "what cannot be seen is not gone"


def test_a_folder_that_is_gone_keeps_its_rows_and_an_unknown_one_is_an_error(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    make_file(library / "one.safetensors", EMBEDDING)
    scan(catalog, [library])
    shutil.rmtree(library)
    report = scan(catalog)
    assert (report.missing, len(report.problems)) == (0, 1), "an unplugged disk is not an empty one"
    with pytest.raises(NotFoundError):
        scan(catalog, [library / "nowhere"])


def test_hashes_are_right_and_are_not_made_twice(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    one = make_file(library / "one.safetensors", EMBEDDING)
    scan(catalog, [library], hashes="full")
    assert catalog.find()[0].hashes == hash_file(one).as_dict()
    events: list[Event] = []
    scan(catalog, hashes="full", job=Job("scan", events.append))
    assert not [event for event in events if event.phase == "hashing"]


@pytest.mark.parametrize("name", ["one", "best-of-one"])
def test_full_hashes_are_made_of_what_has_all_but_that_of_its_tensors(
    catalog: Catalog, library: Path, make_file: MakeFile, name: str
) -> None:
    """As a download leaves it, which hashes while it writes."""
    one = make_file(library / f"{name}.safetensors", EMBEDDING)
    scan(catalog, [library])
    catalog.set_hashes(catalog.find()[0].id, replace(hash_file(one), autov3=None))
    scan(catalog, hashes="fast")
    assert catalog.find()[0].hashes["autov3"] is None
    scan(catalog, hashes="full")
    assert catalog.find()[0].hashes == hash_file(one).as_dict()


def test_a_stopped_scan_keeps_what_it_has_and_can_be_run_again(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    for number in range(300):
        make_file(library / f"{number:03}.safetensors", EMBEDDING)
    job = Job(
        "scan", lambda event: job.cancel() if event.phase == "indexing" and event.done > 150 else None, interval=0
    )
    with pytest.raises(CancelledError):
        scan(catalog, [library], job=job)
    kept = catalog.count()
    assert 0 < kept < 300
    report = scan(catalog)
    assert (report.added, report.unchanged) == (300 - kept, kept)


def test_two_scans_at_once_make_no_double_rows(library: Path, make_file: MakeFile) -> None:
    for number in range(100):
        make_file(library / f"{number:03}.safetensors", EMBEDDING)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Catalog.open() as own:
                scan(own, [library])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures
    with Catalog.open() as catalog:
        assert catalog.count() == 100


def test_one_file_can_be_added_with_hashes_that_are_known(catalog: Catalog, make_file: MakeFile) -> None:
    path = make_file("one.safetensors", EMBEDDING)
    hashes = hash_file(path)
    asset = catalog.get(add_file(catalog, path, hashes))
    assert (asset.path, asset.sha256, asset.kind) == (path, hashes.sha256, "embedding")


def test_names_that_are_swapped_or_passed_on_take_their_tags_along(
    catalog: Catalog, library: Path, make_file: MakeFile
) -> None:
    for name in ("a", "b", "new", "current"):
        make_file(library / f"{name}.safetensors", {"emb_params": np.zeros((len(name), 768), np.float32)})
    scan(catalog, [library])
    for asset in catalog.find():
        catalog.tag([asset.id], add=[f"was-{asset.path.stem}"])
    for old, new in (("a", "x.part"), ("b", "a"), ("x.part", "b"), ("current", "old"), ("new", "current")):
        (library / f"{old}.safetensors").rename(library / f"{new}.safetensors")
    report = scan(catalog, [library])
    assert (report.moved, report.added, report.missing) == (4, 0, 0)
    assert {asset.path.stem: asset.tags for asset in catalog.find()} == {
        "a": ["was-b"], "b": ["was-a"], "old": ["was-current"], "current": ["was-new"]
    }  # fmt: skip


def test_a_file_that_replaces_another_loses_neither_row(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    for name in ("a", "b"):
        make_file(library / f"{name}.safetensors", EMBEDDING)
    scan(catalog, [library])
    for asset in catalog.find():
        catalog.note(asset.id, f"of {asset.path.stem}")
    (library / "a.safetensors").rename(library / "b.safetensors")
    report = scan(catalog, [library])
    assert (report.moved, report.updated, report.missing) == (0, 1, 1)
    assert {asset.path.stem: (asset.notes, asset.missing) for asset in catalog.find()} == {
        "a": ("of a", True), "b": ("of b", False)
    }  # fmt: skip


def test_a_file_that_could_not_be_read_for_a_while_is_read_by_the_next_scan(
    catalog: Catalog, library: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(library / "one.safetensors", EMBEDDING)

    def refuse(path: Path) -> knowing.Learned:
        raise ForbiddenError(f"{path} may not be accessed by this user.")

    with monkeypatch.context() as patch:
        patch.setattr(knowing, "know", refuse)
        assert scan(catalog, [library]).problems[0].code == "forbidden"
    assert catalog.find()[0].problem_code == "forbidden"
    report = scan(catalog)
    assert (report.updated, report.unchanged, catalog.find()[0].kind) == (1, 0, "embedding")
    assert catalog.find()[0].problem is None


def test_a_file_that_another_path_leads_to_is_not_missing(catalog: Catalog, library: Path, make_file: MakeFile) -> None:
    make_file(library / "z" / "one.safetensors", EMBEDDING)
    scan(catalog, [library])
    (library / "a").symlink_to(library / "z")
    assert scan(catalog, [library]).missing == 0
    assert not any(asset.missing for asset in catalog.find())


def test_a_folder_or_file_whose_name_is_no_text_is_refused_in_words(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    with pytest.raises(FileError, match="not valid UTF-8"):
        scan(catalog, [folder])
    with pytest.raises(FileError, match="not valid UTF-8"):
        add_file(catalog, folder / "a.safetensors")
