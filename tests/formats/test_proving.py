"""The proof of what is written: a damaged source and a disk that lies are found, each called by its name."""

from __future__ import annotations

import os
import random
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from leftovers import no_thread_left
from safetensors.numpy import load_file, save_file

from modelhub.convert.conversion import Conversion, carry_out
from modelhub.convert.repair.health import Cleaned
from modelhub.errors import CorruptFileError, FileError
from modelhub.formats import writer
from modelhub.formats.assembled import Assembled, Made, Piece, Transposed
from modelhub.formats.cast import Cast
from modelhub.formats.packed.view import Unpacked
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import Place, TensorSource
from modelhub.formats.views import Combined, Held, Renamed
from modelhub.formats.watching import stats_of
from modelhub.formats.writer import Written, write

needs_kernel = pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="no copy_file_range here")
Wrong = Callable[[bytes, int], bytes]


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    with no_thread_left():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    sizes = {"small": 3, "block": 1 << 18, "large": 700_001, "none": 0}
    return {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}


@pytest.fixture
def plain(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    save_file(arrays, tmp_path / "plain.safetensors")
    return tmp_path / "plain.safetensors"


@pytest.fixture
def checkpoint(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


class Known(TensorSource):
    """A source that keeps checksums, which may lie; `placed` says whether its bytes can be copied."""

    def __init__(self, path: Path, lies: tuple[str, ...] = (), placed: bool = True) -> None:
        self._inner, self._placed = SafetensorsFile(path), placed
        self.path, self.header = path, self._inner.header
        self._crcs = {name: zlib.crc32(self._inner.read_bytes(name)) ^ (name in lies) for name in self.header.tensors}

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """As the file."""
        self._inner.read_into(name, offset, buffer)

    def place(self, name: str) -> Place | None:
        """As the file, or nowhere."""
        return self._inner.place(name) if self._placed else None

    def crc32(self, name: str) -> int | None:
        """What it claims."""
        return self._crcs[name]

    def close(self) -> None:
        """Close the file."""
        self._inner.close()


def _write(source: TensorSource, folder: Path, *, hashes: bool = False, damaged: list[str] | None = None) -> Written:
    with source:
        return write(source, folder / "a.safetensors", hashes=hashes, verify=True, block=100_000, damaged=damaged)


def _same(folder: Path, arrays: dict[str, np.ndarray]) -> bool:
    found = load_file(folder / "a.safetensors")
    return set(found) == set(arrays) and all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("placed", [False, True])
def test_what_is_right_passes(folder: Path, plain: Path, checkpoint: Path, arrays, hashes: bool, placed: bool):
    _write(Known(plain, placed=placed), folder, hashes=hashes)
    assert _same(folder, arrays)
    (folder / "a.safetensors").unlink()
    _write(PickleFile(checkpoint), folder, hashes=hashes)
    assert _same(folder, arrays)


@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("placed", [False, True])
def test_a_source_that_is_damaged(folder: Path, plain: Path, arrays, hashes: bool, placed: bool):
    lies = ("large", "small")
    with pytest.raises(CorruptFileError, match=r"plain\.safetensors is damaged: .* tensor '(large|small)'") as caught:
        _write(Known(plain, lies, placed), folder, hashes=hashes)
    assert "--salvage" in caught.value.hint
    assert list(folder.iterdir()) == []
    damaged: list[str] = []
    _write(Known(plain, lies, placed), folder, hashes=hashes, damaged=damaged)
    assert sorted(damaged) == ["large", "small"]
    assert _same(folder, arrays)


def test_views_say_which_file_is_damaged(folder: Path, plain: Path, tmp_path: Path):
    save_file({"other": np.ones(5, np.float32)}, tmp_path / "other.safetensors")
    damaged = Known(plain, ("block",))
    view = Combined([Known(tmp_path / "other.safetensors"), Cast(Renamed(damaged, str.upper), {"LARGE": "F16"})])
    whole = Assembled(view, {name: _whole(view, name) for name in view.header.tensors})
    changed = Unpacked(Cleaned(Transposed(whole, []), []), {})
    with pytest.raises(CorruptFileError, match=r"plain\.safetensors is damaged: .* tensor 'BLOCK'"):
        _write(changed, folder)


def test_a_checkpoint_with_one_bit_turned(folder: Path, checkpoint: Path, arrays):
    data = bytearray(checkpoint.read_bytes())
    at = data.index(arrays["large"].tobytes()) + 1_234_567
    data[at] ^= 1
    checkpoint.write_bytes(data)
    with zipfile.ZipFile(checkpoint) as archive:
        assert archive.testzip() is not None
    with pytest.raises(CorruptFileError, match=r"model\.ckpt is damaged: .* tensor 'large'"):
        _write(PickleFile(checkpoint), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["cast", "turned", "rows", "one of two"])
def test_what_a_tensor_is_made_from_is_checked_as_well(folder: Path, tmp_path: Path, kind: str):
    """Such a tensor has no checksum of its own, and the archive has one of the bytes that it is read from."""
    base = torch.arange(90_000.0).reshape(300, 300)
    made = {"cast": {"a": base}, "turned": {"a": base.t()}, "rows": {"a": base[:9], "b": base[9:]}}
    torch.save(made.get(kind, {"a": base[:9]}), tmp_path / "m.ckpt")
    data = bytearray((tmp_path / "m.ckpt").read_bytes())
    data[data.index(base.numpy().tobytes()) + 100] ^= 1
    whole, names = (tmp_path / "m.ckpt").read_bytes(), sorted(made.get(kind, "a"))

    def source() -> TensorSource:
        file = PickleFile(tmp_path / "m.ckpt")
        view = Combined([Renamed(Cast(file, {"a": "F16"} if kind == "cast" else {}), str.upper)])
        return Cleaned(Transposed(Assembled(view, {n: _whole(view, n) for n in view.header.tensors}), []), [])

    for salvage in (False, True):
        _write(source(), folder, damaged=(damaged := []) if salvage else None)
        (folder / "a.safetensors").unlink()
    assert damaged == []
    (tmp_path / "m.ckpt").write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"is damaged: .* tensor '[AB]'"):
        _write(source(), folder)
    assert list(folder.iterdir()) == [] and whole != data
    _write(source(), folder, damaged=damaged)
    assert sorted(damaged) == [name.upper() for name in names]


def _whole(source: TensorSource, name: str) -> Made:
    info = source.info(name)
    return Made(info.dtype, info.shape, (Piece(name, 0, info.nbytes),))


def _disk_lies(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The byte `at` of the file is turned when it is written, whoever writes it."""
    pwrite, write_all, copy = os.pwrite, writer.write_all, os.copy_file_range

    def lie(descriptor: int, begin: int, end: int) -> None:
        if begin <= at < end:
            with open(f"/proc/self/fd/{descriptor}", "r+b", buffering=0) as file:  # noqa: PTH123
                byte = os.pread(file.fileno(), 1, at)
                pwrite(file.fileno(), bytes([byte[0] ^ 16]), at)

    def written(file, data: bytes | memoryview) -> None:
        begin = file.tell()
        write_all(file, data)
        lie(file.fileno(), begin, begin + len(data))

    def put(descriptor: int, data: memoryview, begin: int) -> int:
        count = pwrite(descriptor, data, begin)
        lie(descriptor, begin, begin + count)
        return count

    def copied(source: int, goal: int, size: int, place: int) -> int:
        begin = os.lseek(goal, 0, os.SEEK_CUR)
        count = copy(source, goal, size, place)
        lie(goal, begin, begin + count)
        return count

    monkeypatch.setattr(writer, "write_all", written)
    monkeypatch.setattr(os, "pwrite", put)
    monkeypatch.setattr(os, "copy_file_range", copied)


@needs_kernel
@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("kind", ["placed", "crc", "both", "computed", "neither"])
@pytest.mark.parametrize("seed", range(4))
def test_a_disk_that_does_not_keep_what_is_written(
    folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, hashes: bool, kind: str, seed: int
):
    source = _source(plain, kind)
    _disk_lies(monkeypatch, at := random.Random(seed).randrange(source.header.file_size))
    with pytest.raises(FileError, match=r"a\.safetensors was not written: read back, ") as caught:
        _write(source, folder, hashes=hashes, damaged=[] if seed % 2 else None)
    assert not isinstance(caught.value, CorruptFileError), at
    assert list(folder.iterdir()) == []


@needs_kernel
def test_even_the_first_and_last_byte_count(folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    for at in (0, 9, plain.stat().st_size - 1):
        with monkeypatch.context() as patch:
            _disk_lies(patch, at)
            with pytest.raises(FileError, match="was not written"):
                _write(SafetensorsFile(plain), folder)


@needs_kernel
def test_a_damaged_source_does_not_excuse_the_disk(folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    damaged: list[str] = []
    source = Known(plain, ("block",))
    _disk_lies(monkeypatch, source.header.data_start + source.info("block").begin + 5)
    with pytest.raises(FileError, match="tensor 'block' is not what was written"):
        _write(source, folder, damaged=damaged)
    assert damaged == []


def _source(plain: Path, kind: str) -> TensorSource:
    """Tensors of which the file's place is known, a checksum, both, or neither; and ones that are computed."""
    if kind in ("placed", "computed"):
        source: TensorSource = SafetensorsFile(plain)
        return Cast(source, dict.fromkeys(source.header.tensors, "BF16")) if kind == "computed" else source
    if kind == "neither":
        with SafetensorsFile(plain) as file:
            return Held({name: (i.dtype, i.shape, file.read_bytes(name)) for name, i in file.header.tensors.items()})
    return Known(plain, placed=kind == "both")


def test_nothing_is_computed_twice(folder: Path, plain: Path):
    read: list[tuple[str, int]] = []

    class Counting(Held):
        def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
            read.append((name, offset))
            super().read_into(name, offset, buffer)

    _write(Counting({"t": ("U8", (1_000_000,), bytes(1_000_000))}), folder)
    assert sorted(read) == [("t", at) for at in range(0, 1_000_000, 100_000)]


def test_a_damaged_tensor_stops_the_writing(folder: Path, tmp_path: Path):
    """Not only at the end: a file of many gigabytes is not written in vain."""
    path = tmp_path / "many.safetensors"
    save_file({f"t{at:03}": np.full(100_000, at, np.uint8) for at in range(200)}, path)
    seen: list[str] = []

    class Watched(Known):
        def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
            if threading.current_thread().name.startswith("fill"):
                seen.append(name)
                threading.Event().wait(0.002)
            super().read_into(name, offset, buffer)

    with pytest.raises(CorruptFileError):
        write(Watched(path, ("t000",), placed=False), folder / "a.safetensors", hashes=False, verify=True)
    assert 0 < len(seen) < 200


def test_a_conversion_says_what_it_salvaged(folder: Path, plain: Path, arrays):
    goal = folder / "a.safetensors"
    with pytest.raises(CorruptFileError, match="is damaged"), Known(plain, ("small",)) as source:
        carry_out(Conversion(source, stats_of([plain])), goal)
    with Known(plain, ("small", "block")) as source:
        report = carry_out(Conversion(source, stats_of([plain]), findings=["It is old."]), goal, salvage=True)
    assert report.conversion.findings[0] == "It is old."
    assert ["'block' is damaged" in one for one in report.conversion.findings] == [False, True, False]
    assert ["'small' is damaged" in one for one in report.conversion.findings] == [False, False, True]
    assert _same(folder, arrays)
