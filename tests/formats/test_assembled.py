"""Tensors made of pieces of others, and turned matrices, against numpy; in any stretch and without their whole memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from modelhub.errors import IncompatibleError, NotFoundError
from modelhub.formats.assembled import Assembled, Made, Piece, Transposed
from modelhub.formats.opening import open_source
from modelhub.formats.views import Held
from modelhub.formats.writer import write

MakeFile = Callable[..., Path]
Q, K = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(100, 108, dtype=np.float32).reshape(2, 4)
BIAS = np.arange(6, dtype=np.float16)


@pytest.fixture
def file(make_file: MakeFile) -> Path:
    return make_file("a.safetensors", {"q": Q, "k": K, "bias": BIAS})


MADE = {
    "joined": Made("F32", (5, 4), (Piece("q", 0, 48), Piece("k", 0, 32))),
    "swapped": Made("F16", (6,), (Piece("bias", 6, 6), Piece("bias", 0, 6))),
    "conv": Made("F32", (3, 4, 1, 1), (Piece("q", 0, 48),)),
    "row": Made("F32", (4,), (Piece("q", 16, 16),)),
}
EXPECTED = {
    "joined": np.concatenate([Q, K]), "swapped": np.roll(BIAS, 3), "conv": Q[:, :, None, None], "row": Q[1],
}  # fmt: skip


def test_pieces_are_joined_swapped_reshaped_and_cut(file: Path, tmp_path: Path):
    with Assembled(open_source(file), MADE, {"format": "pt"}) as view:
        write(view, tmp_path / "b.safetensors")
        assert view.header.metadata == {"format": "pt"}
    found = load_file(tmp_path / "b.safetensors")
    assert found.keys() == EXPECTED.keys()
    for name, array in EXPECTED.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array), name


def test_every_stretch_of_a_joined_tensor(file: Path):
    with Assembled(open_source(file), MADE) as view:
        for name, array in EXPECTED.items():
            data = array.tobytes()
            for start in range(0, len(data) + 1, 3):
                for stop in range(start, len(data) + 1, 5):
                    buffer = bytearray(stop - start)
                    view.read_into(name, start, memoryview(buffer))
                    assert buffer == data[start:stop]
        with pytest.raises(IndexError):
            view.read_into("row", 8, memoryview(bytearray(9)))


def test_only_a_tensor_of_one_piece_stands_somewhere(file: Path):
    with open_source(file) as plain, Assembled(open_source(file), MADE) as view:
        assert view.place("joined") is None
        assert view.place("swapped") is None
        there, row = plain.place("q"), view.place("row")
        assert there is not None
        assert row is not None
        assert row.offset == there.offset + 16
        with pytest.raises(NotFoundError):
            view.place("q")


def test_a_checksum_is_that_of_a_whole_tensor_or_none(file: Path, monkeypatch: pytest.MonkeyPatch):
    source = open_source(file)
    monkeypatch.setattr(type(source), "crc32", lambda self, name: len(name))
    with Assembled(source, MADE) as view, Transposed(open_source(file), ["k"]) as turned:
        assert [view.crc32(name) for name in ("conv", "row", "joined", "swapped")] == [1, None, None, None]
        assert (turned.crc32("q"), turned.crc32("k")) == (1, None)


def test_pieces_that_do_not_make_up_the_tensor(file: Path):
    with open_source(file) as source:
        for pieces in ((Piece("q", 0, 16),), (Piece("q", 48, 16), Piece("q", 0, 32)), (Piece("k", 0, 48),)):
            with pytest.raises(ValueError, match="do not make up"):
                Assembled(source, {"x": Made("F32", (3, 4), pieces)})
        with pytest.raises(NotFoundError):
            Assembled(source, {"x": Made("F32", (3, 4), (Piece("none", 0, 48),))})


@given(
    shape=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    kind=st.sampled_from([("F32", np.float32), ("F16", np.float16), ("U8", np.uint8), ("F64", np.float64)]),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    strip=st.integers(1, 64),
)
def test_turned_matrices(shape: tuple[int, int], kind: tuple[str, type], cut: tuple[float, float], strip: int):
    array = np.arange(shape[0] * shape[1]).reshape(shape).astype(kind[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelhub.formats.assembled._STRIP", strip)
        view = Transposed(Held({"w": (kind[0], shape, array.tobytes()), "b": (kind[0], (0,), b"")}), ["w"])
        data = array.T.tobytes()
        assert view.header.shapes == {"w": shape[::-1], "b": (0,)}
        assert view.read_bytes("w") == data
        start, stop = sorted(round(one * len(data)) for one in cut)
        buffer = bytearray(stop - start)
        view.read_into("w", start, memoryview(buffer))
        assert buffer == data[start:stop]


def test_bfloat16_is_turned_by_its_bytes():
    torch = pytest.importorskip("torch")
    tensor = torch.randn(3, 5, generator=torch.manual_seed(1)).bfloat16()
    data = bytes(tensor.view(torch.uint8).numpy())
    assert torch.equal(Transposed(Held({"w": ("BF16", (3, 5), data)}), ["w"]).tensor("w"), tensor.T)


def test_what_cannot_be_turned():
    vector, packed = ("F32", (2,), bytes(8)), ("F4", (2, 2), bytes(2))
    for tensor in (vector, packed):
        with pytest.raises(IncompatibleError, match="not a matrix that can be turned"):
            Transposed(Held({"w": tensor}), ["w"])


def test_a_large_matrix_is_never_whole_in_memory(make_file: MakeFile):
    path = make_file("big.safetensors", {"w": np.arange(4096 * 4096, dtype=np.float32).reshape(4096, 4096)})
    with Transposed(open_source(path), ["w"]) as view:
        buffer = memoryview(bytearray(1 << 20))
        view.read_into("w", 0, buffer)  # what is allocated once for all
        tracemalloc.start()
        view.read_into("w", 4096 * 4096 * 2, buffer)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert buffer[:8].tobytes() == np.array([2048, 2048 + 4096], np.float32).tobytes()
    assert peak < 16 << 20
