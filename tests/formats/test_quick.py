"""The quick reader of usual headers: it answers as the careful one does, or not at all."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from modelhub.errors import CorruptFileError
from modelhub.formats import safetensors
from modelhub.formats.header import Header
from modelhub.formats.quick import quick_header

DTYPES = ("F16", "BF16", "F32", "F8_E4M3", "I64", "U8", "BOOL", "F64")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32), max_size=12)
TENSORS = st.dictionaries(
    NAMES.filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 9), max_size=4).map(tuple)),
    min_size=1,
    max_size=8,
)
METADATA = st.dictionaries(st.text(max_size=9), st.text(max_size=30), max_size=3)


def careful(text: bytes, data_size: int) -> Header | None:
    """What the row-by-row reader makes of it; None for an error."""
    try:
        return safetensors._careful(text, data_size, "x")
    except CorruptFileError:
        return None


def agrees(text: bytes, data_size: int) -> bool:
    """Whether the quick reader read it; it must read what the careful one does, in the same order."""
    quick = quick_header(text, data_size)
    if quick is None:
        return False
    slow = careful(text, data_size)
    assert slow is not None
    assert list(quick[0].items()) == list(slow.tensors.items())
    assert quick[1] == slow.metadata
    assert quick[0].sizes == [info.numel for info in slow.tensors.values()]
    return True


def spelled(header: Header, spaced: bool) -> bytes:
    text = header.encoded[8:]
    return json.dumps(json.loads(text), ensure_ascii=False).encode() if spaced else text


@settings(max_examples=150, deadline=None)
@given(TENSORS, METADATA, st.booleans())
def test_usual_headers_are_read(tensors, metadata, spaced):
    header = Header.of(((name, *entry) for name, entry in tensors.items()), metadata)
    assert agrees(spelled(header, spaced), header.data_size) or not all(map(str.isprintable, tensors))


@settings(max_examples=400, deadline=None)
@given(TENSORS, METADATA, st.booleans(), st.data())
def test_whatever_is_changed_it_never_disagrees(tensors, metadata, spaced, data):
    header = Header.of(((name, *entry) for name, entry in tensors.items()), metadata)
    text = spelled(header, spaced).decode()
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(1, len(text) - 1))
        length = data.draw(st.integers(0, 12))
        put = data.draw(
            st.sampled_from(["", '"', ",", ":", "0", "-0", "1.0", "true", " ", "\\", "{", "]", "٣", '"a":', "],["])
        )
        text = text[:begin] + put + text[begin + length :]
    agrees(text.encode(), header.data_size)


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[\[\]{}:,]|\w+|\s+')
WORDS = """
    1e3 -0 01 0.0 +1 99999999999999999999 9223372036854775807 18446744073709551616 true null NaN 0 1 2 ٣ { } [ ] , : []
    {} "" "U8" "F16" "a" "\\u0061" "\\ud83d" "__metadata__" "dtype" "shape" "data_offsets"
