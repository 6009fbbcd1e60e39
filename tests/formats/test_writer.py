"""The writer: what the library reads back bit for bit, whatever the workers and blocks; whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fresh_python import python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leftovers import no_thread_left
from safetensors import safe_open
from safetensors.torch import load_file

from modelhub.errors import (
    CancelledError,
    CorruptFileError,
    FileError,
    FileExistsAlreadyError,
    NoSpaceError,
    UsageError,
)
from modelhub.formats import copying
from modelhub.formats.header import Header
from modelhub.formats.pump import Pump, pieces
from modelhub.formats.safetensors import SafetensorsFile, read_header
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.writer import Written, write
from modelhub.jobs import Event, Job


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors on busy cores: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Memory(TensorSource):
    """A source that exists nowhere but here; `before` is called with every offset that is read."""

    def __init__(
        self, tensors: dict[str, tuple[str, tuple[int, ...], bytes]], metadata: dict[str, str] | None = None
    ) -> None:
        self.header = Header.of([(name, dtype, shape) for name, (dtype, shape, _) in tensors.items()], metadata)
        self._data = {name: data for name, (_, _, data) in tensors.items()}
        self.before: Callable[[str, int], None] = lambda name, offset: None

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Copy from memory."""
        self.before(name, offset)
        assert offset + len(buffer) <= len(self._data[name])
        buffer[:] = self._data[name][offset : offset + len(buffer)]


