"""Views are what dict operations on the loaded tensors are, bit for bit, and read nothing until they are asked to."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, load_file, save_file

from modelhub.errors import NotFoundError, UsageError
from modelhub.formats.header import Header
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Combined, Held, Renamed
from modelhub.formats.writer import write

NAMES = ["a", "b.weight", "c.bias", "ü\n\x1b[31m", "model.d"]
DTYPES = ["float16", "float32", "int64", "uint8", "bool"]


@st.composite
def tables(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
    return {name: np.asarray(rng.random(draw(shapes)) * 99).astype(draw(st.sampled_from(DTYPES))) for name in names}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def whole(source: TensorSource) -> bytes:
    return source.read_range(0, source.header.file_size)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(tables(), min_size=1, max_size=3))
def test_combined_is_a_dict_union(tmp_path: Path, parts):
    for i, part in enumerate(parts):
        save_file(part, tmp_path / f"{i}.safetensors", {"who": str(i)})
    with Combined([SafetensorsFile(tmp_path / f"{i}.safetensors") for i in range(len(parts))]) as view:
        assert view.header.metadata == {"who": "0"}
        union = {name: array for part in parts for name, array in part.items()}
        same(load(whole(view)), union)
        write(view, tmp_path / "out.safetensors", force=True, block=64)
        same(load_file(tmp_path / "out.safetensors"), union)
        assert (tmp_path / "out.safetensors").read_bytes() == whole(view)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sets(st.sampled_from(NAMES)))
def test_renamed_is_a_dict_comprehension(tmp_path: Path, part, dropped):
    save_file(part, tmp_path / "x.safetensors", {"who": "x"})
    with Renamed(SafetensorsFile(tmp_path / "x.safetensors"), lambda n: None if n in dropped else f"new.{n}") as view:
        assert view.header.metadata == {"who": "x"}
        same(load(whole(view)), {f"new.{n}": a for n, a in part.items() if n not in dropped})


def test_views_of_views(tmp_path: Path):
    base = {"model.w": np.arange(4.0), "vae.w": np.zeros(3)}
    other = {"w": np.ones((2, 2), "float16")}
    save_file(base, tmp_path / "base.safetensors")
    save_file(other, tmp_path / "other.safetensors")
    unet = Renamed(SafetensorsFile(tmp_path / "other.safetensors"), lambda n: f"model.{n}")
    with Combined([SafetensorsFile(tmp_path / "base.safetensors"), unet], {"title": "both"}) as view:
        same(load(whole(view)), {**base, "model.w": other["w"]})
        assert view.header.metadata == {"title": "both"}
        assert view.rows("model.w", 1, 2).tolist() == [[1.0, 1.0]]


def test_clashes_and_unknown_names(tmp_path: Path):
    save_file({"a": np.zeros(1), "b": np.zeros(1)}, tmp_path / "x.safetensors")
    source = SafetensorsFile(tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r"'a' and 'b' would both be named 'same'"):
        Renamed(source, lambda _: "same")
    for view in (Combined([source]), Renamed(source, lambda n: n + "!")):
        with pytest.raises(NotFoundError, match="'c'"):
            view.read_into("c", 0, memoryview(bytearray(1)))
    with pytest.raises(NotFoundError):
        Renamed(source, lambda n: n + "!").read_bytes("a")


def test_nothing_combined_is_an_empty_file():
    assert load(whole(Combined([]))) == {}


class Watched(TensorSource):
    """A source of any claimed size that counts what is read and whether it was closed."""

    def __init__(self, names: list[str], fill: int) -> None:
        self.header = Header.of([(n, "F16", (1 << 30,)) for n in names])
        self.fill, self.read, self.closed = fill, 0, False

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.read += len(buffer)
        buffer[:] = bytes([self.fill]) * len(buffer)

    def close(self) -> None:
        self.closed = True


def test_views_are_lazy_and_need_no_memory():
    tracemalloc.start()
    first, second = Watched(["a", "b"], 1), Watched(["b"], 2)
    view = Renamed(Combined([first, second]), str.upper)
    buffer = bytearray(1000)
    view.read_into("B", 1 << 30, memoryview(buffer))
    assert bytes(buffer) == b"\x02" * 1000
    assert (first.read, second.read) == (0, 1000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    view.close()
    assert first.closed and second.closed


def test_held_tensors_are_read_as_they_were_given():
    with Held({"a": ("I64", (2,), bytes(range(16))), "b": ("U8", (), b"x"), "c": ("F16", (0, 3), b"")}) as source:
        assert source.header.shapes == {"a": (2,), "b": (), "c": (0, 3)}
        part = bytearray(5)
        source.read_into("a", 7, memoryview(part))
        assert part == bytes(range(7, 12))
        assert (source.read_bytes("b"), source.read_bytes("c")) == (b"x", b"")
        assert (source.place("a"), source.crc32("a"), source.file_of("a")) == (None, None, None)
        for offset, size in ((-1, 1), (12, 5)):
            with pytest.raises(IndexError):
                source.read_into("a", offset, memoryview(bytearray(size)))
        for ask in (source.place, source.crc32, source.file_of):
            with pytest.raises(NotFoundError):
                ask("d")
    with pytest.raises(ValueError, match="'a' has 3 bytes"):
        Held({"a": ("F32", (1,), b"abc")})


def test_views_pass_on_places_and_checksums(tmp_path: Path):
    save_file({"a": np.arange(9), "b": np.ones(3)}, tmp_path / "x.safetensors")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    file.crc32 = lambda name: len(name)  # type: ignore[method-assign]
    with Combined([Held({"c": ("U8", (1,), b"c")}), Renamed(file, lambda name: {"a": "long"}.get(name))]) as view:
        assert view.place("long") == file.place("a")
        assert (view.crc32("long"), view.file_of("long")) == (1, tmp_path / "x.safetensors")
        assert (view.place("c"), view.crc32("c"), view.file_of("c")) == (None, None, None)
        for ask in (view.place, view.crc32, view.file_of):
            with pytest.raises(NotFoundError):
                ask("b")
