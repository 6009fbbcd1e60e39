"""Tensors: every dtype and every way of lying in a storage; lies about them are refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_time import at_most

from modelhub.errors import CorruptFileError, FileError
from modelhub.formats.pickles import gather
from modelhub.formats.pickles.file import PickleFile, read_pickle_header

_DTYPES = """
    float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool complex64
    float8_e4m3fn float8_e5m2
"""


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", _DTYPES.split())
def test_every_dtype_to_the_last_bit(torch, tmp_path, check_file, dtype, is_zip):
    kind = getattr(torch, dtype)
    raw = torch.arange(256) % (2 if kind is torch.bool else 256)
    tensor = raw.to(torch.uint8).view(kind).reshape(4, -1)
    torch.save({"t": tensor, "turned": tensor.t()}, tmp_path / "t.pt", _use_new_zipfile_serialization=is_zip)
    check_file(tmp_path / "t.pt", {"t": tensor, "turned": tensor.t()})


def _views(torch) -> dict:
    base = torch.randn(6, 8, 10)
    shared = torch.randn(40)
    return {
        "offset": base[2:4], "stepped": base[::2, 1::3, ::5], "turned": base.permute(2, 0, 1), "column": base[:, :, 3],
        "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "wide": torch.randn(3, 1).expand(3, 7),
        "scalar wide": torch.tensor(1.5).expand(2, 3), "one": torch.tensor(3), "empty": torch.zeros(0, 4), "none": torch.zeros(3, 0)[1:],
        "slack": torch.randn(1000)[990:], "first": shared, "again": shared, "half of it": shared[20:],
        "overlapping": torch.arange(10.0).as_strided((4, 4), (2, 1)), "single": base[1:2, 3:4, 5:6], "row": base[1, 2],
        "parameter": torch.nn.Parameter(torch.randn(3)), "zeros": torch.tensor([-0.0, float("nan"), float("inf")]),
    }  # fmt: skip


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_views_of_every_kind(torch, tmp_path, check_file, is_zip):
    views = _views(torch)
    torch.save(views, tmp_path / "views.pt", _use_new_zipfile_serialization=is_zip)
    check_file(tmp_path / "views.pt", torch.load(tmp_path / "views.pt", weights_only=True))


def test_large_turned_tensors_are_gathered_once_for_all_their_blocks(torch, tmp_path, monkeypatch):
    turned = {
        "a": torch.randn(96, 64).t(),
        "b": torch.randn(5, 40, 30).permute(2, 0, 1),
        "c": torch.randn(64, 96).half().t(),
    }
    torch.save(turned, tmp_path / "t.pt")
    monkeypatch.setattr(gather, "_BLOCK", 4096)
    monkeypatch.setattr(gather, "_LONG", 64)
    read, scattered = [], gather.read_view
    monkeypatch.setattr(
        gather, "read_view", lambda view, at, buffer: (read.append(len(buffer)), scattered(view, at, buffer))
    )
    with PickleFile(tmp_path / "t.pt") as file:
        blocks = sum(-(-file.info(name).nbytes // 4096) for name in turned)
        _read_in_stretches(file, turned, map)
        assert len(read) == blocks and max(read) == 4096  # and not once for each of the hundreds of stretches
        with ThreadPoolExecutor(3) as threads:  # which may meet on both sides of a border, and gather a block again
            _read_in_stretches(file, turned, threads.map)


def _read_in_stretches(file, turned, mapped):
    for name, tensor in turned.items():
        data = bytearray(file.info(name).nbytes)
        steps = range(0, len(data), 100)
        list(mapped(lambda at: file.read_into(name, at, memoryview(data)[at : at + 100]), steps))  # noqa: B023
        assert data == tensor.contiguous().numpy().tobytes()


def test_any_stretch_of_any_view(torch, tmp_path):
    torch.save(_views(torch), tmp_path / "views.pt")
    with PickleFile(tmp_path / "views.pt") as file:
        wholes = {name: file.read_bytes(name) for name in file.header.tensors}

        @settings(max_examples=150)
        @given(st.sampled_from(sorted(wholes)), st.integers(0, 2000), st.integers(0, 2000))
        def same(name: str, low: int, high: int) -> None:
            low, high = sorted((low % (len(wholes[name]) + 1), high % (len(wholes[name]) + 1)))
            buffer = bytearray(high - low)
            file.read_into(name, low, memoryview(buffer))
            assert bytes(buffer) == wholes[name][low:high]

        same()


def test_scattered_tensors_larger_than_what_is_held_in_memory(torch, tmp_path, check_file, monkeypatch):
    monkeypatch.setattr("modelhub.formats.pickles.gather._BLOCK", 1000)
    base = torch.randn(60, 70)
    views = {
        "turned": base.t(),
        "deep": torch.randn(3, 40, 50).permute(1, 2, 0),
        "sparse": base[::59, ::69],
        "wide": base[:1].expand(30, 70),
    }
    torch.save(views, tmp_path / "v.pt")
    check_file(tmp_path / "v.pt", views)


@given(st.data())
@settings(max_examples=60)
def test_random_views_agree_with_torch(data):
    import torch

    from modelhub.formats.pickles.gather import read_view
    from modelhub.formats.pickles.span import Spool
    from modelhub.formats.pickles.storages import Kind
    from modelhub.formats.pickles.tensors import View

    shape = data.draw(st.lists(st.integers(1, 5), max_size=4))
    strides = data.draw(st.lists(st.integers(0, 30), min_size=len(shape), max_size=len(shape)))
    offset = data.draw(st.integers(0, 10))
    reach = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
    base = torch.arange(reach, dtype=torch.int16)
    with Spool(Path("x"), 10**6) as spool:
        span = spool.keep([base.numpy().tobytes()], 10**6)
        view = View(span, offset * 2, Kind("I16", 2), tuple(shape), tuple(strides))
        out = bytearray(view.nbytes)
        read_view(view, 0, memoryview(out))
    assert bytes(out) == base.as_strided(shape, strides, offset).contiguous().numpy().tobytes()


def test_what_safetensors_cannot_hold_is_left_out_by_name(torch, tmp_path):
    things = {
        "weight": torch.zeros(2), "complex": torch.zeros(2, dtype=torch.complex128), "sparse": torch.eye(2).to_sparse(),
        "meta": torch.zeros(2, device="meta"), "conj": torch.tensor([1j]).conj(),
        "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    }  # fmt: skip
    torch.save(things, tmp_path / "t.pt")
    with PickleFile(tmp_path / "t.pt") as file:
        assert list(file.header.tensors) == ["weight"]
        assert [finding.split("'")[1] for finding in file.findings] == [
            "complex",
            "sparse",
            "meta",
            "conj",
            "quantised",
        ]


class _Ref:
    """A value that is written as a persistent id."""

    def __init__(self, *pid: object) -> None:
        self.pid = pid


class _Name:
    """A function that is written by its name, and the arguments it is called with."""

    def __init__(self, name: str, *args: object) -> None:
        self.name, self.args = name, args


def craft(path: Path, value: object, **storages: bytes) -> Path:
    """A torch zip file of `value`, in which `_Ref` and `_Name` stand for what torch would write."""
    import torch

    class Pickler(pickle._Pickler):
        def persistent_id(self, value: object) -> object:
            return value.pid if isinstance(value, _Ref) else None

        def save(self, value: object, save_persistent_id: bool = True) -> None:
            if isinstance(value, _Name):
                self.write(f"c{value.name.replace(' ', chr(10))}\n".encode())
                self.save(value.args)
                self.write(b"R")
            else:
                super().save(value, save_persistent_id)

    body = io.BytesIO()
    pickler = Pickler(body, 2)
    pickler.dispatch = dict(pickler.dispatch)
    pickler.dump(value)
    assert torch is not None
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", body.getvalue())
        file.writestr("m/byteorder", "little")
        for key, data in storages.items():
            file.writestr(f"m/data/{key.removeprefix('s')}", data)
    return path


def _tensor(offset: object = 0, shape: object = (4,), stride: object = (1,), pid: object = None) -> _Name:
    import torch

    pid = ("storage", torch.FloatStorage, "0", "cpu", 4) if pid is None else pid
    return _Name("torch._utils _rebuild_tensor_v2", _Ref(*pid), offset, shape, stride, False, None)


def test_the_crafted_tensor_is_one_when_it_does_not_lie(tmp_path):
    with PickleFile(craft(tmp_path / "t.pt", {"t": _tensor()}, s0=b"0123456789abcdef")) as file:
        assert file.read_bytes("t") == b"0123456789abcdef"


@pytest.mark.parametrize(
    "place",
    [
        (1, (4,), (1,)), (0, (5,), (1,)), (0, (4,), (2,)), (4, (1,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (-2,), (1,)),
        (0, (2,), (1, 1)), (0, (2.0,), (1,)), (0, (True,), (1,)), (True, (1,), (1,)), (0, (2**62, 2**62), (0, 0)), (2**70, (1,), (1,)),
        (0, (2**64,), (0,)), (0, (1,) * 65, (1,) * 65), (0, "4", (1,)), (0, (0, 2**63), (1, 1)), (2**63, (1,), (1,)), (0, (2, 2), (2**63, 1)),
    ],
)  # fmt: skip
def test_tensors_beyond_their_storage_are_refused(tmp_path, place):
    with pytest.raises(CorruptFileError, match=r"t\.pt .*(beyond|impossible)"):
        read_pickle_header(craft(tmp_path / "t.pt", {"t": _tensor(*place)}, s0=b"0123456789abcdef"))


@pytest.mark.parametrize("key", ["1", "../data.pkl", "-1", "", "0/../0", "٣", "0" * 5000, 3, None, ("0",)])
def test_storages_that_are_not_there_are_refused(tmp_path, torch, key):
    pid = ("storage", torch.FloatStorage, key, "cpu", 4)
    with pytest.raises(CorruptFileError):
        read_pickle_header(craft(tmp_path / "t.pt", {"t": _tensor(pid=pid)}, s0=b"0123456789abcdef"))


@pytest.mark.parametrize("numel", [5, 2**61, -1, True, 4.0, "4"])
def test_storages_of_impossible_sizes_are_refused(tmp_path, torch, numel):
    pid = ("storage", torch.FloatStorage, "0", "cpu", numel)
    with pytest.raises(CorruptFileError):
        read_pickle_header(craft(tmp_path / "t.pt", {"t": _tensor(pid=pid)}, s0=b"0123456789abcdef"))


def test_storages_that_hold_more_than_they_say_are_told_of(tmp_path):
    with PickleFile(craft(tmp_path / "t.pt", {"t": _tensor()}, s0=b"0123456789abcdef and more")) as file:
        assert file.read_bytes("t") == b"0123456789abcdef"
        assert file.findings == ("Storage 0 holds 9 bytes that no tensor has.",)


def test_a_storage_of_two_kinds_is_refused(tmp_path, torch):
    other = ("storage", torch.IntStorage, "0", "cpu", 4)
    with pytest.raises(CorruptFileError, match="two ways"):
        read_pickle_header(craft(tmp_path / "t.pt", {"a": _tensor(), "b": _tensor(pid=other)}, s0=b"0123456789abcdef"))


def test_a_storage_of_an_unknown_class_is_left_out(tmp_path):
    import collections

    pid = ("storage", collections.OrderedDict, "0", "cpu", 4)
    with PickleFile(craft(tmp_path / "t.pt", {"a": _tensor(), "b": _tensor(pid=pid)}, s0=b"0123456789abcdef")) as file:
        assert list(file.header.tensors) == ["a"]
        assert "'b'" in file.findings[0]


def test_a_few_bytes_cannot_become_terabytes(tmp_path):
    with pytest.raises(FileError, match="many times"):
        read_pickle_header(craft(tmp_path / "t.pt", {"t": _tensor(0, (2**40,), (0,))}, s0=b"0123456789abcdef"))
    many = {str(number): _tensor(0, (2**20,), (0,)) for number in range(40)}
    with pytest.raises(FileError, match="many times"):
        read_pickle_header(craft(tmp_path / "t.pt", many, s0=b"0123456789abcdef"))


def test_views_of_legacy_storages(torch, tmp_path, check_file):
    """Files of early torch describe a storage that is part of another by its first element and length."""
    base = torch.arange(12.0)
    torch.save({"t": base}, tmp_path / "t.pt", _use_new_zipfile_serialization=False)
    data = (tmp_path / "t.pt").read_bytes()
    at = data.index(b"K\x0cN")
    part = b"K\x0c(X\x01\0\0\0vK\x03K\x08t"
    (tmp_path / "v.pt").write_bytes(data[:at] + part + data[at + 3 :].replace(b"K\0K\x0c\x85", b"K\0K\x08\x85", 1))
    check_file(tmp_path / "v.pt", {"t": base[3:11]})
    (tmp_path / "w.pt").write_bytes(data[:at] + part + data[at + 3 :])
    with pytest.raises(CorruptFileError, match="beyond"):
        PickleFile(tmp_path / "w.pt")


def test_a_part_of_a_tensor_of_many_dimensions_costs_no_more_than_itself(tmp_path, torch):
    """Gathering half of it, or all, for every part took minutes."""
    tensor = torch.arange(2**20, dtype=torch.float32).reshape((2,) * 20).permute(*reversed(range(20)))
    torch.save({"a": tensor}, tmp_path / "m.pt")
    with at_most(6), PickleFile(tmp_path / "m.pt") as file:
        parts = [bytearray(10_000) for _ in range(2**22 // 10_000)]
        for number, part in enumerate(parts):
            file.read_into("a", 10_000 * number, memoryview(part))
    whole = tensor.contiguous().numpy().tobytes()
    assert b"".join(parts) == whole[: len(parts) * 10_000]
