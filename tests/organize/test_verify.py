"""Verifying: rot is told from a change, from a loss and from a lack of hashes; nothing is read twice for nothing."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError
from modelhub.formats.hashes import EMPTY_SHA256, hash_asset, hash_file
from modelhub.jobs import Event, Job
from modelhub.organize import verify as verifying
from modelhub.organize.verify import Verdict, stalest, verify


@pytest.fixture
def add(shelf, make_file):
    """`add("a")` puts a safetensors file into the catalog, hashed or not."""

    def call(name: str, hashed: bool = True, metadata: dict[str, str] | None = None) -> Asset:
        values = np.random.default_rng(len(name)).random(1000, np.float32)
        path = make_file(shelf.folder / f"{name}.safetensors", {"w": values}, metadata)
        asset = shelf.know(path)
        if hashed:
            shelf.catalog.set_hashes(asset.id, hash_file(path))
        return shelf.get(asset)

    return call


def _flip(path: Path, position: int = -7) -> None:
    """One bit, and the times as they were."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[position] ^= 16
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _one(catalog: Catalog, asset: Asset) -> Verdict:
    (verdict,) = verify(catalog, [asset]).verdicts
    return verdict


def test_a_file_as_it_was_is_ok(add, shelf):
    asset = add("a")
    before = time.time()
    assert _one(shelf.catalog, asset) == Verdict(asset, "ok")
    assert before <= shelf.get(asset).verified <= time.time()


@pytest.mark.parametrize("position", [-7, 20, 3], ids=["data", "header", "length"])
def test_one_bit_of_rot_is_found_and_kept(add, shelf, position: int):
    asset = add("a")
    _flip(asset.path, position)
    verdict = _one(shelf.catalog, asset)
    assert verdict.status == "rot" and str(asset.path) in verdict.message and asset.sha256 in verdict.message
    after = shelf.get(asset)
    assert (after.problem_code, after.problem, after.verified) == ("bit-rot", verdict.message, None)
    assert after.hashes == asset.hashes


def test_a_file_that_was_put_back_is_no_problem_any_more(add, shelf):
    asset = add("a")
    _flip(asset.path)
    assert _one(shelf.catalog, asset).status == "rot"
    _flip(asset.path)
    assert _one(shelf.catalog, shelf.get(asset)).status == "ok"
    assert shelf.get(asset).problem_code is shelf.get(asset).problem is None


def test_another_problem_stays(add, shelf):
    asset = add("a")
    shelf.catalog.set_problem(asset.id, "corrupt-file", "It has half a header.")
    assert _one(shelf.catalog, shelf.get(asset)).status == "ok"
    assert shelf.get(asset).problem == "It has half a header."


def test_a_file_that_was_written_to_is_changed_and_no_rot(add, shelf):
    asset = add("a")
    asset.path.write_bytes(asset.path.read_bytes() + b"\0")
    touched = add("b2")
    os.utime(touched.path)
    found = verify(shelf.catalog, [asset, touched])
    assert [verdict.status for verdict in found.verdicts] == ["changed", "changed"]
    assert "scan again" in found.verdicts[0].message
    assert shelf.get(asset).problem is None and found.bytes == 0


def test_a_file_that_is_gone_is_missing(add, shelf):
    asset = add("a")
    asset.path.unlink()
    assert _one(shelf.catalog, asset).status == "missing"


def test_a_file_without_a_hash_gets_one(add, shelf):
    asset = add("a", hashed=False)
    verdict = _one(shelf.catalog, asset)
    assert verdict.status == "unhashed" and "has one now" in verdict.message
    assert shelf.get(asset).hashes == hash_file(asset.path).as_dict()
    assert _one(shelf.catalog, shelf.get(asset)).status == "ok"


def test_a_header_that_no_longer_parses_is_rot_without_a_hash(add, shelf):
    asset = add("a", hashed=False)
    _flip(asset.path, 8)
    verdict = _one(shelf.catalog, asset)
    assert verdict.status == "rot" and "could be read when it was scanned" in verdict.message
    assert shelf.get(asset).sha256 is None


def test_a_file_that_may_not_be_read(add, shelf):
    asset = add("a")
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    asset.path.chmod(0)
    assert _one(shelf.catalog, asset).status == "unreadable"


