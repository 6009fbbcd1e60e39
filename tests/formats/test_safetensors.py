"""The strict reader: what the library writes it reads, what lies it refuses in words; nothing else ever comes out."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelhub.errors import CorruptFileError, FileError, ModelhubError, NotAModelError, VanishedError
from modelhub.formats.header import DTYPE_BITS
from modelhub.formats.safetensors import MAX_HEADER, SafetensorsFile, parse_header, read_header


def _file(text: bytes | str, data: bytes = b"") -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw + data


def _one(
    dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4), data: bytes = b"abcd", **more: object
) -> bytes:
    return _file(json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}), data)


def _raw(shape: str, offsets: str, data: bytes = b"abcd") -> bytes:
    return _file(f'{{"a":{{"dtype":"U8","shape":{shape},"data_offsets":{offsets}}}}}', data)


def _two(first: tuple[int, int], second: tuple[int, int], data: bytes) -> bytes:
    table = {
        name: {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]}
        for name, (start, stop) in (("a", first), ("b", second))
    }
    return _file(json.dumps(table), data)


ENTRY = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

MALFORMED = {
    "empty file": (b"", "is empty"),
    "one byte": (b"\x01", "too few"),
    "length only": (struct.pack("<Q", 2), "too few"),
    "header longer than the file": (struct.pack("<Q", 5000) + b'{"a":{}}', "cut short"),
    "header of 2**63": (struct.pack("<Q", 2**63) + b'{"a":{}}', "cut short"),
    "header of 2**64-1": (struct.pack("<Q", 2**64 - 1) + b'{"a":{}}', "cut short"),
    "bad UTF-8": (_file(b'{"\xff":{}}'), "not valid JSON"),
    "UTF-8 of a surrogate": (_file(b'{"\xed\xa0\x80":' + ENTRY.encode() + b"}", b"x"), "not valid JSON"),
    "half a surrogate pair in a name": (_file('{"\\ud800":' + ENTRY + "}", b"x"), "half a character"),
    "half a surrogate pair in metadata": (_file('{"__metadata__":{"k":"\\udfff"}}'), "half a character"),
    "bad JSON": (_file("{nonsense}"), "not valid JSON"),
    "JSON without its end": (_file('{"a":' + ENTRY), "not valid JSON"),
    "two JSON documents": (_file("{}{}"), "not valid JSON"),
    "zero bytes behind": (_file("{}\0\0"), "not valid JSON"),
    "NaN": (_file('{"a":NaN}'), "not valid JSON"),
    "a number of 5000 digits": (_file('{"a":' + "9" * 5000 + "}"), "not valid JSON"),
    "control character in a name": (_file('{"a\x1b":' + ENTRY + "}", b"x"), "not valid JSON"),
    "nested lists": (_file('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "nested too deeply"),
    "nested objects": (_file('{"a":' * 100_000 + "1" + "}" * 100_000), "nested too deeply"),
    "nested in metadata": (_file('{"__metadata__":' + "[" * 100_000 + "]" * 100_000 + "}"), "nested too deeply"),
    "duplicate tensor": (_file('{"a":' + ENTRY + ',"a":' + ENTRY + "}", b"x"), "'a' stands twice"),
    "duplicate by escape": (_file('{"a":' + ENTRY + ',"\\u0061":' + ENTRY + "}", b"x"), "'a' stands twice"),
    "duplicate dtype": (_file('{"a":' + ENTRY.replace("}", ',"dtype":"I8"}') + "}", b"x"), "'dtype' stands twice"),
    "duplicate metadata": (_file('{"__metadata__":{"k":"1","k":"2"}}'), "'k' stands twice"),
    "metadata twice": (_file('{"__metadata__":{},"__metadata__":{}}'), "stands twice"),
    "metadata with a number": (_file('{"__metadata__":{"k":1}}'), "not a table of texts"),
    "metadata with null": (_file('{"__metadata__":{"k":null}}'), "not a table of texts"),
    "metadata with a table": (_file('{"__metadata__":{"k":{}}}'), "not a table of texts"),
    "metadata is a list": (_file('{"__metadata__":[]}'), "not a table of texts"),
    "leading blanks": (_file("  {}"), "no header begins"),
    "byte order mark": (_file(b"\xef\xbb\xbf{}"), "no header begins"),
    "a list": (_file("[]        "), "no header begins"),
    "tensor is a list": (_file('{"a":["U8",[1],[0,1]]}', b"x"), "lacks one of"),
    "tensor is null": (_file('{"a":null}'), "lacks one of"),
    "no dtype": (_file('{"a":{"shape":[1],"data_offsets":[0,1]}}', b"x"), "lacks one of"),
    "one key more": (_one(more=1), "lacks one of"),
    "unknown dtype": (_one("F17"), "unknown dtype 'F17'"),
    "lower-case dtype": (_one("u8"), "unknown dtype"),
    "dtype is a number": (_one(8), "unknown dtype"),
    "dtype is a list": (_one(["U8"]), "unknown dtype"),
    "dtype of a megabyte": (_one("F" * 1_000_000), "unknown dtype"),
    "negative size": (_one(shape=[-4]), "impossible shape"),
    "two negative sizes": (_one(shape=[-2, -2]), "impossible shape"),
    "fractional size": (_one(shape=[4.0]), "impossible shape"),
    "boolean size": (_one("U8", [True], [0, 1], b"x"), "impossible shape"),
    "size in words": (_one(shape=["4"]), "impossible shape"),
    "shape is null": (_one(shape=None), "impossible shape"),
    "shape is a number": (_one(shape=4), "impossible shape"),
    "minus zero": (_raw("[-0]", "[0,0]", b""), "impossible shape"),
    "size 4e0": (_raw("[4e0]", "[0,4]"), "impossible shape"),
    "size over 64 bits": (_one(shape=[2**64 + 4]), "impossible shape"),
    "product overflows to 4": (_one(shape=[2**62 + 1, 4]), "impossible shape"),
    "product overflows in bits": (_one("F64", [2**58]), "impossible shape"),
    "product overflows to 0": (_one(shape=[2**32, 2**32], offsets=[0, 0], data=b""), "impossible shape"),
    "overflow before a zero": (_one(shape=[2**62, 2**62, 0], offsets=[0, 0], data=b""), "impossible shape"),
    "rank 1000": (_one(shape=[1] * 1000, offsets=[0, 1], data=b"x"), "impossible shape"),
    "rank 100000": (_one(shape=[0] * 100_000, offsets=[0, 0], data=b""), "impossible shape"),
    "half a byte": (_one("F4", [3], [0, 2], b"xx"), "impossible shape"),
    "negative offset": (_one(offsets=[-4, 0]), "impossible offsets"),
    "reversed offsets": (_one(offsets=[4, 0]), "impossible offsets"),
    "fractional offset": (_raw("[4]", "[0.0,4]"), "impossible offsets"),
    "offset 4e0": (_raw("[4]", "[0,4e0]"), "impossible offsets"),
    "boolean offset": (_raw("[1]", "[false,true]", b"x"), "impossible offsets"),
    "one offset": (_one(offsets=[4]), "impossible offsets"),
    "three offsets": (_one(offsets=[0, 4, 4]), "impossible offsets"),
    "offsets are null": (_one(offsets=None), "impossible offsets"),
    "offset over 64 bits": (_one(offsets=[2**64, 2**64 + 4]), "impossible offsets"),
    "offset out of range": (_one(offsets=[10**9, 10**9 + 4]), "leaves a gap"),
    "wrong size for its shape": (_one(shape=[3]), "needs 3 bytes"),
    "wrong size for its dtype": (_one("F32"), "needs 16 bytes"),
    "hole at the start": (_one(offsets=[4, 8], data=b"12345678"), "leaves a gap"),
    "hole": (_two((0, 4), (6, 8), b"12345678"), "leaves a gap"),
    "overlap": (_two((0, 4), (2, 6), b"123456"), "overlaps"),
    "same place twice": (_two((0, 4), (0, 4), b"1234"), "overlaps"),
    "bytes behind": (_one(data=b"abcdZIP"), "has 3 bytes after"),
    "bytes behind nothing": (_file("{}", b"x"), "has 1 bytes after"),
    "cut short": (_one(data=b"abc"), "cut short"),
    "text file": (b"these are my favourite models\n", "not a safetensors file"),
    "web page": (b"<!DOCTYPE html><html><body>Log in</body></html>", "not a safetensors file"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "not a safetensors file"),
    "JSON error page": (b'{"error":"unauthorized","message":"log in"}', "not a safetensors file"),
    "zip": (b"PK\x03\x04" + bytes(60), "not a safetensors file"),
    "pickle": (b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u.", "not a safetensors file"),
    "GGUF": (b"GGUF\x03\x00\x00\x00" + bytes(60), "not a safetensors file"),
    "zeros": (bytes(4096), "not a safetensors file"),
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_file_is_refused_in_words(tmp_path: Path, what: str):
    content, words = MALFORMED[what]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for read in (read_header, SafetensorsFile):
        with pytest.raises((CorruptFileError, NotAModelError)) as caught:
            read(path)
        assert str(path) in caught.value.message
        assert words in caught.value.message
        assert caught.value.message.endswith(".")
        assert len(caught.value.message) < 1000
        assert caught.value.hint


@pytest.mark.parametrize(
    ("what", "word"),
    [("web page", "web page"), ("LFS pointer", "LFS"), ("zip", "zip"), ("pickle", "pickle"), ("GGUF", "GGUF"),
     ("zeros", "unfinished")],
)  # fmt: skip
def test_the_hint_says_what_it_is_instead(tmp_path: Path, what: str, word: str):
    path = tmp_path / "model.safetensors"
    path.write_bytes(MALFORMED[what][0])
    with pytest.raises(NotAModelError) as caught:
        read_header(path)
    assert word in caught.value.hint


def test_a_header_over_the_cap_is_refused_without_being_read(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", MAX_HEADER + 1) + b"{")
    os.truncate(path, MAX_HEADER + 100)
    with pytest.raises(CorruptFileError, match="are allowed"):
        read_header(path)


def test_names_are_shown_without_their_escape_codes(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(_file('{"\\u001b[2J\\u202e":{}}'))
    with pytest.raises(CorruptFileError) as caught:
        read_header(path)
    assert "\x1b" not in caught.value.message
    assert "\u202e" not in caught.value.message


def test_what_is_no_file(tmp_path: Path):
    with pytest.raises(VanishedError):
        read_header(tmp_path / "gone.safetensors")
    with pytest.raises(FileError, match="is a folder"):
        read_header(tmp_path)
    with pytest.raises(FileError, match="cannot be the name"):
        read_header(tmp_path / "a\0b.safetensors")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    with pytest.raises(FileError, match="symbolic link"):
        read_header(tmp_path / "loop.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    for read in (read_header, SafetensorsFile):
        with pytest.raises(NotAModelError, match="pipe"):
            read(tmp_path / "pipe.safetensors")


def test_parse_header_alone_takes_any_bytes():
    for text in (b"", b"[]", b"1", b"null", b'"a"', b" {}", b"{", b"\xff"):
        with pytest.raises(CorruptFileError):
            parse_header(text, 0)


def test_the_library_and_we_agree_on_metadata_and_order(make_file):
    tensors = {"z": np.arange(3, dtype=np.int64), "名前": np.ones((2, 2), np.float16), "../../x": np.ones((), np.uint8)}
    metadata = {"title": "two\nlines", "emoji": "😀", "": "empty key"}
    path = make_file("a.safetensors", tensors, metadata)
    header = read_header(path)
    assert header.metadata == metadata
    assert header.shapes == {name: value.shape for name, value in tensors.items()}
    assert header.data_start + header.data_size == path.stat().st_size
    begins = [info.begin for info in header.tensors.values()]
    assert begins == sorted(begins)


@pytest.mark.parametrize(
    "content",
    [
        _file("{}"),
        _file('{"__metadata__":null}'),
        _file("{} \n\t"),
        _one("F8_E8M0"),
        _one("F4", [8]),
        _raw("[2,2]", "[0,4]"),
        _one(shape=[1] * 64, offsets=[0, 1], data=b"x"),
        _two((0, 0), (0, 4), b"abcd"),
        _two((4, 8), (0, 4), b"abcdefgh"),
        _two((4, 4), (0, 4), b"abcd"),
        _file('{"\\ud83d\\ude00":' + ENTRY + "}", b"x"),
    ],
)
def test_odd_but_valid_files_are_read(tmp_path: Path, content: bytes):
    (tmp_path / "a.safetensors").write_bytes(content)
    _agree(content, read_header(tmp_path / "a.safetensors"))


def _agree(content: bytes, header) -> None:
    """The library accepts the file too, and sees the same tensors with the same bytes."""
    expected = dict(safetensors.deserialize(content))
    assert set(header.tensors) == set(expected)
    for name, info in header.tensors.items():
        begin = header.data_start + info.begin
        assert (info.dtype, list(info.shape)) == (expected[name]["dtype"], list(expected[name]["shape"]))
        assert content[begin : begin + info.nbytes] == bytes(expected[name]["data"])


def _judge(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    try:
        header = read_header(path)
    except ModelhubError as error:
        assert str(path) in error.message
        return
    _agree(content, header)


NUMBER = st.one_of(
    st.integers(0, 9),
    st.sampled_from([-1, 2**31, 2**62, 2**63, 2**64, 1.0, True, None, "1", [], 10**400]),
    st.integers(),
)
ENTRY_OF = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPE_BITS, "F8", ""]),
        "shape": st.lists(NUMBER, max_size=3),
        "data_offsets": st.lists(NUMBER, min_size=1, max_size=3),
    }
)


@st.composite
def laid_out(draw) -> bytes:
    """A file that adds up, with at most one thing wrong."""
    table: dict[str, object] = {}
    end = 0
    for name in draw(st.lists(st.text(max_size=4), max_size=4, unique=True)):
        dtype, shape = draw(st.sampled_from(list(DTYPE_BITS))), draw(st.lists(st.integers(0, 4), max_size=3))
        size = (int(np.prod(shape, dtype=object)) * DTYPE_BITS[dtype] + 7) // 8
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    if draw(st.booleans()):
        table[draw(st.sampled_from(["x", "__metadata__", ""]))] = draw(
            ENTRY_OF | st.dictionaries(st.text(max_size=3), st.text(max_size=3) | NUMBER, max_size=2)
        )
    text = json.dumps(table, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return _file(text, bytes(end + draw(st.sampled_from([0, 0, 0, 1, -1])) if end else 0))


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)


@FUZZ
@given(content=laid_out())
def test_fuzz_tables(content: bytes, tmp_path: Path):
    _judge(content, tmp_path / "a.safetensors")


@FUZZ
@given(
    content=laid_out(), edits=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), min_size=1, max_size=3)
)
def test_fuzz_bytes(content: bytes, edits: list[tuple[int, bytes]], tmp_path: Path):
    for place, bytes_ in edits:
        place %= len(content)
        content = content[:place] + bytes_ + content[place + 1 :]
    _judge(content, tmp_path / "a.safetensors")


@FUZZ
@given(st.binary(max_size=64), st.binary(max_size=8))
@example(b"{}", b"")
@example(b'{"a":' + ENTRY.encode().replace(b"1]", b"-0]") + b"}", b"x")
def test_fuzz_noise(tmp_path: Path, text: bytes, data: bytes):
    _judge(_file(b"{" + text, data), tmp_path / "a.safetensors")
    _judge(text + data, tmp_path / "a.safetensors")