def _noise(size: int, seed: int = 0) -> bytes:
    return (
        torch.randint(0, 256, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
        .numpy()
        .tobytes()
    )


def _sample() -> Memory:
    return Memory(
        {
            "w": ("F32", (40, 30), _noise(4800, 1)),
            "half": ("BF16", (1001,), _noise(2002, 2)),
            "eight": ("F8_E4M3", (13, 7), _noise(91, 3)),
            "wide": ("I64", (33,), _noise(264, 4)),
            "none": ("F16", (0, 5), b""),
            "scalar": ("F16", (), _noise(2, 5)),
        },
        {"title": "a sample\nof all", "emoji": "\U0001f600"},
    )


def _large() -> Memory:
    return Memory({f"t{index}": ("U8", (3_000_000,), _noise(3_000_000, index)) for index in range(4)})


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _check(written: Written, path: Path) -> None:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert written.path == path
    assert written.size == len(data)
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.tensor_sha256 == hashlib.sha256(data[start:]).hexdigest()
    assert written.tensors == len(read_header(path).tensors)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_the_library_reads_every_bit_back(folder: Path):
    source, path = _sample(), folder / "a.safetensors"
    _check(write(source, path), path)
    tensors = load_file(path)
    assert set(tensors) == set(source.header.tensors)
    for name, tensor in tensors.items():
        assert tuple(tensor.shape) == source.info(name).shape
        flat = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        assert flat == source.read_bytes(name)
    with safe_open(path, "pt") as file:
        assert file.metadata() == source.header.metadata
    assert _left(folder) == ["a.safetensors"]


def test_a_copy_of_a_file_of_the_library(make_file, folder: Path):
    tensors = {
        "w": torch.randn(50, 20),
        "b": torch.randn(7).bfloat16(),
        "flag": torch.tensor(True),
        "none": torch.ones(0),
    }
    original = make_file("original.safetensors", tensors, {"note": "kept"})
    with SafetensorsFile(original) as source:
        written = write(source, folder / "copy.safetensors")
    _check(written, folder / "copy.safetensors")
    copied = load_file(folder / "copy.safetensors")
    assert set(copied) == set(tensors)
    assert all(
        torch.equal(copied[name], tensor) and copied[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
    assert written.tensor_sha256 == hashlib.sha256(original.read_bytes()[source.header.data_start :]).hexdigest()


def test_a_copy_of_a_copy_is_the_same_file(folder: Path):
    first = write(_sample(), folder / "a.safetensors")
    with SafetensorsFile(folder / "a.safetensors") as source:
        second = write(source, folder / "b.safetensors")
    assert first.sha256 == second.sha256


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_agrees(folder: Path):
    written = write(_large(), folder / "a.safetensors")
    said = subprocess.run(["sha256sum", written.path], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == written.sha256


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("block", [1, 7, 64, 1000, 4096, 1 << 20])
def test_workers_and_blocks_make_no_difference(folder: Path, workers: int, block: int):
    source = _sample()
    write(source, folder / "a.safetensors")
    _check(write(source, folder / "b.safetensors", workers=workers, block=block), folder / "b.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


def test_blocks_hold_whole_elements(folder: Path):
    source = _sample()
    wrong: list[tuple[str, int]] = []
    width = {"w": 4, "half": 2, "eight": 1, "wide": 8, "scalar": 2}
    source.before = lambda name, offset: wrong.append((name, offset)) if offset % width[name] else None
    write(source, folder / "a.safetensors", block=7)
    assert wrong == []


def test_a_slow_first_block_does_not_change_the_order(folder: Path):
    source, gate = _sample(), threading.Event()

    def hold(name: str, offset: int) -> None:
        if (name, offset) == ("wide", 0):
            gate.wait(0.2)

    source.before = hold
    write(source, folder / "a.safetensors", block=64, workers=4)
    write(_sample(), folder / "b.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


def test_nothing_at_all_can_be_written(folder: Path):
    written = write(Memory({}), folder / "a.safetensors")
    _check(written, folder / "a.safetensors")
    assert written.tensor_sha256 == hashlib.sha256().hexdigest()


SHAPES = st.lists(
    st.tuples(st.sampled_from(["U8", "F16", "F32", "F64", "BF16"]), st.lists(st.integers(0, 6), max_size=3)), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    SHAPES,
    st.integers(1, 4),
    st.integers(1, 99),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=9),
)
def test_any_range_is_known_before_the_file_exists(folder: Path, shapes, workers: int, block: int, ranges):
    sizes = {"U8": 1, "F16": 2, "F32": 4, "F64": 8, "BF16": 2}
    source = Memory(
        {
            f"t{index}": (dtype, tuple(shape), _noise(sizes[dtype] * int(torch.Size(shape).numel()), index))
            for index, (dtype, shape) in enumerate(shapes)
        },
        {"note": "x" * (block % 8)},
    )
    foretold = [source.read_range(offset, size) for offset, size in ranges]
    path = folder / "a.safetensors"
    written = write(source, path, force=True, workers=workers, block=block)
    _check(written, path)
    data = path.read_bytes()
    assert foretold == [data[offset : offset + size] for offset, size in ranges]
    assert source.read_range(0, written.size) == data
    assert source.header.file_size == written.size


def test_an_existing_file_is_kept_without_force(folder: Path):
    path = folder / "a.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsAlreadyError) as caught:
        write(_sample(), path)
    assert str(path) in caught.value.message
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"precious"
    _check(write(_sample(), path, force=True), path)
    assert _left(folder) == ["a.safetensors"]


@pytest.mark.parametrize("target", ["nowhere/a.safetensors", "a.safetensors"])
def test_a_link_that_leads_nowhere_is_kept_without_force(folder: Path, target: str):
    """The disk that it leads to may be mounted tomorrow."""
    path = folder / "a.safetensors"
    path.symlink_to(folder / target)
    with pytest.raises(FileExistsAlreadyError):
        write(_sample(), path)
    assert os.readlink(path) == str(folder / target) and _left(folder) == ["a.safetensors"]  # noqa: PTH115
    _check(write(_sample(), path, force=True), path)
    assert not path.is_symlink()


def test_what_was_written_can_be_told_from_what_comes_later(folder: Path):
    written = write(_sample(), folder / "a.safetensors")
    assert written.stat == FileStat.of(written.path.stat())
    again = write(_sample(), written.path, force=True)
    assert again.stat == FileStat.of(written.path.stat()) != written.stat


def test_a_file_can_be_replaced_by_a_view_of_itself(folder: Path):
    path = folder / "a.safetensors"
    first = write(_large(), path)
    with SafetensorsFile(path) as source:
        assert write(source, path, force=True).sha256 == first.sha256


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ckpt", UsageError),
        ("a", UsageError),
        ("missing/a.safetensors", UsageError),
        ("a\0b.safetensors", UsageError),
        ("folder.safetensors", FileExistsAlreadyError),
        ("file/a.safetensors", UsageError),
        ("x" * 300 + ".safetensors", FileError),
    ],
)
def test_a_goal_that_cannot_be_is_refused_first(folder: Path, name: str, kind: type[Exception]):
    (folder / "folder.safetensors").mkdir()
    (folder / "file").touch()
    source = _sample()
    source.before = lambda name, offset: pytest.fail("it began to read")
    with pytest.raises(kind):
        write(source, folder / name)
    assert _left(folder) == ["file", "folder.safetensors"]


def test_a_name_as_long_as_the_file_system_allows(folder: Path):
    path = folder / ("x" * (255 - len(".safetensors")) + ".safetensors")
    _check(write(_sample(), path), path)


def test_progress_counts_every_byte(folder: Path):
    events: list[Event] = []
    written = write(_sample(), folder / "a.safetensors", block=500, job=Job("merge", events.append, interval=0.0))
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, written.size)
    assert {(event.total, event.unit) for event in events} == {(written.size, "bytes")}
    assert {"wide", "w", "half", "eight", "scalar"} <= {event.item for event in events}


def _expect_nothing_left(
    folder: Path, source: TensorSource, kind: type[BaseException], job: Job | None = None
) -> BaseException:
    """Writing fails with `kind`; neither a new file nor a temporary one is left, and an old file is as it was."""
    old = folder / "old.safetensors"
    old.write_bytes(b"old")
    for path in (folder / "new.safetensors", old):
        with no_thread_left(), pytest.raises(kind) as caught:
            write(source, path, force=True, block=100_000, job=job or Job("test"))
    assert _left(folder) == ["old.safetensors"]
    assert old.read_bytes() == b"old"
    return caught.value


def test_cancelled_in_the_middle(folder: Path):
    def watch(event: Event) -> None:
        if event.done > 5_000_000:
            job.cancel()

    job = Job("merge", watch, interval=0.0)
    _expect_nothing_left(folder, _large(), CancelledError, job)


def test_cancelled_when_only_the_rename_is_left(folder: Path):
    def watch(event: Event) -> None:
        if event.total is not None and event.done == event.total:
            job.cancel()

    job = Job("merge", watch, interval=0.0)
    _expect_nothing_left(folder, _large(), CancelledError, job)


def test_cancelled_by_another_thread(folder: Path):
    source, job = _large(), Job("merge")

    def cancel(name: str, offset: int) -> None:
        if (name, offset) == ("t2", 0):
            job.cancel()

    source.before = cancel
    _expect_nothing_left(folder, source, CancelledError, job)


@pytest.mark.parametrize("kind", [CorruptFileError, KeyboardInterrupt, ZeroDivisionError, MemoryError])
def test_the_source_fails_in_the_middle(folder: Path, kind: type[BaseException]):
    source = _large()

    def fail(name: str, offset: int) -> None:
        if name == "t2":
            raise kind("in the middle")

    source.before = fail
    _expect_nothing_left(folder, source, kind)


def test_interrupted_in_the_middle(folder: Path):
    def interrupt(event: Event) -> None:
        if event.done > 5_000_000:
            raise KeyboardInterrupt

    _expect_nothing_left(folder, _large(), KeyboardInterrupt, Job("merge", interrupt, interval=0.0))


def test_a_worker_that_nobody_waits_for_writes_to_no_other_file(folder: Path, tmp_path: Path):
    is_closed, done = threading.Event(), threading.Event()
    source = Memory({"x": ("U8", (1000,), _noise(1000))})
    source.before = lambda name, offset: (is_closed.wait(20), None)[1]
    file = (tmp_path / "part").open("w+b", buffering=0)
    pump = Pump(source, file, lambda piece, view, at: done.set(), 1, 100)
    pump.add(pieces(source, "x", 0, 100, alone=False))
    number = file.fileno()
    file.close()  # as when a second Ctrl-C comes while the workers are waited for
    other = (tmp_path / "another").open("w+b", buffering=0)
    assert other.fileno() == number
    is_closed.set()
    assert done.wait(20)
    pump.close()
    assert (other.seek(0, 2), (tmp_path / "part").stat().st_size > 0) == (0, True)
    other.close()


def test_the_source_shrinks_in_the_middle(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copying, "CHUNK", 100_000)
    write(_large(), tmp_path / "source.safetensors")
    with SafetensorsFile(tmp_path / "source.safetensors") as source:
        shrink = Job(
            "merge", lambda event: os.truncate(source.path, 8_000_000) if event.done > 5_000_000 else None, interval=0.0
        )
        error = _expect_nothing_left(folder, source, CorruptFileError, shrink)
    assert "source.safetensors" in str(error)


def test_a_full_disk_is_seen_before_the_first_byte(folder: Path, monkeypatch: pytest.MonkeyPatch):
    source = _large()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    source.before = lambda name, offset: pytest.fail("it began to read")
    with pytest.raises(NoSpaceError) as caught:
        write(source, folder / "a.safetensors")
    assert "12 MB" in caught.value.message
    assert "1 MB" in caught.value.message
    assert _left(folder) == []


_FULL = """
import resource, signal, sys
from modelhub.errors import NoSpaceError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
with SafetensorsFile(sys.argv[1]) as source:
    try:
        write(source, sys.argv[2])
    except NoSpaceError as error:
        print(error.code, error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of a file here")
def test_a_disk_that_fills_up_in_the_middle(folder: Path, tmp_path: Path):
    write(_large(), tmp_path / "source.safetensors")
    goal = folder / "a.safetensors"
    said = python(_FULL, tmp_path / "source.safetensors", goal)
    assert said.startswith(f"no-space {goal} ")
    assert _left(folder) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The real ENOSPC of the kernel, on the temporary file that the writer opens."""
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", *rest, **more: opened(Path("/dev/full"), "wb", *rest, **more)
    )  # fmt: skip
    with pytest.raises(NoSpaceError, match="does not fit on the disk"):
        write(_sample(), folder / "a.safetensors")
    assert _left(folder) == []


def test_two_writers_of_one_name_do_not_disturb_each_other(folder: Path):
    path = folder / "a.safetensors"
    results: list[Written] = []
    threads = [
        threading.Thread(target=lambda: results.append(write(_large(), path, force=True, block=50_000)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    _check(results[0], path)
    assert _left(folder) == ["a.safetensors"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(folder: Path):
    folder.chmod(0o500)
    try:
        with pytest.raises(FileError, match="may not be accessed"):
            write(_sample(), folder / "a.safetensors")
    finally:
        folder.chmod(0o700)


_PEAK = """
import sys
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) * 1024
with SafetensorsFile(sys.argv[1]) as source:
    before = peak()
    write(source, sys.argv[2])
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_model(folder: Path, tmp_path: Path):
    header = Header.of([("one", "F16", (100_000_000,)), ("two", "F32", (25_000_000,))])
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(header.encoded)
    os.truncate(path, header.file_size)
    assert int(python(_PEAK, path, folder / "a.safetensors")) < 60_000_000
    assert (folder / "a.safetensors").stat().st_size == header.file_size > 300_000_000
    (folder / "a.safetensors").unlink()
