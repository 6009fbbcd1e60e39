"""Headers laid out by us: contiguous, aligned, and read by the safetensors library."""

from __future__ import annotations

import json

import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import CorruptFileError
from modelhub.formats.header import DTYPE_BITS, Header, TensorInfo, nbytes
from modelhub.formats.safetensors import parse_header

WHOLE_BYTE = sorted(name for name, bits in DTYPE_BITS.items() if bits % 8 == 0)
NAMES = st.text(st.characters(codec="utf-8"), max_size=12).filter(lambda name: name != "__metadata__")
ENTRIES = st.dictionaries(
    NAMES, st.tuples(st.sampled_from(WHOLE_BYTE), st.lists(st.integers(0, 5), max_size=4).map(tuple)), max_size=8
).map(lambda found: [(name, dtype, shape) for name, (dtype, shape) in found.items()])
METADATA = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=9), st.text(st.characters(codec="utf-8")), max_size=4
)


@given(ENTRIES, METADATA)
def test_the_library_reads_what_we_lay_out(entries, metadata):
    header = Header.of(entries, metadata)
    found = dict(safetensors.deserialize(header.encoded + bytes(header.data_size)))
    assert {name: (info["dtype"], tuple(info["shape"])) for name, info in found.items()} == {
        name: (dtype, shape) for name, dtype, shape in entries
    }


@given(ENTRIES, METADATA)
def test_what_we_encode_we_read_back(entries, metadata):
    header = Header.of(entries, metadata)
    back = parse_header(header.encoded[8:], header.data_size)
    assert dict(back.tensors) == dict(header.tensors)
    assert back.metadata == metadata
    assert (back.data_start, back.data_size, back.file_size) == (header.data_start, header.data_size, header.file_size)
    assert back.encoded == header.encoded


@given(ENTRIES)
def test_every_tensor_is_aligned_and_follows_the_one_before(entries):
    header = Header.of(entries)
    assert header.data_start % 8 == 0
    end = 0
    for info in header.tensors.values():
        assert info.begin == end
        assert info.begin % (DTYPE_BITS[info.dtype] // 8) == 0
        end += info.nbytes
    assert header.data_size == end


def test_the_order_given_stays_within_one_width():
    header = Header.of([("z", "F16", (1,)), ("b", "F32", (1,)), ("a", "BF16", (2,)), ("c", "I32", ())])
    assert list(header.tensors) == ["b", "c", "z", "a"]


def test_counts():
    header = Header.of([("w", "F16", (3, 4)), ("b", "F32", ()), ("i", "I64", (5,)), ("none", "F16", (0, 9))])
    assert header.parameters == 13
    assert header.dtypes() == {"F16": 12, "I64": 5, "F32": 1}
    assert header.shapes == {"w": (3, 4), "b": (), "i": (5,), "none": (0, 9)}
    assert [TensorInfo("F16", shape, 0).numel for shape in ((), (0,), (3, 4))] == [1, 0, 12]


@pytest.mark.parametrize(
    ("dtype", "shape", "size"), [("F4", (4,), 2), ("F6_E2M3", (4,), 3), ("F64", (), 8), ("U8", (0, 3), 0)]
)
def test_nbytes(dtype: str, shape: tuple[int, ...], size: int):
    assert nbytes(dtype, shape) == size


def test_an_empty_header():
    header = Header.of([])
    assert header.data_size == header.parameters == 0
    assert json.loads(header.encoded[8:]) == {}


@pytest.mark.parametrize("name", ["__metadata__", "half \ud800"])
def test_names_that_no_file_can_hold_are_refused(name: str):
    with pytest.raises(CorruptFileError, match="name of a tensor"):
        Header.of([(name, "F16", (1,))])


def test_a_name_given_twice_is_refused():
    with pytest.raises(CorruptFileError, match="same name"):
        Header.of([("a", "F16", (1,)), ("a", "F32", (1,))])


def test_metadata_from_a_badly_named_file_still_makes_a_valid_file():
    header = Header.of([("a", "U8", (1,))], {"parent": "old\udcff.ckpt"})
    safetensors.deserialize(header.encoded + b"x")
    assert parse_header(header.encoded[8:], 1).metadata == {"parent": "old?.ckpt"}
