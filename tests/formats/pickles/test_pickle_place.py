"""Where tensors stand in the file, what the archive says of them, and which of them are one and the same."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib

import numpy as np
import pytest

from modelhub.errors import FileError, NotFoundError
from modelhub.formats.pickles.file import PickleFile

_MADE = {"turned", "stepped", "wide"}


def _state(torch) -> dict:
    base = torch.randn(6, 8)
    return {
        "whole": base, "rows": base[2:4], "turned": base.t(), "stepped": base[::2], "wide": torch.ones(3, 1).expand(3, 4),
        "one": torch.tensor(2.5), "half": torch.arange(9).half(), "empty": torch.zeros(0, 3),
    }  # fmt: skip


def _placed(path) -> dict[str, bytes]:
    """The bytes at the place of every tensor that has one, read behind the back of the source."""
    with PickleFile(path) as file:
        places = {name: file.place(name) for name in file.header.tensors}
        return {n: os.pread(p.descriptor, file.info(n).nbytes, p.offset) for n, p in places.items() if p}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_place_is_where_the_bytes_stand(torch, tmp_path, is_zip):
    path = tmp_path / "m.ckpt"
    torch.save(_state(torch), path, _use_new_zipfile_serialization=is_zip)
    placed = _placed(path)
    with PickleFile(path) as file:
        assert placed == {name: file.read_bytes(name) for name in file.header.tensors if name not in _MADE}


def test_plain_pickles_have_places_for_what_is_large(torch, tmp_path):
    path = tmp_path / "m.pt"
    state = {"large": torch.randn(3000), "array": np.arange(3000.0), "swapped": np.arange(3000.0).astype(">f8")}
    path.write_bytes(pickle.dumps(state, 4))
    placed = _placed(path)
    assert sorted(placed) == ["array", "large"]
    assert placed["large"] == state["large"].numpy().tobytes()
    assert placed["array"] == state["array"].tobytes()


def test_what_is_packed_has_no_place_and_no_sum(torch, tmp_path):
    torch.save(_state(torch), tmp_path / "m.ckpt")
    with zipfile.ZipFile(tmp_path / "m.ckpt") as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert _placed(tmp_path / "n.ckpt") == {}
    with PickleFile(tmp_path / "n.ckpt") as file:
        assert {file.crc32(name) for name in file.header.tensors} == {None}
        file.read_bytes("whole")
        assert file.place("whole") is None


def test_big_endian_files_have_no_places(torch, tmp_path):
    torch.save({"a": torch.arange(4.0), "bytes": torch.arange(4, dtype=torch.uint8)}, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as old, zipfile.ZipFile(tmp_path / "n.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    assert list(_placed(tmp_path / "n.pt")) == ["bytes"]


def test_the_sum_is_that_of_whole_entries(torch, tmp_path):
    torch.save(_state(torch), tmp_path / "m.ckpt")
    with PickleFile(tmp_path / "m.ckpt") as file:
        sums = {name: file.crc32(name) for name in file.header.tensors}
        expected = {name: zlib.crc32(file.read_bytes(name)) for name in ("whole", "one", "half")}
    assert {name: crc for name, crc in sums.items() if crc is not None} == expected


def test_the_sum_is_the_one_that_the_archive_keeps_right_or_wrong(torch, tmp_path):
    torch.save({"w": torch.arange(64.0)}, tmp_path / "m.ckpt")
    data = bytearray((tmp_path / "m.ckpt").read_bytes())
    with zipfile.ZipFile(tmp_path / "m.ckpt") as archive:
        kept = archive.getinfo("m/data/0").CRC
    data[data.index(torch.arange(64.0).numpy().tobytes()) + 9] ^= 1
    (tmp_path / "m.ckpt").write_bytes(data)
    with PickleFile(tmp_path / "m.ckpt") as file:
        assert file.crc32("w") == kept != zlib.crc32(file.read_bytes("w"))


def test_sums_that_were_not_computed_are_none(torch, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(64.0)}, tmp_path / "m.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)
    with PickleFile(tmp_path / "m.ckpt") as file:
        stored = {info.CRC for info in zipfile.ZipFile(tmp_path / "m.ckpt").infolist() if "/data/" in info.filename}
        assert file.crc32("w") == (next(iter(stored)) or None)


def test_of_a_closed_file_there_is_no_place_and_of_an_unknown_name_an_error(torch, tmp_path):
    torch.save({"w": torch.arange(64.0)}, tmp_path / "m.ckpt")
    with PickleFile(tmp_path / "m.ckpt") as file:
        for ask in (file.place, file.crc32):
            with pytest.raises(NotFoundError):
                ask("v")
    assert file.place("w") is None


@pytest.mark.parametrize("how", ["zip", "legacy", "plain"])
def test_tensors_that_are_one_and_the_same(torch, tmp_path, how):
    base, other = torch.randn(4, 4), torch.randn(3)
    state = {
        "a": base, "b": other, "tied": base, "again": base.view(4, 4), "flat": base.view(-1), "part": base[1:], "turned": base.t(),
        "equal": base.clone(), "c": other, "empty": torch.zeros(0), "also empty": torch.zeros(0),
    }  # fmt: skip
    path = tmp_path / "m.ckpt"
    if how == "plain":
        path.write_bytes(pickle.dumps(state, 2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=how == "zip")
    with PickleFile(path) as file:
        groups = file.aliases
    # a plain pickle stores each tensor with a storage of its own
    assert groups == ((("a", "tied") if how == "plain" else ("a", "tied", "again")), ("b", "c"))


def test_the_limit_on_what_a_file_claims_can_be_set(torch, tmp_path):
    torch.save({"wide": torch.ones(1).expand(2**25)}, tmp_path / "m.ckpt")
    with pytest.raises(FileError, match="many times"):
        PickleFile(tmp_path / "m.ckpt")
    with PickleFile(tmp_path / "m.ckpt", max_output=2**27) as file:
        assert file.info("wide").nbytes == 2**27
    with pytest.raises(FileError, match="many times"):
        PickleFile(tmp_path / "m.ckpt", max_output=2**27 - 1)


def test_what_is_packed_very_small_is_read_when_a_limit_is_set(torch, tmp_path):
    state = {"zeros": torch.zeros(5_000_000)}
    torch.save(state, tmp_path / "m.ckpt")
    with zipfile.ZipFile(tmp_path / "m.ckpt") as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with PickleFile(tmp_path / "n.ckpt") as file, pytest.raises(FileError, match="packs"):
        file.read_bytes("zeros")
    with PickleFile(tmp_path / "n.ckpt", max_output=2**25) as file:
        assert not any(file.read_bytes("zeros"))
