"""Gadgets and misleading files: each is proven live in a process of its own, and refused here without a trace."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pickle_attacks import LIVE, LOADER_LIVE, STOP, text, zip_with
from pickle_gadgets import FILES, PYTHON, TORCH, run_script

from modelhub.errors import FileError, UnsafePickleError
from modelhub.formats.pickles.examine import examine
from modelhub.formats.pickles.file import PickleFile

PICKLES = PYTHON | TORCH

_UNPICKLE = """
import pickle, sys
for path in sys.argv[1:]:
    try:
        pickle.load(open(path, "rb"))
    except BaseException:
        pass
"""
_LOAD = """
import sys, torch, warnings
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        torch.load(path, weights_only=False)
    except BaseException:
        pass
"""


def _not_live(folder: Path, payloads, program: str, end: bytes = b"") -> list[str]:
    """Load every file with `program`; those that left no marker."""
    for number, payload in enumerate(payloads.values()):
        (folder / f"{number}.pt").write_bytes(payload(str(folder / f"marker {number}")) + end)
    files = sorted(str(path) for path in folder.glob("*.pt"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", program, *files], check=True, timeout=120, cwd=folder, **quiet)
    for _ in range(50):  # some run in the background
        missing = [what for number, what in enumerate(payloads) if not (folder / f"marker {number}").exists()]
        if not missing:
            break
        time.sleep(0.1)
    return missing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the payloads name programs of Linux")
def test_the_gadgets_are_live(tmp_path):
    assert _not_live(tmp_path, PICKLES, _UNPICKLE, STOP) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the payloads name programs of Linux")
def test_the_files_are_live(tmp_path):
    assert _not_live(tmp_path, FILES, _LOAD) == []


@pytest.mark.parametrize("name", PICKLES)
def test_gadgets_are_refused_and_run_nothing(tmp_path, name):
    path, marker = tmp_path / "evil.ckpt", tmp_path / "marker"
    path.write_bytes(PICKLES[name](str(marker)) + STOP)
    with pytest.raises(UnsafePickleError) as error:
        PickleFile(path)
    assert error.value.exit_code == 3
    with PickleFile(path, salvage=True) as file:
        assert file.dangers
    found = examine(path)
    assert (found.dangers, found.error) == (file.dangers, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.ckpt"]


_ALL = LIVE | LOADER_LIVE | PICKLES
_TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    + b"K\2tQK\0K\2\x85K\1\x85\x89ccollections\nOrderedDict\n)RtR"
)  # fmt: skip


@pytest.mark.parametrize("name", _ALL)
def test_weights_beside_any_payload_can_be_salvaged(tmp_path, name):
    payload = _ALL[name](str(tmp_path / "marker"))
    value = b"\x80\x04(" + payload + b"1}" + text("w") + _TENSOR + b"s."
    (tmp_path / "evil.ckpt").write_bytes(zip_with(value, data__0=b"\0\0\x80\x3f\0\0\0\x40"))
    with pytest.raises(UnsafePickleError):
        PickleFile(tmp_path / "evil.ckpt")
    with PickleFile(tmp_path / "evil.ckpt", salvage=True) as file:
        assert file.header.shapes == {"w": (2,)}
        assert file.read_bytes("w") == b"\0\0\x80\x3f\0\0\0\x40"
        assert file.dangers
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.ckpt"]


@pytest.mark.parametrize("name", FILES)
def test_misleading_files_are_refused_and_run_nothing(tmp_path, name):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(FILES[name](str(tmp_path / "marker")))
    with pytest.raises(FileError) as error:
        PickleFile(path)
    assert error.value.exit_code == 3
    found = examine(path)
    assert found.dangers or "contradicts itself" in str(found.error)
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.ckpt"]


def test_code_of_torchscript_is_never_run_and_told_of(tmp_path):
    path, marker = tmp_path / "evil.pt", tmp_path / "marker"
    run_script(tmp_path, "save", str(path), str(marker))
    found = examine(path)
    assert not marker.exists()
    assert any("save" in danger for danger in found.dangers)
    with pytest.raises(UnsafePickleError):
        PickleFile(path)
    run_script(tmp_path, "load", str(path))
    assert marker.exists()
