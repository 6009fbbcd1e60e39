"""Archives made by hand: any in which two readers could find two different things is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from modelhub.errors import CorruptFileError
from modelhub.formats.pickles.file import PickleFile, read_pickle_header

P = b"\x80\x02"


def _entry(name: bytes, data: bytes, place: int, lies: dict[str, int]) -> tuple[bytes, bytes]:
    """A local header with its data, and the entry of the directory; `lies` change one side."""
    size, method, flags = len(data), lies.get("method", 0), lies.get("flags", 0)
    here, there = lies.get("local_size", size), lies.get("size", size)
    raw = lies.get("other_name", 0) * b"x" + name[lies.get("other_name", 0) :]
    local = (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, lies.get("crc", 0), here, here, len(raw), 0)
        + raw
        + data
    )
    front = (
        b"PK\1\2",
        20,
        20,
        lies.get("central_flags", flags),
        lies.get("central_method", method),
        0,
        0,
        0,
        there,
        there,
    )
    return local, struct.pack(
        "<4s6H3L5H2L", *front, len(name), 0, 0, 0, 0, lies.get("marks", 0), lies.get("at", place)
    ) + name


def _archive(
    path: Path,
    *entries: tuple[bytes, bytes, dict[str, int]],
    front: bytes = b"",
    hole: bytes = b"",
    comment: bytes = b"",
    count: int = 0,
) -> Path:
    body, directory = front, b""
    for name, data, lies in entries:
        local, central = _entry(name, data, len(body), lies)
        body, directory = body + local + hole, directory + central
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(entries) + count, len(entries) + count, len(directory), len(body), len(comment)
    )
    path.write_bytes(body + directory + end + comment)
    return path


GOOD = (b"m/data.pkl", P + b"}.", {})


def test_the_crafted_archive_is_fine_when_it_does_not_lie(tmp_path):
    assert not read_pickle_header(_archive(tmp_path / "m.pt", GOOD, (b"m/version", b"3", {}))).tensors
    assert not read_pickle_header(_archive(tmp_path / "m.pt", GOOD, hole=b"\0" * 50, comment=b"hello")).tensors
    assert not read_pickle_header(_archive(tmp_path / "m.pt", (b"m/DATA.pkl", P + b"}.", {}))).tensors


EVIL = P + b"cos\nsystem\n."
STRUCTURES = {
    "the same name twice": [GOOD, (b"m/data.pkl", EVIL, {})],
    "the same name in other letters": [GOOD, (b"m/DATA.PKL", EVIL, {})],
    "another name before the data": [(b"m/data.pkl", P + b"}.", {"other_name": 1})],
    "another size before the data": [(b"m/data.pkl", P + b"}.", {"local_size": 2})],
    "a size that reaches beyond": [(b"m/data.pkl", P + b"}.", {"size": 5000, "local_size": 5000})],
    "encryption": [(b"m/data.pkl", P + b"}.", {"flags": 1})],
    "encryption in the directory only": [(b"m/data.pkl", P + b"}.", {"central_flags": 1})],
    "another method before the data": [(b"m/data.pkl", P + b"}.", {"method": 8, "central_method": 0})],
    "an unknown method": [(b"m/data.pkl", P + b"}.", {"method": 12})],
    "two entries in one place": [GOOD, (b"m/version", b"3", {"at": 0})],
    "an entry outside": [GOOD, (b"m/version", b"3", {"at": 2**31})],
    "two folders": [GOOD, (b"n/version", b"3", {})],
    "a file beside the folder": [GOOD, (b"version", b"3", {})],
    "a way out of the folder": [GOOD, (b"m/../version", b"3", {})],
    "an absolute name": [GOOD, (b"/m/version", b"3", {})],
    "a backslash": [GOOD, (b"m\\version", b"3", {})],
    "a zero byte": [GOOD, (b"m/ver\0sion", b"3", {})],
    "a file that is marked as a folder": [GOOD, (b"m/version", b"3", {"marks": 16})],
    "a folder with data": [GOOD, (b"m/folder/", b"3", {})],
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_archives_that_can_be_read_in_two_ways_are_refused(tmp_path, name):
    with pytest.raises(CorruptFileError):
        PickleFile(_archive(tmp_path / "m.pt", *STRUCTURES[name]))


@pytest.mark.parametrize(
    "lie",
    [
        {"front": b"PK\3\4" + b"\0" * 60},
        {"count": 1},
        {"count": -1},
        {"comment": b"PK\5\6" + b"\0" * 18},
        {"comment": b"xPK\5\6y"},
    ],
)
def test_archives_with_something_hidden_are_refused(tmp_path, lie):
    with pytest.raises(CorruptFileError):
        PickleFile(_archive(tmp_path / "m.pt", GOOD, (b"m/version", b"3", {}), **lie))


def test_an_archive_with_something_behind_it_is_refused(tmp_path):
    path = _archive(tmp_path / "m.pt", GOOD)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CorruptFileError):
        PickleFile(path)
