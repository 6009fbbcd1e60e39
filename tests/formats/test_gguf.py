"""GGUF files written here after the specification: read as they are, refused where they lie."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_time import at_most

from modelhub.errors import CorruptFileError, FileError, ModelError, ModelhubError, NotAModelError, NotFoundError
from modelhub.formats.gguf import TYPES, GgufFile, read_gguf_header
from modelhub.formats.header import BLOCKS, DTYPE_BITS
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write

U32, I32, BOOL, TEXT, ARRAY = 4, 5, 7, 8, 9
CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
IDS = {name: number for number, name in TYPES.items()}
Tensor = tuple[str, str, tuple[int, ...], bytes]


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, content: Any) -> bytes:
    if kind == TEXT:
        return text(content)
    if kind == ARRAY:
        inner, items = content
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, item) for item in items)
    return struct.pack("<" + CODES[kind], content)


def gguf(
    tensors: Sequence[Tensor] = (),
    pairs: Sequence[tuple[str | bytes, int, Any]] = (),
    *,
    version: int = 3,
    alignment: int = 32,
    counts: tuple[int, int] | None = None,
    shift: int = 0,
    tail: bytes | None = None,
) -> bytes:
    """A file of (name, type, shape as torch has it, data) and (key, value type, value), one fault at most."""
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count)
    head += b"".join(text(key) + struct.pack("<I", kind) + value(kind, content) for key, kind, content in pairs)
    data = b""
    for name, dtype, shape, content in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", IDS.get(dtype, 99), len(data) + shift)
        data += content + bytes(-len(content) % alignment)
    return head + bytes(-len(head) % alignment) + data + (tail or b"") if tensors or tail else head


@pytest.fixture
def put(tmp_path: Path):
    def put(content: bytes) -> Path:
        path = tmp_path / "a.gguf"
        path.write_bytes(content)
        return path

    return put


def blob(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


def block_of(dtype: str, blocks: int) -> Tensor:
    elements, size = BLOCKS.get(dtype) or (1, DTYPE_BITS[dtype] // 8)
    return dtype, dtype, (blocks, elements), blob(blocks * size)


@pytest.mark.parametrize("version", [2, 3])
def test_every_type_is_read_with_its_shape_and_bytes(put, version: int):
    tensors = [block_of(name, 3) for name in TYPES.values()]
    with GgufFile(put(gguf(tensors, version=version))) as source:
        assert source.header.shapes == {name: shape for name, _, shape, _ in tensors}
        assert {name: info.dtype for name, info in source.header.tensors.items()} == {n: d for n, d, *_ in tensors}
        assert all(source.read_bytes(name) == content for name, _, _, content in tensors)
        part = bytearray(5)
        source.read_into("Q4_K", 7, memoryview(part))
        assert bytes(part) == block_of("Q4_K", 3)[3][7:12]
        with pytest.raises(IndexError):
            source.read_into("F16", 0, memoryview(bytearray(7)))
        with pytest.raises(NotFoundError):
            source.read_bytes("none")


def test_the_place_of_a_tensor_is_that_of_its_bytes(put):
    tensors = [block_of(name, 3) for name in TYPES.values()]
    with GgufFile(put(gguf(tensors))) as source:
        for name, _, _, content in tensors:
            descriptor, offset = source.place(name)
            assert os.pread(descriptor, len(content), offset) == content
            assert source.crc32(name) is None
            assert source.file_of(name) == source.path
        with pytest.raises(NotFoundError):
            source.place("none")


#: Bytes of ggml's structs, field by field: scales and minimums, high bits, low bits, sums.
STRUCTS = {
    "Q4_0": 2 + 16, "Q4_1": 4 + 16, "Q5_0": 2 + 4 + 16, "Q5_1": 4 + 4 + 16, "Q8_0": 2 + 32, "Q8_1": 4 + 32,
    "Q2_K": 16 + 64 + 4, "Q3_K": 32 + 64 + 12 + 2, "Q4_K": 4 + 12 + 128, "Q5_K": 4 + 12 + 32 + 128,
    "Q6_K": 128 + 64 + 16 + 2, "Q8_K": 4 + 256 + 2 * 16, "IQ2_XXS": 2 + 2 * 32, "IQ2_XS": 2 + 2 * 32 + 8,
    "IQ2_S": 2 + 64 + 8 + 8, "IQ3_XXS": 2 + 3 * 32, "IQ3_S": 2 + 64 + 8 + 32 + 4, "IQ1_S": 2 + 32 + 2 * 8,
    "IQ1_M": 32 + 16 + 8, "IQ4_NL": 2 + 16, "IQ4_XS": 2 + 2 + 4 + 128, "TQ1_0": 48 + 4 + 2, "TQ2_0": 64 + 2,
    "MXFP4": 1 + 16, "NVFP4": 4 + 32, "Q1_0": 2 + 16, "Q2_0": 2 + 16,
}  # fmt: skip


def test_block_sizes_are_those_of_the_structs():
    assert {name: size for name, (_, size) in BLOCKS.items()} == STRUCTS
    assert set(TYPES.values()) == set(BLOCKS) | {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}


def test_dimensions_are_turned_round_and_flattened_tensors_have_their_shape_back(put):
    pairs = [
        ("comfy.gguf.orig_shape.conv", ARRAY, (I32, [64, 4, 3, 3])),
        ("comfy.gguf.orig_shape.gone", ARRAY, (I32, [1])),
    ]
    flat = ("conv", "Q4_0", (72, 32), blob(72 * 18))
    header = read_gguf_header(put(gguf([flat, ("x", "F16", (2, 3), blob(12))], pairs)))
    assert header.shapes == {"conv": (64, 4, 3, 3), "x": (2, 3)}
    assert header.parameters == 64 * 36 + 6
    assert header.dtypes() == {"Q4_0": 64 * 36, "F16": 6}


def test_pairs_become_metadata_and_arrays_are_counted(put):
    pairs = [
        ("general.architecture", TEXT, "flux"), ("count", U32, 7), ("less", I32, -7), ("yes", BOOL, True), ("no", BOOL, False),
        ("half", 6, 0.1), ("third", 12, 1 / 3), ("big", 10, 2**64 - 1), ("naïve key", TEXT, "line\nbreak \x1b[31m"),
        ("tokenizer.ggml.tokens", ARRAY, (TEXT, ["a", "", "\u20ac"])), ("scores", ARRAY, (6, [0.5, 1.5])),
        ("tokenizer.chat_template", TEXT, "x" * 5000),
    ]  # fmt: skip
    assert read_gguf_header(put(gguf([block_of("F16", 1)], pairs))).metadata == {
        "general.architecture": "flux", "count": "7", "less": "-7", "yes": "true", "no": "false", "half": "0.1",
        "third": "0.3333333333333333", "big": str(2**64 - 1), "naïve key": "line\nbreak \x1b[31m",
        "gguf.arrays": "2", "gguf.long_texts": "1", "gguf.version": "3",
    }  # fmt: skip


def test_alignment_scalars_and_a_file_without_tensors(put):
    pairs = [("general.alignment", U32, 256)]
    content = gguf(
        [("one", "F32", (), b"abcd"), ("none", "F16", (0, 4), b""), ("two", "I8", (3,), b"xyz")], pairs, alignment=256
    )
    with GgufFile(put(content)) as source:
        assert source.header.shapes == {"one": (), "none": (0, 4), "two": (3,)}
        assert (source.read_bytes("one"), source.read_bytes("two")) == (b"abcd", b"xyz")
    assert read_gguf_header(put(content.rstrip(b"\0"))).shapes["two"] == (3,), "the last padding may be missing"
    assert read_gguf_header(put(gguf())).shapes == {}


def test_whole_tensors_go_to_safetensors_and_blocks_do_not(put, tmp_path: Path):
    plain = [("w", "F32", (2, 4), blob(32)), ("b", "F16", (5,), blob(10))]
    with GgufFile(put(gguf(plain, [("general.name", TEXT, "x")]))) as source:
        write(source, tmp_path / "out.safetensors")
        with SafetensorsFile(tmp_path / "out.safetensors") as back:
            assert all(back.read_bytes(name) == content for name, _, _, content in plain)
            assert back.header.metadata["general.name"] == "x"
    with GgufFile(put(gguf([block_of("Q4_K", 2)]))) as source:
        with pytest.raises(ModelError, match="blocks of Q4_K"):
            write(source, tmp_path / "no.safetensors")
        with pytest.raises(NotFoundError, match="torch has no dtype"):
            source.tensor("Q4_K")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "out.safetensors"]


F16 = ("x", "F16", (4,), b"abcdefgh")
BAD = {
    "version 1": (gguf([F16], version=1), NotAModelError, "of version 1"),
    "big-endian": (gguf([F16], version=3 << 24), NotAModelError, "big-endian"),
    "another format": (b"PK\3\4" + bytes(40), NotAModelError, "not a GGUF file"),
    "nothing": (b"", CorruptFileError, "0 bytes"),
    "the magic alone": (b"GGUF", CorruptFileError, "4 bytes"),
    "no counts": (gguf()[:20], CorruptFileError, "cut short"),
    "many tensors": (gguf(counts=(2**64 - 1, 0)), CorruptFileError, "more than any model"),
    "many pairs": (gguf(counts=(0, 10**6)), CorruptFileError, "more than any model"),
    "more pairs than there are": (gguf(counts=(0, 10**5)), CorruptFileError, "cut short"),
    "a long key": (gguf(pairs=[(b"k" * 70_000, U32, 1)]), CorruptFileError, "70000 bytes"),
    "a key of half a character": (gguf(pairs=[(b"\xff", U32, 1)]), CorruptFileError, "UTF-8"),
    "a value of half a character": (gguf(pairs=[("k", TEXT, b"\xe2\x82")]), CorruptFileError, "UTF-8"),
    "a key twice": (gguf(pairs=[("k", U32, 1), ("k", U32, 2)]), CorruptFileError, "twice"),
    "an unknown value": (gguf()[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<I", 13), CorruptFileError, "unknown type 13"),
    "lists of lists": (gguf(pairs=[("k", ARRAY, (ARRAY, []))]), CorruptFileError, "unknown type 9"),
    "a truth of 2": (gguf(pairs=[("k", BOOL, True)])[:-1] + b"\2", CorruptFileError, "true or false"),
    "a text that never ends": (gguf()[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<IQ", TEXT, 2**63), CorruptFileError, "cut short"),
    "a list that never ends": (
        gguf()[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<IIQ", ARRAY, U32, 2**62), CorruptFileError, "cut short"
    ),
    "texts that never end": (
        gguf()[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<IIQ", ARRAY, TEXT, 2**62), CorruptFileError, "texts"
    ),
    "a tensor twice": (gguf([F16, F16]), CorruptFileError, "twice"),
    "a reserved name": (gguf([("__metadata__", *F16[1:])]), CorruptFileError, "called so"),
    "an unknown type": (gguf([("x", "Q4_2", (4,), b"abcdefgh")]), CorruptFileError, "unknown type 99"),
    "nine dimensions": (gguf([("x", "F16", (1,) * 9, b"ab")]), CorruptFileError, "9 dimensions"),
    "a product beyond all memory": (gguf([("x", "F16", (2**32, 2**32), b"")]), CorruptFileError, "impossible shape"),
    "nothing of everything": (gguf([("x", "F16", (0, 2**63 - 1, 8), b"")]), CorruptFileError, "impossible shape"),
    "half a block": (gguf([("x", "Q4_0", (2, 16), blob(18))]), CorruptFileError, "impossible shape"),
    "a false original shape": (
        gguf([F16], [("comfy.gguf.orig_shape.x", ARRAY, (I32, [2, 3]))]), CorruptFileError, "was of shape"
    ),
    "a negative original shape": (
        gguf([F16], [("comfy.gguf.orig_shape.x", ARRAY, (I32, [-2, -2]))]), CorruptFileError, "was of shape"
    ),
    "an alignment of 3": (gguf([F16], [("general.alignment", U32, 3)]), CorruptFileError, "alignment '3'"),
    "an alignment in words": (gguf([F16], [("general.alignment", TEXT, "²")]), CorruptFileError, "alignment"),
    "a gap": (gguf([F16], shift=32, tail=bytes(32)), CorruptFileError, "gap"),
    "an offset beside the alignment": (gguf([F16], shift=2, tail=bytes(32)), CorruptFileError, "gap"),
    "data cut short": (gguf([("x", "F16", (64,), blob(128))])[:-40], CorruptFileError, "cut short"),
    "data left out": (gguf([F16])[:-40], CorruptFileError, "cut short"),
    "more than there should be": (gguf([F16], tail=b"x"), CorruptFileError, "no tensor covers"),
    "a type beyond the end": (gguf([F16])[:24] + text("x") + b"\1", CorruptFileError, "cut short"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=str)
def test_files_that_lie_are_refused_in_words(put, case: str):
    content, kind, words = BAD[case]
    path = put(content)
    with pytest.raises(kind, match=words) as caught:
        GgufFile(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_overlapping_tensors_are_refused(put):
    content = bytearray(gguf([("aa", "F16", (32,), blob(64)), ("bb", "F16", (32,), blob(64))]))
    place = content.index(struct.pack("<IQ", 1, 64), content.index(b"bb"))
    content[place + 4 : place + 12] = struct.pack("<Q", 32)
    with pytest.raises(CorruptFileError, match="overlaps"):
        GgufFile(put(bytes(content)))


def test_names_with_escapes_are_shown_safely(put):
    with pytest.raises(CorruptFileError) as caught:
        GgufFile(put(gguf([("\x1b[31m\n", "F16", (1,) * 9, b"ab")])))
    assert "\x1b" not in caught.value.message


def test_a_vocabulary_costs_neither_time_nor_memory(put):
    words = text("some word") * 300_000
    pair = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", ARRAY, TEXT, 300_000) + words
    path = put(gguf()[:16] + struct.pack("<Q", 1) + pair)
    tracemalloc.start()
    try:
        with at_most(3):
            header = read_gguf_header(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(words)
    finally:
        tracemalloc.stop()
    assert header.metadata["gguf.arrays"] == "1"


def test_a_header_without_end_is_not_read_to_the_end(put, tmp_path: Path):
    path = put(gguf()[:16] + struct.pack("<Q", 1) + text("k") + struct.pack("<IIQ", ARRAY, 0, 10**11))
    with path.open("r+b") as file:
        file.truncate(2 * 10**11)
    with pytest.raises(CorruptFileError, match="header of more than"):
        GgufFile(path)


def test_a_folder_and_a_missing_file(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(FileError, match=str(path)):
            GgufFile(path)


def test_a_file_cut_short_after_it_was_opened(put):
    path = put(gguf([block_of("F32", 4000)]))
    with GgufFile(path) as source:
        with path.open("r+b") as file:
            file.truncate(300)
        with pytest.raises(CorruptFileError, match="became shorter"):
            source.read_bytes("F32")
        source.close()


WHOLE = gguf(
    [block_of("Q4_K", 2), F16, ("deep", "F32", (1, 2, 3), blob(24))],
    [("general.architecture", TEXT, "flux"), ("list", ARRAY, (TEXT, ["a", "bc"])), ("general.alignment", U32, 32)],
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(edits=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=9)), min_size=1, max_size=3))
def test_fuzz_bytes(put, edits: list[tuple[int, bytes]]):
    """Whatever is changed, the file is read within its bounds or refused with its name."""
    content = WHOLE
    for place, new in edits:
        content = content[:place] + new + content[place + max(1, len(new)) :]
    path = put(content)
    try:
        with GgufFile(path) as source:
            sizes = {name: len(source.read_bytes(name)) for name in source.header.tensors}
            assert sum(sizes.values()) <= len(content)
    except ModelhubError as error:
        assert str(path) in error.message
