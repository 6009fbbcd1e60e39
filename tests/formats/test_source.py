"""Tensor sources: the same tensors as the safetensors library gives, whole, by rows and by bytes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leftovers import files_open_below, needs_descriptors
from safetensors.torch import load_file

from modelhub.errors import CorruptFileError, FileError, NotFoundError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import element_size, torch_dtype


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors on busy cores: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.uint16, torch.uint32,
    torch.uint64,
]  # fmt: skip
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (4, 0, 2)]


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Any bits at all, NaNs included; a bool has only two values."""
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    count = int(torch.Size(shape).numel())
    bits = torch.randint(0, 256, (count * dtype.itemsize,), dtype=torch.uint8)
    return bits.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


@pytest.fixture
def everything(make_file) -> Path:
    torch.manual_seed(1)
    tensors = {f"{dtype}.{shape}": _random(shape, dtype) for dtype in DTYPES for shape in SHAPES}
    return make_file("every dtype.safetensors", tensors)


def test_every_dtype_and_shape_bit_for_bit(everything: Path):
    expected = load_file(everything)
    with SafetensorsFile(everything) as source:
        assert set(source.header.tensors) == set(expected)
        for name, tensor in expected.items():
            mine = source.tensor(name)
            assert (mine.dtype, mine.shape) == (tensor.dtype, tensor.shape)
            assert _bits(mine) == _bits(tensor) == source.read_bytes(name)
            assert torch_dtype(source.info(name).dtype) == tensor.dtype
            assert element_size(source.info(name)) == tensor.dtype.itemsize


def test_rows_are_slices(everything: Path):
    expected = load_file(everything)
    with SafetensorsFile(everything) as source:
        for name, tensor in expected.items():
            for start in range(tensor.shape[0] + 1 if tensor.ndim else 0):
                for stop in range(start, tensor.shape[0] + 1):
                    rows = source.rows(name, start, stop)
                    assert rows.shape == tensor[start:stop].shape
                    assert _bits(rows) == _bits(tensor[start:stop])


def test_tensors_own_their_memory(make_file):
    with SafetensorsFile(make_file("a.safetensors", {"w": torch.ones(4)})) as source:
        source.tensor("w").zero_()
        assert source.tensor("w").tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 4), (2, 1)])
def test_rows_outside_are_refused(make_file, start: int, stop: int):
    with SafetensorsFile(make_file("a.safetensors", {"w": torch.ones(3, 2), "b": torch.ones(())})) as source:
        with pytest.raises(NotFoundError, match="no rows"):
            source.rows("w", start, stop)
        with pytest.raises(NotFoundError, match="no rows"):
            source.rows("b", 0, 0)


def test_an_unknown_name_is_not_found(make_file):
    with SafetensorsFile(make_file("a.safetensors", {"w": torch.ones(3)})) as source:
        for read in (source.tensor, source.read_bytes, source.info, lambda name: source.rows(name, 0, 1)):
            with pytest.raises(NotFoundError, match="'v'"):
                read("v")
        with pytest.raises(IndexError):
            source.read_into("w", 10, memoryview(bytearray(3)))


def test_dtypes_that_torch_lacks_are_explained():
    with pytest.raises(NotFoundError, match="F6_E2M3"):
        torch_dtype("F6_E2M3")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.integers(0, 700), st.integers(0, 700))
def test_any_range_of_a_file_is_its_slice(make_file, tmp_path: Path, offset: int, size: int):
    path = tmp_path / "a.safetensors"
    if not path.exists():
        tensors = {
            "w": torch.arange(60.0),
            "half": torch.ones(3, 3).half(),
            "none": torch.ones(0),
            "one": torch.ones(()),
        }
        make_file(path, tensors, {"by": "the library"})
    with SafetensorsFile(path) as source:
        assert source.read_range(offset, size) == path.read_bytes()[offset : offset + size]


def test_ranges_far_outside_are_empty(make_file):
    with SafetensorsFile(make_file("a.safetensors", {"w": torch.ones(3)})) as source:
        assert source.read_range(source.header.file_size, 10) == b""
        assert source.read_range(2**70, 2**70) == b""
        assert len(source.read_range(0, 2**70)) == source.header.file_size


def test_many_threads_read_one_file(make_file):
    tensors = {f"t{index}": torch.full((5000,), index, dtype=torch.int32) for index in range(20)}
    wrong: list[str] = []
    with SafetensorsFile(make_file("a.safetensors", tensors)) as source:

        def read() -> None:
            wrong.extend(name for name, tensor in tensors.items() if not torch.equal(source.tensor(name), tensor))

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_file_that_shrinks_is_noticed(make_file):
    path = make_file("a.safetensors", {"w": torch.ones(1000)})
    with SafetensorsFile(path) as source:
        os.truncate(path, source.header.data_start + 100)
        with pytest.raises(CorruptFileError, match="shorter") as caught:
            source.tensor("w")
        assert str(path) in caught.value.message


def test_reading_after_close_is_a_clear_error(make_file):
    source = SafetensorsFile(make_file("a.safetensors", {"w": torch.ones(3)}))
    source.close()
    source.close()
    with pytest.raises(FileError):
        source.tensor("w")


@needs_descriptors
def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path):
    (tmp_path / "bad.safetensors").write_bytes(b"\x02" + bytes(7) + b"{]")
    for _ in range(20):
        with pytest.raises(CorruptFileError):
            SafetensorsFile(tmp_path / "bad.safetensors")
    assert files_open_below(tmp_path) == []