def test_a_folder_in_the_place_of_a_file_is_no_rot(add, shelf):
    asset = add("a")
    asset.path.unlink()
    asset.path.mkdir()
    assert _one(shelf.catalog, asset).status in ("changed", "unreadable", "missing")
    assert shelf.get(asset).problem is None


def test_a_set_of_shards(shelf, make_file):
    names = [f"m-0000{number}-of-00002.safetensors" for number in (1, 2)]
    paths = [make_file(shelf.folder / name, {f"w{name}": np.arange(9.0)}) for name in names]
    from modelhub.formats.opening import stat_of

    asset = shelf.know(paths[0])
    shelf.catalog.set_stat(asset.id, stat_of(paths[0]))
    shelf.catalog.set_hashes(asset.id, hash_asset(paths[0]))
    assert _one(shelf.catalog, shelf.get(asset)).status == "ok"
    _flip(paths[1])
    assert _one(shelf.catalog, shelf.get(asset)).status == "rot"


def test_a_declared_hash_that_differs_is_a_note(add, shelf):
    asset = add("a")
    good = {"sha256": asset.sha256.upper(), "autov3": asset.hashes["autov3"]}
    assert _one(shelf.catalog, replace(asset, sidecar={"hashes": good})).notes == ()
    verdict = _one(shelf.catalog, replace(asset, sidecar={"hashes": {"sha256": "ab" * 32, "blake3": 5}}))
    assert verdict.status == "ok"
    (note,) = verdict.notes
    assert "ab" * 32 in note and "beside it declares" in note


def test_a_hash_in_the_metadata_is_compared_with_the_data(add, shelf):
    right = add("a").hashes["autov3"]
    for declared, notes in (("0x" + "1" * 64, 1), (EMPTY_SHA256, 0), (right, 0), (f"0x{right.upper()}", 0)):
        asset = add("b", metadata={"modelspec.hash_sha256": declared})
        assert len(_one(shelf.catalog, asset).notes) == notes, declared


def test_those_that_waited_longest_come_first(add, shelf):
    assets = [add(name) for name in ("a", "bb", "ccc")]
    now = time.time()
    shelf.catalog.set_verified(assets[0].id, now - 10)
    shelf.catalog.set_verified(assets[2].id, now - 9 * 86_400)
    assets = [shelf.get(asset) for asset in assets]
    assert [asset.name[:1] for asset in stalest(assets)] == ["b", "c", "a"]
    assert [asset.name[:1] for asset in stalest(assets, days=1)] == ["b", "c"]
    assert [asset.name[:1] for asset in stalest(assets, days=30)] == ["b"]


def test_a_stop_keeps_what_was_verified(add, shelf):
    assets = [add("a" * number) for number in range(1, 9)]

    def stop_at_third(event: Event) -> None:
        if event.done >= sum(asset.size for asset in assets[:3]):
            job.cancel()

    job = Job("verify", stop_at_third, interval=0.0)
    with pytest.raises(CancelledError, match="are as hashed"):
        verify(shelf.catalog, assets, job)
    verified = [shelf.get(asset).verified is not None for asset in assets]
    assert 1 <= sum(verified) < 8 and verified == sorted(verified, reverse=True)


def test_a_file_that_is_scanned_anew_meanwhile_is_not_judged(add, shelf):
    asset = add("a")
    stale = replace(asset, hashes={**asset.hashes, "sha256": "0" * 64})
    assert _one(shelf.catalog, stale).status == "changed"
    assert shelf.get(asset).problem is None


def test_a_file_that_is_written_to_while_it_is_read_is_no_rot(add, shelf, monkeypatch):
    asset = add("a")
    read = verifying.hash_many

    def written_to(paths, *args, **kwargs):
        asset.path.write_bytes(b"a new version")
        return read(paths, *args, **kwargs)

    monkeypatch.setattr(verifying, "hash_many", written_to)
    assert _one(shelf.catalog, asset).status == "changed"
    assert shelf.get(asset).problem is None


def test_the_report_counts(add, shelf):
    assets = [add("a"), add("bb", hashed=False), add("ccc")]
    assets[2].path.unlink()
    report = verify(shelf.catalog, assets)
    data = report.as_dict()
    assert (data["files"], data["ok"], data["unhashed"], data["missing"], data["rot"]) == (3, 1, 1, 1, 0)
    assert data["bytes"] == assets[0].size + assets[1].size
    assert {result["status"] for result in data["results"]} == {"ok", "unhashed", "missing"}
