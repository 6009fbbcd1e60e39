"""tar archives that another reader would understand differently: none of them passes for a harmless one."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import pytest

from modelhub.errors import FileError, UnsafePickleError
from modelhub.formats.pickles.file import PickleFile

EVIL = b"cos\nmkdir\n(X\1\0\0\0mtR."
PARTS = {
    b"sys_info": b"}.", b"storages": pickle.dumps(0, 2) + pickle.dumps([], 2), b"tensors": pickle.dumps(0, 2),
    b"pickle": b"}.",
}  # fmt: skip


def _entry(name: bytes, data: bytes, kind: bytes = b"0", magic: bytes = b"ustar\x0000") -> bytes:
    fields = (name.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % len(data), b"%011o\0" % 0)
    front = b"".join(fields)
    rest = kind + bytes(100) + magic.ljust(8, b"\0") + bytes(247)
    total = sum(front) + sum(rest) + 8 * 32
    return front + b"%06o\0 " % total + rest + data + bytes(-len(data) % 512)


def _tar(path: Path, *entries: bytes) -> Path:
    path.write_bytes(b"".join(entries) + bytes(1024))
    return path


def _usual(magic: bytes = b"ustar\x0000", **other: bytes) -> list[bytes]:
    return [_entry(name, other.get(name.decode(), data), magic=magic) for name, data in PARTS.items()]


def _read_by_python(path: Path) -> bytes:
    """What the loader of torch finds under the name that it asks for."""
    with tarfile.open(path, "r:") as tar:
        found = tar.extractfile("pickle")
        assert found is not None
        return found.read()


def test_the_crafted_archive_is_fine_when_it_does_not_lie(tmp_path):
    path = _tar(tmp_path / "m.pth", *_usual())
    assert _read_by_python(path) == b"}."
    with PickleFile(path) as file:
        assert not file.dangers


def test_a_name_ends_where_readers_see_its_end(tmp_path):
    path = _tar(tmp_path / "m.pth", *_usual(), _entry(b"pickle\0 or not", EVIL))
    assert _read_by_python(path) == EVIL
    with pytest.raises(FileError, match="twice"):
        PickleFile(path)


@pytest.mark.parametrize("size", [0, 600, 5000, 100_000])
def test_a_note_that_renames_a_file_is_found_however_long_it_is(tmp_path, size):
    comment = b"comment=" + b"x" * size + b"\n"
    length = len(comment) + 1 + len(str(len(comment) + 4))
    note = b"%d %s" % (length, comment) + b"15 path=pickle\n"
    path = _tar(tmp_path / "m.pth", *_usual(), _entry(b"note", note, b"x"), _entry(b"other", EVIL))
    assert _read_by_python(path) == EVIL
    with pytest.raises(FileError, match="renames"):
        PickleFile(path)


def test_an_archive_without_its_magic_word_is_still_one(tmp_path):
    """Readers go by the checksum; its first name may be a harmless pickle."""
    plain = _tar(tmp_path / "plain.pth", *_usual(b"", pickle=EVIL))
    both = _tar(tmp_path / "both.pth", _entry(b"\x80\x02}.", b"", magic=b""), *_usual(b"", pickle=EVIL))
    for path in (plain, both):
        assert _read_by_python(path) == EVIL
        with pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
            PickleFile(path)
