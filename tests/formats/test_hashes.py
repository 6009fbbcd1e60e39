"""Hashes against sha256sum, hashlib on slices, zlib and blake3."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leftovers import no_thread_left

from modelhub.errors import CancelledError, FileError, NotAModelError, VanishedError
from modelhub.formats.hashes import Hashes, hash_asset, hash_file, hash_many
from modelhub.formats.lanes import Digest, feed, is_cached, spread
from modelhub.jobs import Event, Job

MEBI = 1 << 20


def _expected(data: bytes, data_start: int | None = None) -> Hashes:
    sha256 = hashlib.sha256(data).hexdigest()
    has_data = data_start is not None and len(data) > data_start
    return Hashes(
        sha256=sha256,
        blake3=blake3(data).hexdigest(),
        crc32=f"{zlib.crc32(data):08x}",
        autov1=hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8] if len(data) >= 0x110000 else None,
        autov2=sha256[:10],
        autov3=hashlib.sha256(data[data_start:]).hexdigest()[:12] if has_data else None,
    )


@pytest.mark.parametrize(
    "size",
    [0, 1, 1000, MEBI, 0x110000 - 1, 0x110000, 0x110001, 4 * MEBI - 1, 4 * MEBI, 4 * MEBI + 1, 8 * MEBI, 13 * MEBI + 7],
)
def test_any_file_at_every_edge(tmp_path: Path, size: int):
    data = np.random.default_rng(size).bytes(size)
    path = tmp_path / "model.ckpt"
    path.write_bytes(data)
    assert hash_file(path) == _expected(data)


@pytest.mark.parametrize("count", [1, 10, 300_000, 1_500_000])
def test_a_safetensors_file(make_file, count: int):
    rng = np.random.default_rng(count)
    path = make_file("a.safetensors", {"w": rng.random(count, np.float32), "n": np.ones(())}, {"note": "é" * 99})
    data = path.read_bytes()
    assert hash_file(path) == _expected(data, 8 + int.from_bytes(data[:8], "little"))


def test_autov3_does_not_change_with_the_metadata(make_file):
    tensors = {"w": np.arange(9.0)}
    one, two = (hash_file(make_file(f"{text}.safetensors", tensors, {"note": text})) for text in ("a", "another"))
    assert one.autov3 == two.autov3 is not None
    assert one.sha256 != two.sha256


def test_a_file_without_data_has_no_autov3(make_file):
    assert hash_file(make_file("a.safetensors", {"w": np.ones((0, 4))})).autov3 is None


def test_a_damaged_safetensors_file_still_has_its_hashes(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x02" + bytes(7) + b"{]" + bytes(50))
    assert hash_file(path) == _expected(path.read_bytes())


def test_the_values_that_others_publish(tmp_path: Path):
    path = tmp_path / "hello.ckpt"
    path.write_bytes(b"hello world")
    hashes = hash_file(path)
    assert hashes.crc32 == "0d4a1185"
    assert hashes.autov2 == "b94d27b993"
    assert list(hashes.as_dict()) == ["sha256", "blake3", "crc32", "autov1", "autov2", "autov3"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_agrees(make_file):
    path = make_file("a name with\nline.safetensors", {"w": np.arange(2_000_000)})
    with path.open("rb") as file:
        said = subprocess.run(["sha256sum"], stdin=file, capture_output=True, text=True, check=True).stdout
    assert hash_file(path).sha256 == said.split()[0]


def test_fast_leaves_the_rare_ones_out(make_file):
    path = make_file("a.safetensors", {"w": np.arange(400_000)})
    fast, full = hash_file(path, "fast"), hash_file(path, "full")
    assert fast == Hashes(sha256=full.sha256, blake3=full.blake3, autov2=full.autov2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_small_files(tmp_path: Path, data: bytes):
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    assert hash_file(path) == _expected(data)


def test_progress_counts_every_byte(tmp_path: Path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(9 * MEBI))
    events: list[Event] = []
    hash_file(path, job=Job("hash", events.append, interval=0.0))
    done = [event.done for event in events]
    assert done[0] == 0 and done[-1] == 9 * MEBI and len(set(done)) > 9
    assert {(event.total, event.unit) for event in events} == {(9 * MEBI, "bytes")}


def test_it_can_be_cancelled(tmp_path: Path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(20 * MEBI))
    seen: list[int] = []

    def watch(event: Event) -> None:
        seen.append(event.done)
        if event.done:
            job.cancel()

    job = Job("hash", watch, interval=0.0)
    with pytest.raises(CancelledError):
        hash_file(path, job=job)
    assert max(seen) <= MEBI


@pytest.mark.parametrize("size", [3 * MEBI, 20 * MEBI])
def test_a_file_that_changes_its_size_meanwhile_is_noticed(tmp_path: Path, size: int):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(12 * MEBI))
    job = Job("hash", lambda event: os.truncate(path, size) if event.done else None, interval=0.0)
    with pytest.raises(FileError, match="changed its size") as caught:
        hash_file(path, job=job)
    assert str(path) in caught.value.message


def test_a_file_that_is_rewritten_meanwhile_is_noticed(tmp_path: Path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(3 * MEBI))
    job = Job("hash", lambda event: os.utime(path, ns=(1, 1)) if event.done else None, interval=0.0)
    with pytest.raises(FileError, match="was written to while it was read"):
        hash_file(path, job=job)


@pytest.mark.parametrize("threads", range(1, 6))
def test_lanes_give_every_digest_every_byte_in_order(tmp_path: Path, threads: int):
    data = np.random.default_rng(threads).bytes(3 * MEBI + 5)
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    taken = [bytearray() for _ in range(4)]
    starts = [0, 1, 600_000, 3 * MEBI + 5]
    digests = [
        Digest(part.extend, cost, start) for part, cost, start in zip(taken, (3, 1, 1, 0.1), starts, strict=True)
    ]
    heard: list[int] = []
    with path.open("rb") as file:
        assert feed(file.fileno(), len(data), digests, threads, heard.append) == len(data)
    assert [bytes(part) for part in taken] == [data[start:] for start in starts]
    assert sum(heard) == len(data)


def test_lanes_share_the_work_evenly():
    def nothing(data: memoryview) -> None:
        pass

    def costs(threads: int) -> list[float]:
        return [sum(digest.cost for digest in lane) for lane in spread(digests, threads)]

    digests = [Digest(nothing, cost) for cost in (1, 0.25, 0.35, 1)]
    assert costs(1) == [2.6]
    assert max(costs(2)) < 1.4
    assert sorted(costs(9)) == [0.25, 0.35, 1, 1]


def test_a_slow_lane_is_waited_for(tmp_path: Path):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(40 * MEBI))
    fast, slow, apart = 0, 0, []

    def quick(data: memoryview) -> None:
        nonlocal fast
        fast += len(data)
        apart.append(fast - slow)

    def tired(data: memoryview) -> None:
        nonlocal slow
        time.sleep(0.002)
        slow += len(data)

    with path.open("rb") as file:
        feed(file.fileno(), 40 * MEBI, [Digest(quick, 1), Digest(tired, 1)], 2, lambda count: None)
    assert fast == slow == 40 * MEBI
    assert 4 * MEBI < max(apart) < 20 * MEBI


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="this system does not say what is cached")
def test_a_file_that_was_not_in_memory_is_not_left_there(tmp_path: Path):
    path = tmp_path / "x.bin"
    path.write_bytes(np.random.default_rng(1).bytes(24 * MEBI))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if is_cached(file.fileno(), 24 * MEBI):
            pytest.skip("this file system keeps everything in memory")
        assert hash_file(path) == _expected(path.read_bytes())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        hash_file(path)
        assert not is_cached(file.fileno(), 24 * MEBI)
        path.read_bytes()
        hash_file(path)
        assert is_cached(file.fileno(), 24 * MEBI)


def test_many_files_at_once_yield_as_they_are_done(tmp_path: Path):
    paths = [tmp_path / f"{number}.bin" for number in range(9)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (number * 300_000))
    gone = tmp_path / "gone.bin"
    events: list[Event] = []
    found = dict(hash_many([*paths, gone], "full", 3, Job("hash", events.append, interval=0.0)))
    assert {path: found[path] for path in paths} == {path: _expected(path.read_bytes()) for path in paths}
    assert isinstance(found[gone], VanishedError)
    total = sum(path.stat().st_size for path in paths)
    assert {event.total for event in events} == {total} and events[-1].done == total


@pytest.mark.parametrize("lanes", [1, 3])
def test_many_files_stop_when_asked_and_keep_what_was_yielded(tmp_path: Path, lanes: int):
    paths = [tmp_path / f"{number}.bin" for number in range(12)]
    for path in paths:
        path.write_bytes(bytes(MEBI))
    job = Job("hash")
    found = []
    with pytest.raises(CancelledError):
        for one in hash_many(paths, "fast", lanes, job):
            found.append(one)
            job.cancel()
    assert 1 <= len(found) <= 2 * lanes


def test_many_files_may_be_left_in_the_middle(tmp_path: Path):
    paths = [tmp_path / f"{number}.bin" for number in range(4)]
    for path in paths:
        path.write_bytes(bytes(MEBI))
    with no_thread_left():
        answers = hash_many(paths, lanes=2)
        assert next(answers)[0] in paths
        answers.close()
    assert list(hash_many([])) == []


def test_an_asset_of_several_files_has_the_hash_of_their_list(make_file, tmp_path: Path):
    for number in (1, 2):
        make_file(f"m-0000{number}-of-00002.safetensors", {f"w{number}": np.arange(number * 5.0)})
    names = [f"m-0000{number}-of-00002.safetensors" for number in (1, 2)]
    listing = "".join(f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    trees = "".join(f"{blake3((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    found = hash_asset(tmp_path / names[0])
    sha256 = hashlib.sha256(listing.encode()).hexdigest()
    assert found == Hashes(sha256=sha256, blake3=blake3(trees.encode()).hexdigest(), autov2=sha256[:10])
    assert dict(hash_many([tmp_path / names[0]])) == {tmp_path / names[0]: found}


def test_what_is_no_file(tmp_path: Path):
    with pytest.raises(VanishedError):
        hash_file(tmp_path / "gone")
    with pytest.raises(FileError, match="is a folder"):
        hash_file(tmp_path)
    with pytest.raises(NotAModelError, match="device"):
        hash_file("/dev/null")
