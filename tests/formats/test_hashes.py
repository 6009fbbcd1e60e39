"""Hashes against sha256sum, hashlib on slices, zlib and blake3."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.errors import CancelledError, FileError, NotAModelError, VanishedError
from modelhub.formats.hashes import Hashes, hash_file
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
    assert [event.done for event in events] == [0, 4 * MEBI, 8 * MEBI, 9 * MEBI, 9 * MEBI]
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
    assert max(seen) == 4 * MEBI


@pytest.mark.parametrize("size", [3 * MEBI, 20 * MEBI])
def test_a_file_that_changes_its_size_meanwhile_is_noticed(tmp_path: Path, size: int):
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(12 * MEBI))
    job = Job("hash", lambda event: os.truncate(path, size) if event.done else None, interval=0.0)
    with pytest.raises(FileError, match="changed its size") as caught:
        hash_file(path, job=job)
    assert str(path) in caught.value.message


def test_what_is_no_file(tmp_path: Path):
    with pytest.raises(VanishedError):
        hash_file(tmp_path / "gone")
    with pytest.raises(FileError, match="is a folder"):
        hash_file(tmp_path)
    with pytest.raises(NotAModelError, match="device"):
        hash_file("/dev/null")
