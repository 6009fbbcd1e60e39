"""Headers of safetensors and GGUF files with something wrong in them, and what has to hold for each."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from test_gguf import ARRAY, BOOL, TEXT, U32, gguf

from modelhub.errors import ModelhubError
from modelhub.formats.gguf import GgufFile
from modelhub.formats.safetensors import SafetensorsFile

_WIDTHS = {
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "C64": 8,
    "F4": 0.5,
    "F6_E2M3": 0.75,
}
_names = st.sampled_from(["a", "b", "weight", "", "é", "../x", "__metadata__", "a\\u0000b", "x" * 300]) | st.text(
    max_size=3
)
_shapes = st.lists(st.integers(0, 5) | st.sampled_from([2**31, 2**63, 2**64]), max_size=4)
_wrong = st.sampled_from([None, -1, 1.0, True, "1", [], {}, 2**64, 10**30, "F32", [0, 1, 2], [1, 0], [0.0, 4.0]])


@st.composite
def _entry(draw: Any, begin: int) -> tuple[dict[str, Any], int]:
    dtype, shape = draw(st.sampled_from(sorted(_WIDTHS))), draw(_shapes)
    size = 1
    for part in shape:
        size *= part
    size = int(size * _WIDTHS[dtype]) if size < 10**6 else 8
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}
    if draw(st.integers(0, 9)) == 0:
        entry[draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))] = draw(_wrong)
    if draw(st.integers(0, 15)) == 0:
        entry.pop(draw(st.sampled_from(sorted(entry))))
    return entry, begin + size


@st.composite
def safetensors_files(draw: Any) -> bytes:
    """A file whose header is right, or wrong in one or two places."""
    begin, pairs = 0, []
    for _ in range(draw(st.integers(0, 4))):
        entry, begin = draw(_entry(begin))
        pairs.append((draw(_names), entry))
    if draw(st.booleans()):
        pairs.append(("__metadata__", draw(st.dictionaries(_names, _names | _wrong, max_size=3))))
    pairs = draw(st.permutations(pairs))
    text = (
        "{"
        + ",".join(f"{json.dumps(name, ensure_ascii=draw(st.booleans()))}:{json.dumps(entry)}" for name, entry in pairs)
        + "}"
    )
    raw = text.encode("utf-8", "surrogatepass")
    for at, byte in draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=1 if draw(st.booleans()) else 0)
    ):
        raw = raw[: at % len(raw)] + bytes([byte]) + raw[at % len(raw) + draw(st.integers(0, 1)) :]
    raw += draw(st.sampled_from([b"", b" ", b"       ", b"\n", b"\0", b"x"]))
    length = len(raw) + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1, 2**40]))
    size = max(0, begin + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1])))
    return struct.pack("<Q", length) + raw + bytes(range(256)) * (size // 256) + bytes(range(size % 256))


def check_safetensors(data: bytes, folder: Path) -> None:
    """What is accepted, the safetensors library accepts, and finds the same in it."""
    path = folder / "soup.safetensors"
    path.write_bytes(data)
    try:
        with SafetensorsFile(path) as file:
            ours = {n: (info.dtype, list(info.shape), file.read_bytes(n)) for n, info in file.header.tensors.items()}
    except ModelhubError as error:
        assert path.name in error.message
        return
    try:
        theirs = {name: (part["dtype"], list(part["shape"]), bytes(part["data"])) for name, part in deserialize(data)}
    except SafetensorError as error:
        raise AssertionError(f"the library refuses it: {error}") from None
    assert ours == theirs


def _whole_gguf() -> bytes:
    pairs = [
        ("general.architecture", TEXT, "flux"),
        ("n", U32, 3),
        ("yes", BOOL, True),
        ("list", ARRAY, (TEXT, ["a", "b"])),
    ]
    return gguf(
        [("a", "F32", (2, 3), bytes(24)), ("b", "Q8_0", (32,), bytes(34)), ("c", "F16", (5,), bytes(10))], pairs
    )


_WORDS = [0, 1, 2, 7, 9, 13, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**60, 2**63, 2**64 - 1]


def _changed(edits: list[tuple[int, int, int, int]], cut: int) -> bytes:
    data = bytearray(_whole_gguf())
    for at, word, width, how in edits:
        at %= len(data)
        if how:
            data[at : at + width] = (_WORDS[word % len(_WORDS)] % 256**width).to_bytes(width, "little")
        else:
            data[at] = word % 256
    return bytes(data[: len(data) - cut])


_edit = st.tuples(st.integers(0, 400), st.integers(0, 255), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2))
gguf_files = st.builds(_changed, st.lists(_edit, min_size=1, max_size=4), st.sampled_from([0, 0, 0, 1, 40, 200]))


def check_gguf(data: bytes, folder: Path) -> None:
    """A header or an error in words."""
    path = folder / "soup.gguf"
    path.write_bytes(data)
    try:
        with GgufFile(path) as file:
            for name in file.header.tensors:
                assert len(file.read_bytes(name)) == file.info(name).nbytes
    except ModelhubError as error:
        assert path.name in error.message
