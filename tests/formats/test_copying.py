"""Copying by the kernel: the same file as without it, from whatever mix of sources, and whole or not at all."""

from __future__ import annotations

import errno
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fresh_python import python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from modelhub.errors import CancelledError, CorruptFileError
from modelhub.formats import copying, syncing
from modelhub.formats.cast import Cast
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Combined, Held, Renamed
from modelhub.formats.writer import write
from modelhub.jobs import Event, Job

NAMES = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8", "bool": "BOOL"}
needs_kernel = pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="no copy_file_range here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _array(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(shape) * 50).astype(dtype)


def _large(folder: Path, name: str = "large.safetensors", tensors: int = 4) -> Path:
    save_file({f"t{at}": _array("uint8", (3_000_000,), at) for at in range(tensors)}, folder / name)
    return folder / name


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Deaf(SafetensorsFile):
    """A file whose bytes nobody may read: they have to be copied."""

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Fail."""
        pytest.fail(f"{name} was read")


def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)


def _other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)


def _gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies a little, then says that nothing is left."""
    real, calls = os.copy_file_range, iter(range(10**6))
    monkeypatch.setattr(
        os, "copy_file_range", lambda a, b, size, at: real(a, b, min(size, 101), at) if next(calls) % 3 else 0
    )


def _dribbles(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.copy_file_range
    monkeypatch.setattr(os, "copy_file_range", lambda a, b, size, at: real(a, b, min(size, 997), at))


KERNELS: list[Callable[[pytest.MonkeyPatch], None]] = [lambda _: None, _no_kernel, _other_file_system]
if hasattr(os, "copy_file_range"):
    KERNELS += [_gives_up, _dribbles]

TENSORS = st.lists(
    st.tuples(
        st.sampled_from(["file", "other", "held", "cast"]),
        st.sampled_from(sorted(NAMES)),
        st.lists(st.integers(0, 12), max_size=3).map(tuple),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(TENSORS, st.sampled_from(KERNELS), st.booleans(), st.booleans(), st.integers(1, 999), st.randoms())
def test_any_mix_is_what_the_library_reads(
    folder: Path, tensors, kernel, hashes: bool, verify: bool, block: int, order: random.Random
):
    wanted, source = _mixed(folder, tensors, order)
    with source, pytest.MonkeyPatch.context() as patch:
        kernel(patch)
        written = write(source, folder / "a.safetensors", force=True, block=block, hashes=hashes, verify=verify)
        assert (folder / "a.safetensors").read_bytes() == source.read_range(0, written.size)
    found = load_file(folder / "a.safetensors")
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array), name


def _mixed(folder: Path, tensors, order: random.Random) -> tuple[dict[str, np.ndarray], TensorSource]:
    """The arrays that a view of two files, tensors in memory, and cast ones should have, in any order."""
    arrays = {f"t{at}": _array(dtype, shape, at) for at, (_, dtype, shape) in enumerate(tensors)}
    where = {f"t{at}": kind for at, (kind, *_) in enumerate(tensors)}
    files = {}
    for kind in ("file", "other"):
        some = {name: array for name, array in arrays.items() if where[name] == kind}
        save_file(some, folder / f"{kind}.safetensors")
        files[kind] = SafetensorsFile(folder / f"{kind}.safetensors")
    held = {
        name: (NAMES[array.dtype.name], array.shape, array.tobytes())
        for name, array in arrays.items()
        if where[name] in ("held", "cast")
    }
    cast = [name for name, array in arrays.items() if where[name] == "cast" and array.dtype == np.float32]
    names = list(arrays)
    order.shuffle(names)
    every = Combined([Cast(Held(held), dict.fromkeys(cast, "F16")), *files.values()])
    parts = [Renamed(every, lambda name, one=one: name if name == one else None) for one in names]
    wanted = {name: array.astype(np.float16) if name in cast else array for name, array in arrays.items()}
    return wanted, Combined(parts or [every])


@needs_kernel
def test_tensors_that_follow_each_other_are_copied_in_one_go(folder: Path, monkeypatch: pytest.MonkeyPatch):
    path = folder / "many.safetensors"
    save_file({f"t{at:03}": _array("float16", (at % 7, 50), at) for at in range(300)}, path)
    calls: list[int] = []
    real = os.copy_file_range

    def copy(source: int, goal: int, size: int, at: int) -> int:
        calls.append(size)
        return real(source, goal, size, at)

    monkeypatch.setattr(os, "copy_file_range", copy)
    with Deaf(path) as source:
        assert write(source, folder / "a.safetensors", hashes=False).sha256 is None
        assert calls == [source.header.data_size]
    assert (folder / "a.safetensors").read_bytes() == path.read_bytes()


@needs_kernel
def test_what_is_left_out_is_not_copied(folder: Path):
    path = _large(folder)
    with Renamed(Deaf(path), lambda name: {"t3": "x", "t1": "y"}.get(name)) as source:
        written = write(source, folder / "a.safetensors", hashes=False)
    found, was = load_file(folder / "a.safetensors"), load_file(path)
    assert (written.sha256, written.tensor_sha256, written.autov3, written.tensors) == (None, None, None, 2)
    assert set(found) == {"x", "y"}
    assert np.array_equal(found["x"], was["t3"])
    assert np.array_equal(found["y"], was["t1"])


@pytest.mark.parametrize("kernel", KERNELS)
def test_progress_counts_every_byte(folder: Path, monkeypatch: pytest.MonkeyPatch, kernel):
    monkeypatch.setattr(copying, "CHUNK", 100_000)
    kernel(monkeypatch)
    events: list[Event] = []
    job = Job("convert", events.append, interval=0.0)
    with SafetensorsFile(_large(folder)) as source:
        written = write(source, folder / "a.safetensors", hashes=False, job=job)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, written.size)
    assert {event.total for event in events} == {written.size}
    assert {"t0", "t1", "t2", "t3"} <= {event.item for event in events}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("verify", [False, True])
def test_cancelled_in_the_middle(folder: Path, monkeypatch: pytest.MonkeyPatch, kernel, verify: bool):
    monkeypatch.setattr(copying, "CHUNK", 100_000)
    monkeypatch.setattr(syncing, "STEP", 1_000_000)
    kernel(monkeypatch)
    job = Job("convert", lambda event: job.cancel() if event.done > 5_000_000 else None, interval=0.0)
    with SafetensorsFile(_large(folder)) as source, pytest.raises(CancelledError):
        write(source, folder / "a.safetensors", hashes=False, verify=verify, job=job)
    assert _left(folder) == ["large.safetensors"]


def test_no_step_is_longer_than_a_cancelled_job_may_wait():
    assert copying.CHUNK <= 64 << 20


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("verify", [False, True])
def test_the_source_is_cut_short_in_the_middle(folder: Path, monkeypatch: pytest.MonkeyPatch, kernel, verify: bool):
    monkeypatch.setattr(copying, "CHUNK", 100_000)
    kernel(monkeypatch)
    path = _large(folder)
    job = Job("convert", lambda event: os.truncate(path, 8_000_000) if event.done > 5_000_000 else None, interval=0.0)
    with SafetensorsFile(path) as source, pytest.raises(CorruptFileError, match=r"large\.safetensors became shorter"):
        write(source, folder / "a.safetensors", hashes=False, verify=verify, job=job)
    assert _left(folder) == ["large.safetensors"]


def test_a_source_that_was_closed_is_no_source(folder: Path):
    with SafetensorsFile(_large(folder)) as source:
        pass
    with pytest.raises(Exception, match=r"large\.safetensors"):
        write(source, folder / "a.safetensors", hashes=False)
    assert _left(folder) == ["large.safetensors"]


_FULL = """
import resource, signal, sys
from modelhub.errors import NoSpaceError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
with SafetensorsFile(sys.argv[1]) as source:
    try:
        write(source, sys.argv[2], hashes=False, verify=True)
    except NoSpaceError as error:
        print(error.code, error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of a file here")
def test_a_disk_that_fills_up_in_the_middle(folder: Path):
    path = _large(folder)
    assert python(_FULL, path, folder / "a.safetensors").startswith(f"no-space {folder / 'a.safetensors'} ")
    assert _left(folder) == ["large.safetensors"]


_PEAK = """
import sys
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) * 1024
with SafetensorsFile(sys.argv[1]) as source:
    before = peak()
    write(source, sys.argv[2], hashes=False, verify=True)
    print(peak() - before, sorted({"torch", "numpy"} & set(sys.modules)))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_and_no_library_is_loaded(folder: Path):
    path = folder / "sparse.safetensors"
    save_file({"t": np.zeros(4, np.uint8)}, path)
    header = Held({}).header.of([("one", "F16", (100_000_000,)), ("two", "F32", (25_000_000,))])
    path.write_bytes(header.encoded)
    os.truncate(path, header.file_size)
    grown, _, loaded = python(_PEAK, path, folder / "a.safetensors").partition(" ")
    assert int(grown) < 20_000_000
    assert loaded == "[]"
    assert (folder / "a.safetensors").stat().st_size == header.file_size > 300_000_000
    (folder / "a.safetensors").unlink()
