"""torch's own reader of pickles in the hands of the file: handed on, or fed bytes that are made on the way."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest

from modelhub.errors import CorruptFileError, UnsafePickleError
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.legacy import MAGIC

LOADER = b"ctorch.storage\n_load_from_bytes\n"
PARTIAL = b"cfunctools\npartial\n(" + LOADER


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _bytes(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def _legacy(pickled: bytes) -> bytes:
    return b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {})) + pickled


def _inner(marker: str) -> bytes:
    """A file that makes a folder when torch loads it."""
    return _legacy(b"cos\nmkdir\n(" + _text(marker) + b"tR.")


def _with(attribute: str, then: bytes) -> bytes:
    """A namespace with the loader as an attribute, which an opcode calls."""
    return b"ctypes\nSimpleNamespace\n)R}" + _text(attribute) + LOADER + b"sb" + then


def _rebuilt(function: bytes, args: bytes) -> bytes:
    return b"ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"ctorch\nTensor\n" + args + b"}tR"


def _one_by_one(data: bytes) -> bytes:
    return b"(" + b"".join(b"K" + bytes([code]) for code in data)


#: None of them names anything that is not part of tensors or known to be harmless.
LIVE: dict[str, Callable[[str], bytes]] = {
    "APPEND calls it": lambda m: _with("append", _bytes(_inner(m)) + b"a"),
    "BUILD calls it": lambda m: _with("__setstate__", _bytes(_inner(m)) + b"b"),
    "a rebuilder calls it": lambda m: _rebuilt(LOADER, b"(" + _bytes(_inner(m)) + b"t"),
    "a partial of it": lambda m: _rebuilt(PARTIAL + _bytes(_inner(m)) + b"tR", b"(t"),
    "it comes from the memo": lambda m: b"\x80\x02" + LOADER + b"q\7" + _bytes(_legacy(b"N.\x80\2].")) + b"\x85R0" + _rebuilt(b"h\7", b"(" + _bytes(_inner(m)) + b"t"),
    "it is doubled": lambda m: LOADER + b"2" + _bytes(_legacy(b"N.\x80\2].")) + b"\x85Rp1\n00" + _with("append", _bytes(_inner(m)) + b"a"),
    "bytes of a list": lambda m: LOADER + b"(cbuiltins\nbytes\n(" + _one_by_one(_inner(m)) + b"ltRtR",
    "bytes that grow": lambda m: LOADER + b"(cbuiltins\nbytearray\n)R" + _one_by_one(_inner(m)) + b"etR",
    "bytes that change": lambda m: LOADER + b"(cbuiltins\nbytearray\n(" + _bytes(_inner(m).replace(b"cos\nmkdir", b"cno\nmkdir")) + b"tR" + b"".join(b"K%cK%cs" % (_inner(m).index(b"cos\n") + at, code) for at, code in enumerate(b"cos")) + b"tR",
    "another name of an encoding": lambda m: LOADER + b"(c_codecs\nencode\n(" + _text(_inner(m).decode("latin-1")) + _text("L1") + b"tRtR",
}  # fmt: skip

_LOAD = """
import sys, torch, warnings
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        torch.load(path, weights_only=False)
    except (AttributeError, EOFError, RuntimeError, TypeError):
        pass
"""


def test_the_payloads_are_live(tmp_path):
    """torch runs them: each makes its folder."""
    for number, payload in enumerate(LIVE.values()):
        (tmp_path / f"{number}.pt").write_bytes(payload(str(tmp_path / f"marker {number}")) + b".")
    files = sorted(str(path) for path in tmp_path.glob("*.pt"))
    subprocess.run([sys.executable, "-c", _LOAD, *files], check=True, timeout=120)
    assert [what for number, what in enumerate(LIVE) if not (tmp_path / f"marker {number}").exists()] == []


@pytest.mark.parametrize("what", LIVE)
def test_they_are_refused_and_run_nothing(tmp_path, what):
    marker = tmp_path / "marker"
    (tmp_path / "evil.ckpt").write_bytes(LIVE[what](str(marker)) + b".")
    with pytest.raises(UnsafePickleError, match="would run code"):
        PickleFile(tmp_path / "evil.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize("end", [b"\xff", b"", b"h\x77"])
def test_a_broken_end_does_not_hide_them(tmp_path, end):
    (tmp_path / "evil.ckpt").write_bytes(b"\x80\x02" + LIVE["APPEND calls it"](str(tmp_path / "marker")) + end)
    with pytest.raises(UnsafePickleError, match="_load_from_bytes"):
        PickleFile(tmp_path / "evil.ckpt")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_storages_that_are_stored_so_are_fine_and_only_broken_when_cut(tmp_path, torch, protocol):
    tensors = {name: torch.ones(3) for name in "abc"}
    data = pickle.dumps(tensors, protocol)
    (tmp_path / "fine.pt").write_bytes(data)
    with PickleFile(tmp_path / "fine.pt") as file:
        assert not file.dangers
        assert set(file.header.tensors) == set("abc")
    for size in range(20, len(data), 37):
        (tmp_path / "cut.pt").write_bytes(data[:size])
        with pytest.raises(CorruptFileError):
            PickleFile(tmp_path / "cut.pt")
