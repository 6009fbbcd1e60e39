"""An examination answers for every file that can be opened: dangers, damage, other formats, and what can be read."""

from __future__ import annotations

import pickle
import zipfile

import pytest

from modelhub.errors import CorruptFileError, FileError, NotAModelError
from modelhub.formats.pickles.examine import examine
from modelhub.formats.pickles.file import PickleFile

EVIL = b"cos\nmkdir\n(X\1\0\0\0mtR"


@pytest.mark.parametrize("how", ["zip", "legacy", "plain", "torchscript"])
def test_a_good_file(torch, tmp_path, how):
    path = tmp_path / "m.ckpt"
    module = torch.nn.Linear(2, 3)
    value = {"state_dict": dict(module.state_dict()), "epoch": 1}
    if how == "torchscript":
        torch.jit.save(torch.jit.script(module), path)
    elif how == "plain":
        path.write_bytes(pickle.dumps(value, 2))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=how == "zip")
    found = examine(path)
    with PickleFile(path) as file:
        assert (found.header, found.globals, found.findings) == (file.header, file.globals, file.findings)
    assert found.header.metadata["pickle.container"] == found.container == how
    assert found.root == ("" if how == "torchscript" else "state_dict")
    assert found.error is None
    assert found.dangers == ()
    if how in ("zip", "torchscript"):
        with zipfile.ZipFile(path) as archive:
            assert found.records == tuple((info.filename, info.file_size) for info in archive.infolist())
    else:
        assert found.records == ()


def test_a_dangerous_file_is_read_all_the_same(torch, tmp_path):
    class Evil:
        def __reduce__(self):
            return (__import__("os").mkdir, (str(tmp_path / "marker"),))

    shared = torch.ones(2)
    torch.save({"weight": shared, "tied": shared, "evil": Evil()}, tmp_path / "evil.ckpt")
    found = examine(tmp_path / "evil.ckpt")
    assert "posix.mkdir" in found.dangers[0]
    assert sorted(found.header.tensors) == ["tied", "weight"]
    assert found.aliases == (("weight", "tied"),)
    assert found.error is None
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("end", [b"", b"\xff", b"h\x77", b"X\xff\xff\xff\x7f", b"\x97", b"(" * 200_000])
def test_a_danger_before_a_broken_place_is_told(tmp_path, end):
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02" + EVIL + end)
    found = examine(tmp_path / "evil.pt")
    assert "os.mkdir" in found.dangers[0]
    assert isinstance(found.error, FileError)
    assert found.header is None


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_broken_download_is_broken_and_not_dangerous(torch, tmp_path, is_zip):
    torch.save({"a": torch.ones(300)}, tmp_path / "m.pt", _use_new_zipfile_serialization=is_zip)
    data = (tmp_path / "m.pt").read_bytes()
    for size in range(40, len(data), 53):
        (tmp_path / "cut.pt").write_bytes(data[:size])
        found = examine(tmp_path / "cut.pt")
        assert type(found.error) is CorruptFileError
        assert found.dangers == ()


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html>\n<html>", b"version https://git-lfs.github.com/spec/v1\n", b"GGUF\3\0\0\0"]
)
def test_what_is_no_pickle_is_no_model(tmp_path, data):
    (tmp_path / "m.pt").write_bytes(data)
    found = examine(tmp_path / "m.pt")
    assert type(found.error) is NotAModelError
    assert (found.container, found.dangers, found.header) == ("", (), None)


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    found = examine(tmp_path / "m.zip")
    assert type(found.error) is NotAModelError
    assert found.records == (("readme.txt", 5),)


def test_a_limit_that_is_reached_is_an_error_of_its_own(torch, tmp_path):
    torch.save({"wide": torch.ones(1).expand(2**25)}, tmp_path / "m.ckpt")
    assert type(examine(tmp_path / "m.ckpt").error) is FileError
    assert examine(tmp_path / "m.ckpt", max_output=2**27).error is None


def test_only_a_file_that_cannot_be_opened_raises(tmp_path):
    for path in (tmp_path, tmp_path / "none", "a\0b"):
        with pytest.raises(FileError):
            examine(path)


@pytest.mark.parametrize(
    ("code", "danger"),
    [
        (b"torch.save(x, 'y')", "writes files by torch.save"),
        (b"y = (torch  # why\n  # so\n  . \\\n # on\n from_file)('y')", "writes files by torch.from_file"),
        (b"#torch\naten.save(x)", "writes files by torch.save"),
        (b"torch.saved + tensor.save + torch\nsave", ""),
        (b"#torch.#" * 5000, "hides what it calls"),
    ],
)
def test_what_torchscript_code_writes_is_told(tmp_path, code, danger):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as file:
        for name, data in (("data.pkl", b"}."), ("constants.pkl", b")."), ("code/m.py", code)):
            file.writestr(f"m/{name}", data)
    assert danger in "".join(examine(tmp_path / "m.pt").dangers)
    assert bool(danger) == bool(examine(tmp_path / "m.pt").dangers)
