"""Any asset is opened by what it is: files of every format, sets of shards, folders; and what is none is refused."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelhub.errors import CorruptFileError, FileError, ModelhubError, NotAModelError
from modelhub.formats.opening import members, open_source, read_any_header, stat_of
from modelhub.formats.stat import FileStat

MakeFile = Callable[..., Path]
ONE = {"w": np.arange(4, dtype=np.float32)}
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", 1) + b"w" + struct.pack("<IQIQ", 1, 4, 0, 0)
GGUF += bytes(-len(GGUF) % 32) + ONE["w"].tobytes()


def put_pickle(path: Path) -> Path:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.arange(4, dtype=torch.float32)}, path)
    return path


def put_gguf(path: Path) -> Path:
    path.write_bytes(GGUF)
    return path


def put_folder(folder: Path, make_file: MakeFile) -> Path:
    make_file(folder / "unet" / "diffusion_pytorch_model.safetensors", ONE)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", "unet": ["diffusers", "U"]}))
    return folder


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".gguf", ""])
def test_files_are_told_by_their_bytes(tmp_path: Path, make_file: MakeFile, suffix: str):
    made = {
        "safetensors": make_file(f"s{suffix}", ONE),
        "pickle": put_pickle(tmp_path / f"p{suffix}"),
        "gguf": put_gguf(tmp_path / f"g{suffix}"),
    }
    for form, path in made.items():
        found, header = read_any_header(path)
        assert (found, header.shapes) == (form, {"w": (4,)})
        assert members(str(path)) == [path]
        with open_source(str(path)) as source:
            assert source.read_bytes("w") == ONE["w"].tobytes()


def test_folders_and_sets_are_opened_whole(tmp_path: Path, make_file: MakeFile):
    folder = put_folder(tmp_path / "pipe", make_file)
    parts = [make_file(f"m-{i:05d}-of-00002.safetensors", {f"w{i}": np.ones(i)}) for i in (1, 2)]
    assert read_any_header(folder)[0] == "diffusers"
    assert read_any_header(folder)[1].shapes == {"unet.w": (4,)}
    assert members(folder) == [folder / "unet" / "diffusion_pytorch_model.safetensors"]
    for part in parts:
        assert read_any_header(part)[0] == "safetensors"
        assert read_any_header(part)[1].shapes == {"w1": (1,), "w2": (2,)}
        assert members(part) == parts
        with open_source(part) as source:
            assert source.read_bytes("w2") == np.ones(2).tobytes()
    other = make_file("best-of-me.safetensors", ONE)
    assert members(other) == [other]
    assert read_any_header(other)[0] == "safetensors"


def test_a_set_of_pickles_is_a_pickle(tmp_path: Path):
    assert read_any_header(put_pickle(tmp_path / "m-00001-of-00001.bin"))[0] == "pickle"


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("a.safetensors", b"<!DOCTYPE html>", NotAModelError, "web page"),
        ("a.SFT", b"", CorruptFileError, "is empty"),
        ("a.safetensors", b"\0" * 64, NotAModelError, "unfinished download"),
        ("a.ckpt", b"<html><body>" * 30, NotAModelError, "web page"),
        ("a.ckpt", b"", NotAModelError, "no format"),
        ("a.bin", b"\0" * 64, NotAModelError, "a run of zeros, which holds no weights"),
        ("a.gguf", b"version https://git-lfs", NotAModelError, "Git LFS"),
        ("a.safetensors", b"GGUF" + bytes(40), NotAModelError, "GGUF"),
        ("a.ckpt", (10**6).to_bytes(8, "little") + b"{}", CorruptFileError, "cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_model_says_what_it_is(
    tmp_path: Path, name: str, content: bytes, kind: type[ModelhubError], words: str
):
    path = tmp_path / name
    path.write_bytes(content)
    for act in (open_source, read_any_header):
        with pytest.raises(kind) as caught:
            act(path)
        assert words in caught.value.message + caught.value.hint
        assert str(path) in caught.value.message


@pytest.mark.parametrize(
    "name", ["none.safetensors", "none.ckpt", "a\0b.safetensors", "none-00001-of-00002.safetensors", ""]
)
def test_what_is_not_there(tmp_path: Path, name: str):
    path = str(tmp_path / "deep" / name) if name else ""
    for act in (open_source, read_any_header):
        with pytest.raises(FileError):
            act(path)


def test_a_plain_folder_and_a_pipe(tmp_path: Path):
    with pytest.raises(NotAModelError, match="is a folder"):
        open_source(tmp_path)
    os.mkfifo(tmp_path / "pipe.ckpt")
    for act in (open_source, read_any_header):
        with pytest.raises(NotAModelError, match="a pipe"):
            act(tmp_path / "pipe.ckpt")


def test_the_stat_of_an_asset(tmp_path: Path, make_file: MakeFile):
    one = make_file("one.safetensors", ONE)
    assert stat_of(one) == FileStat.of(one.stat())
    parts = [make_file(f"m-{i:05d}-of-00003.safetensors", {f"w{i}": np.ones(i)}) for i in (2, 3)]
    os.utime(parts[1], ns=(0, 2**60 * 2))
    found = stat_of(parts[1])
    assert found == stat_of(str(parts[0]))
    assert (found.inode, found.size) == (parts[0].stat().st_ino, sum(part.stat().st_size for part in parts))
    assert found.modified == 2**61
    folder = put_folder(tmp_path / "pipe", make_file)
    before = stat_of(folder)
    assert (before.inode, before.size) == (folder.stat().st_ino, one.stat().st_size)
    os.utime(folder / "model_index.json", ns=(0, 2**61))
    assert stat_of(folder).modified == 2**61 > before.modified
    (folder / "model_index.json").write_text("{")
    assert stat_of(folder).size == 0
    with pytest.raises(NotAModelError, match="is a folder"):
        stat_of(tmp_path)
    for path in (tmp_path / "none", tmp_path / "none-00001-of-00002.bin"):
        with pytest.raises(FileError, match="does not exist"):
            stat_of(path)


def test_reading_safetensors_loads_no_other_reader(make_file: MakeFile):
    path = make_file("a.safetensors", ONE)
    code = (
        "import sys; from modelhub.formats.opening import read_any_header, members; read_any_header(sys.argv[1]); "
        "members(sys.argv[1]); print([n for n in sys.modules if n.startswith('modelhub.formats')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert "modelhub.formats.safetensors" in loaded
    assert not [word for word in ("gguf", "pickles", "diffusers", "shards") if word in loaded]
