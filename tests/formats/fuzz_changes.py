"""Real files with some bytes changed: pickles and archives of torch, whose headers are changed field by field."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from fuzz_opcodes import Choices, check_opcodes, check_reading
from hypothesis import strategies as st

from modelhub.errors import ModelhubError
from modelhub.formats.pickles.file import PickleFile

_state = {
    "state_dict": {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.zeros(1).half(), "c": torch.arange(4)},
    "epoch": 1,
}


@cache
def wholes() -> tuple[bytes, ...]:
    """Files as torch and pickle write them, archives first."""
    found = []
    for options in ({}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}):
        torch.save(_state, buffer := io.BytesIO(), **options)
        found.append(buffer.getvalue())
    return (*found, *(pickle.dumps(_state, protocol) for protocol in (0, 2, 4, 5)))


def _changed(which: int, changes: list[tuple[int, int, int]]) -> bytes:
    data = bytearray(wholes()[which % len(wholes())])
    for at, value, how in changes:
        at %= len(data)
        if how == 0:
            data[at] = value
        elif how == 1:
            del data[at : at + value % 9]
        elif how == 2:
            data[at:at] = bytes([value])
        else:
            data[at : at + 8] = data[value : value + 8]
        data = data or bytearray(b"\x80")
    return bytes(data)


changes = st.builds(
    _changed,
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 3)), min_size=1, max_size=5),
)


def check_changes(data: bytes, folder: Path) -> None:
    """What holds for pickles of any bytes; archives are pickles in a box."""
    check_reading(data, folder) if data.startswith(b"PK") else check_opcodes(data, folder)


_LOCAL = {
    "magic": (0, 4),
    "flags": (6, 2),
    "method": (8, 2),
    "crc": (14, 4),
    "packed": (18, 4),
    "size": (22, 4),
    "names": (26, 2),
    "extras": (28, 2),
    "name": (30, 1),
}
_CENTRAL = {
    "magic": (0, 4), "flags": (8, 2), "method": (10, 2), "crc": (16, 4), "packed": (20, 4), "size": (24, 4), "names": (28, 2), "extras": (30, 2),
    "notes": (32, 2), "disk": (34, 2), "inner": (36, 2), "outer": (38, 4), "at": (42, 4), "name": (46, 1), "more of the name": (52, 1),
}  # fmt: skip
_END = {
    "magic": (0, 4),
    "disk": (4, 2),
    "first": (6, 2),
    "here": (8, 2),
    "count": (10, 2),
    "size": (12, 4),
    "begin": (16, 4),
    "notes": (20, 2),
}


def _headers(data: bytes) -> list[tuple[int, dict[str, tuple[int, int]]]]:
    """Where every header of an archive stands, and its fields."""
    found, at = [], data.find(b"PK")
    while at >= 0:
        fields = {b"\3\4": _LOCAL, b"\1\2": _CENTRAL, b"\5\6": _END}.get(data[at + 2 : at + 4])
        if fields:
            found.append((at, fields))
        at = data.find(b"PK", at + 1)
    return found


def _large(data: bytes) -> bytes:
    """The same archive with the 64-bit records behind its directory."""
    at = data.rindex(b"PK\5\6")
    _, _, _, here, count, size, begin, _ = struct.unpack("<4s4H2LH", data[at : at + 22])
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, here, count, size, begin)
    return data[:at] + end64 + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + data[at:]


@cache
def archives() -> tuple[bytes, ...]:
    """Archives as torch writes them, and packed again: stored, deflated, with a note, with folders, with 64 bits."""
    found = [data for data in wholes() if data.startswith(b"PK")]
    for method, note in ((zipfile.ZIP_STORED, b"PK\5\6 is a note"), (zipfile.ZIP_DEFLATED, b"")):
        with zipfile.ZipFile(io.BytesIO(found[0])) as old, zipfile.ZipFile(out := io.BytesIO(), "w", method) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
            new.writestr("archive/notes/", b"")
            new.comment = note.replace(b"PK", b"PX")
        found.append(out.getvalue())
    return (*found, _large(found[0]), _large(found[-1]))


def _value(choose: Choices, old: int, width: int, other: int) -> int:
    way = choose.below(8)
    new = (0, 1, old + 1, old - 1, other, 256**width - 1, old ^ (1 << choose.below(8 * width)), old + choose.below(64))[
        way
    ]
    return new % 256**width


def write_archive(numbers: list[int]) -> bytes:
    """The archive that a list of choices stands for: some fields changed, in one header or in both of an entry."""
    choose = Choices(numbers)
    data = bytearray(choose.of(archives()))
    for _ in range(1 + choose.below(4)):
        headers = _headers(bytes(data))
        if not headers:
            break
        at, fields = choose.of(headers)
        name = choose.of(sorted(fields))
        place, width = fields[name]
        old = int.from_bytes(data[at + place : at + place + width], "little")
        there, theirs = choose.of(headers)
        far, wide = theirs.get(name, (0, 2))
        other = int.from_bytes(data[there + far : there + far + wide], "little")
        new = _value(choose, old, width, other).to_bytes(width, "little")
        data[at + place : at + place + width] = new
        if fields is not _END and choose.below(2):
            _repeat(data, headers, at, name, new)
    return bytes(data) + b"x" * (not choose.below(30))


def _repeat(data: bytearray, headers: list[tuple[int, Any]], at: int, name: str, new: bytes) -> None:
    """Make the same change in the other header of the entry, so that the archive agrees with itself."""
    kind = data[at + 2 : at + 4]
    same = (
        [place for place, _ in headers if data[place + 2 : place + 4] == kind].index(at)
        if kind in (b"\3\4", b"\1\2")
        else -1
    )
    others = [(place, fields) for place, fields in headers if data[place + 2 : place + 4] not in (kind, b"\5\6")]
    if 0 <= same < len(others) and name in others[same][1]:
        place, fields = others[same]
        begin, width = fields[name]
        data[place + begin : place + begin + width] = new


zips = st.lists(st.integers(0, 2**16), min_size=1, max_size=40).map(write_archive)


def _bytes_of(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def check_zip(data: bytes, folder: Path) -> None:
    """What both torch and this program read is the same to the last bit."""
    check_reading(data, folder)
    path = folder / "soup.pt"
    try:
        with PickleFile(path) as file:
            ours = {name: (info.shape, file.read_bytes(name)) for name, info in file.header.tensors.items()}
    except ModelhubError:
        return
    try:
        loaded = torch.load(path, weights_only=True)
    except Exception:  # torch has many ways of refusing
        return
    theirs = {name: (tuple(t.shape), _bytes_of(t)) for name, t in loaded["state_dict"].items()}
    assert ours == theirs
