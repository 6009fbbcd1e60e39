"""Safetensors files that are something else as well, which torch finds and runs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest
from pickle_attacks import STOP, call, tar_with, text, zip_with
from safetensors import safe_open

from modelhub.convert.converting import Options, opened
from modelhub.convert.inspect import inspect
from modelhub.errors import UnsafePickleError
from modelhub.formats.pickles.disguise import disguise

_LOAD = """
import sys, torch
try:
    torch.load(sys.argv[1], weights_only=False)
except Exception:
    pass
"""
#: What four spaces are as a number: the least bytes that text can tell an unpickler to skip.
_SKIP = 0x20202020


def _header(front: bytes, size: int, length: int) -> bytes:
    """A header of `length` bytes that begins with a text of metadata, for a tensor of `size` bytes."""
    end = b'"},"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return front.ljust(length - len(end), b"x") + end


def _tar(marker: str) -> bytes:
    """The first header of a tar archive around the beginning of a safetensors file."""
    archive, length = tar_with(pickle=call("os", "mkdir", text(marker)) + STOP), 1024 - 8
    front = (struct.pack("<Q", length) + b'{"__metadata__":{"a":"').ljust(100, b"x")
    fields = b"0000644 0000000 0000000 00000001000 00000000000 "
    rest = b"0" + b"y" * 172 + b"0000000 0000000 " + b"z" * 167
    total = b"%06o  " % (sum(front + fields + rest) + 8 * 32)
    return front[:8] + _header((front + fields + total + rest)[8:], len(archive), length) + archive


def _write_pickle(path, marker: str) -> None:
    """The length of the header is an opcode, which leads into its text, and from there into the tensor."""
    length = 0x4058
    at = 5 + (length >> 8)
    front = b'{"__metadata__":{"a":"'.ljust(at - 8, b"p") + b"0B    "
    code = b"0" + call("os", "mkdir", text(marker)) + STOP
    begin = at + 6 + _SKIP
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length) + _header(front, begin + len(code) - length - 8, length))
        file.seek(begin)
        file.write(code)


def test_torch_runs_the_tar_archive_that_safetensors_reads_as_its_own(tmp_path, torch):
    path, marker = tmp_path / "m.ckpt", tmp_path / "marker"
    path.write_bytes(_tar(str(marker)))
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == ["w"]
    subprocess.run([sys.executable, "-c", _LOAD, str(path)], check=True, timeout=120)
    assert marker.exists()


@pytest.mark.parametrize("what", ["tar", "pickle", "zip"])
def test_it_is_dangerous_and_not_converted(tmp_path, what):
    path, marker = tmp_path / "m.ckpt", tmp_path / "marker"
    if what == "pickle":
        _write_pickle(path, str(marker))
    else:
        evil = zip_with(call("os", "mkdir", text(str(marker))) + STOP)
        length = struct.pack("<Q", 200)
        front = b'{"__metadata__":{"a":"'
        path.write_bytes(_tar(str(marker)) if what == "tar" else length + _header(front, len(evil), 200) + evil)
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == ["w"]
    seen = inspect(path)
    assert (seen.format, seen.verdict) == ("safetensors", "dangerous")
    assert what in seen.findings[0].message
    with pytest.raises(UnsafePickleError, match=what):
        opened(path, Options())
    assert not marker.exists()


def test_honest_headers_of_every_length_are_what_they_seem(tmp_path):
    """The first byte is any opcode, and names with dots stand on lines of their own."""
    path = tmp_path / "m.safetensors"
    entry = json.dumps(
        {"__metadata__": {"a": "b"}, "os.system": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, indent=1
    )
    for length in range(len(entry), len(entry) + 257):
        path.write_bytes(struct.pack("<Q", length) + entry.encode().ljust(length) + b"\1\2")
        assert disguise(path) == ""
