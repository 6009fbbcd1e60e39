"""torch's own reader of pickles in the hands of the file: handed on, or fed bytes that are made on the way."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from pickle_attacks import LOADER_LIVE as LIVE
from pickle_attacks import legacy_with, nested_with, tar_with, zip_with

from modelhub.errors import CorruptFileError, UnsafePickleError
from modelhub.formats.pickles.file import PickleFile

_LOAD = """
import sys, torch, warnings
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        torch.load(path, weights_only=False)
    except Exception:
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
@pytest.mark.parametrize("what", LIVE)
def test_a_broken_end_does_not_hide_them(tmp_path, what, end):
    """By then torch has run them, in whatever container."""
    evil = b"\x80\x02" + LIVE[what](str(tmp_path / "marker")) + end
    for wrap in (bytes, legacy_with, nested_with, zip_with, lambda data: tar_with(pickle=data)):
        (tmp_path / "evil.ckpt").write_bytes(wrap(evil))
        with pytest.raises(UnsafePickleError, match="_load_from_bytes|as a file that it makes|os.mkdir"):
            PickleFile(tmp_path / "evil.ckpt")


def test_keys_that_are_missing_do_not_hide_them(tmp_path):
    for payload in LIVE.values():
        (tmp_path / "evil.ckpt").write_bytes(legacy_with(payload(str(tmp_path / "marker")) + b"."))
        with pytest.raises(UnsafePickleError):
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