"""
ODD_TOKENS = st.sampled_from([*WORDS.split(), *" \t\n\r\xa0\ufeff\0\u2028"])


@st.composite
def changed_tokens(draw, text: str) -> str:
    """A header in which some tokens are others, are gone, doubled or exchanged, or are numbers that are off by little."""
    tokens = TOKEN.findall(text)
    for _ in range(draw(st.integers(1, 3))):
        one, two = sorted((draw(st.integers(0, len(tokens) - 1)), draw(st.integers(0, len(tokens) - 1))))
        how = draw(st.sampled_from(["put", "remove", "double", "exchange", "shift"]))
        if how == "put":
            tokens[one] = draw(ODD_TOKENS)
        elif how == "remove":
            tokens[one] = ""
        elif how == "double":
            tokens[one:one] = tokens[one:two]
        elif how == "exchange":
            tokens[one], tokens[two] = tokens[two], tokens[one]
        elif tokens[one].isdecimal():
            tokens[one] = str(int(tokens[one]) + draw(st.sampled_from([-1, 1, 8])))
    return "".join(tokens)


def of_the_library(
    path: Path, text: bytes, data_size: int
) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data_size))
    with safe_open(path, "np") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        said = file.metadata() or {}
        return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}, said


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TENSORS, METADATA, st.booleans(), st.data())
def test_whatever_is_changed_what_is_read_is_what_the_library_reads(tmp_path, tensors, metadata, spaced, data):
    header = Header.of(((name, *entry) for name, entry in tensors.items()), metadata)
    text = data.draw(changed_tokens(spelled(header, spaced).decode())).encode("utf-8", "replace")
    size = max(0, header.data_size + data.draw(st.sampled_from([0, 0, 0, 1, -1])))
    if text.startswith(b"{"):
        agrees(text, size)
    try:
        found = safetensors.parse_header(text, size)
    except CorruptFileError:
        return
    ours = {name: (info.dtype, info.shape) for name, info in found.tensors.items()}
    assert (ours, dict(found.metadata)) == of_the_library(tmp_path / "x", text, size)


ENTRY = '"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'
#: Each in place of a part of ENTRY.
ODD_ENTRIES = {
    "true": ("[2]", "[true,2]"),
    "a fraction": ("[2]", "[2.0]"),
    "minus nought": ("[0,2]", "[-0,2]"),
    "a leading nought": ("[2]", "[02]"),
    "a line break in a name": ('"a"', '"\n"'),
    "an escaped name": ('"a"', '"\\u0061"'),
    "foreign digits": ("[2]", "[٢]"),
    "metadata as a tensor": ('"a"', '"__metadata__"'),
    "a gap": ("[0,2]", "[1,3]"),
    "an unknown dtype": ("U8", "U9"),
}
#: Each E stands for ENTRY.
ODD_HEADERS = {
    "a key twice": "{E,E}",
    "a key and another twice": "{E," + ENTRY.replace("[0,2]", "[2,4]") + "}",
    "one piece with two places": '{"a":{"dtype":"U8","shape":[2],"data_offsets"'
    ',"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},:[2,4]}}',
    "three numbers and one": '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0]},'
    '"b":{"dtype":"U8","shape":[2],"data_offsets":[2,2,4]}}',
    "a comma too many": "{E,}",
    "no end": "{E",
    "more behind the end": "{E}}",
    "metadata twice": '{"__metadata__":{},"__metadata__":{},E}',
    "a metadata key twice": '{"__metadata__":{"a":"b","a":"b"},E}',
    "metadata of numbers": '{"__metadata__":{"a":1},E}',
    "half a character": '{"__metadata__":{"a":"\\ud83d"},E}',
}
ODD = {what: "{E}".replace("E", ENTRY.replace(*change)) for what, change in ODD_ENTRIES.items()} | {
    what: text.replace("E", ENTRY) for what, text in ODD_HEADERS.items()
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("size", [2, 4])
def test_what_is_odd_is_left_to_the_careful_reader(what, size):
    assert not agrees(ODD[what].encode(), size)


def test_long_and_deep_headers_are_left_to_the_careful_reader():
    assert quick_header(b"{" + ENTRY.encode() + b"}" + b" " * 4_000_000, 2) is None
    assert quick_header(b'{"__metadata__":' + b"[" * 100_000, 0) is None
    assert quick_header(b"{" + ENTRY.replace("[2]", f"[{','.join('1' * 65)}]").encode() + b"}", 1) is None


def test_out_of_order_tensors_are_put_in_order_by_the_careful_reader():
    first = ENTRY.replace('"a"', '"b"').replace("[0,2]", "[2,4]")
    text = ("{" + first + "," + ENTRY + "}").encode()
    assert not agrees(text, 4)
    assert list(safetensors.parse_header(text, 4).tensors) == ["a", "b"]
