"""Models in several files: read as one, refused when a part is missing, doubled, or not what the index says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import CorruptFileError, FileError
from modelhub.formats.naming import shard_name
from modelhub.formats.shards import ShardedFile, shard_files
from modelhub.formats.writer import write

MakeFile = Callable[..., Path]
RNG = np.random.default_rng(1)
TENSORS = {f"block.{i}.weight": RNG.standard_normal((i + 1, 3)).astype(np.float16) for i in range(7)}


@pytest.fixture
def split(make_file: MakeFile, tmp_path: Path):
    """`split(3)` lays TENSORS out over three files and their index, as the libraries of Hugging Face do."""

    def split(total: int, stem: str = "model", index: bool = True) -> list[Path]:
        names = list(TENSORS)
        parts = [names[i::total] for i in range(total)]
        files = [f"{stem}-{i + 1:05d}-of-{total:05d}.safetensors" for i in range(total)]
        paths = [
            make_file(file, {name: TENSORS[name] for name in part}, {"format": "pt"})
            for file, part in zip(files, parts, strict=True)
        ]
        if index:
            put_index(tmp_path, {name: file for file, part in zip(files, parts, strict=True) for name in part})
        return paths

    return split


def put_index(folder: Path, weight_map: Any, name: str = "model.safetensors.index.json") -> Path:
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return folder / name


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("total", [1, 2, 4])
def test_any_shard_opens_the_whole_set(split, total: int, index: bool):
    paths = split(total, index=index)
    for path in paths:
        with ShardedFile(path) as source:
            assert source.members == tuple(paths)
            assert source.header.shapes == {name: value.shape for name, value in TENSORS.items()}
            assert source.header.metadata == {"format": "pt"}
            assert all(source.read_bytes(name) == value.tobytes() for name, value in TENSORS.items())


def test_the_place_of_a_tensor_is_in_its_own_shard(split):
    paths = split(3)
    with ShardedFile(paths[0]) as source:
        for at, (name, value) in enumerate(TENSORS.items()):
            descriptor, offset = source.place(name)
            assert os.pread(descriptor, value.nbytes, offset) == value.tobytes()
            assert source.file_of(name) == paths[at % 3]


def test_a_set_is_written_as_one_file(split, tmp_path: Path):
    from safetensors.numpy import load_file

    with ShardedFile(split(3)[1]) as source:
        write(source, tmp_path / "one.safetensors")
    loaded = load_file(tmp_path / "one.safetensors")
    assert all(np.array_equal(loaded[name], value) for name, value in TENSORS.items())


def test_pickles_are_shards_too(tmp_path: Path):
    torch = pytest.importorskip("torch")
    for number, name in enumerate(("a", "b"), 1):
        torch.save({name: torch.full((2,), number)}, tmp_path / f"pytorch_model-{number:05d}-of-00002.bin")
    put_index(
        tmp_path,
        {"a": "pytorch_model-00001-of-00002.bin", "dropped": "pytorch_model-00002-of-00002.bin"},
        "pytorch_model.bin.index.json",
    )
    with ShardedFile(tmp_path / "pytorch_model-00002-of-00002.bin") as source:
        assert source.tensor("a").tolist() == [1, 1]
        assert source.tensor("b").tolist() == [2, 2]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model-00001-of-00002.safetensors", ("model", 1, 2, ".safetensors")),
        ("a-00001-of-00001-00002-of-00003.bin", ("a-00001-of-00001", 2, 3, ".bin")),
        ("model-00002-of-00002.fp16.safetensors", ("model", 2, 2, ".fp16.safetensors")),
        ("two\nlines-00001-of-00002.sft", ("two\nlines", 1, 2, ".sft")),
        ("model-00003-of-00002.safetensors", None),
        ("model-00000-of-00002.safetensors", None),
        ("model-00000-of-00000.safetensors", None),
        ("model-1-of-2.safetensors", None),
        ("model-00001-of-00002.safetensors.part", None),
        ("model-00001-of-00002.png", None),
        ("model-0000\u0661-of-00002.safetensors", None),
        ("-00001-of-00002.safetensors", None),
        ("best-of-friends.safetensors", None),
    ],
)
def test_names_of_shards(name: str, parts):
    assert (parts is None) == (shard_name(name) is None)
    assert parts is None or shard_name(name) == parts
    assert parts is None or shard_name(name).of(parts[1]) == name


def test_missing_shards_are_named(split):
    paths = split(7)
    for gone in (0, 2, 3, 4, 6):
        paths[gone].unlink()
    with pytest.raises(CorruptFileError, match=r"00001-of-00007.*00003-of-00007.*00004-of-00007\S* and more") as caught:
        ShardedFile(paths[1])
    assert str(paths[1]) in caught.value.message


def test_a_shard_that_claims_thousands_is_refused_at_once(make_file: MakeFile):
    path = make_file("x-00001-of-99999.safetensors", {"a": np.ones(1)})
    with pytest.raises(CorruptFileError, match="and more"):
        shard_files(path)


def test_a_folder_of_many_sets_is_not_listed_for_each_of_them(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch):
    paths = [make_file(f"x{n}-00001-of-99999.safetensors", {"a": np.ones(1)}) for n in range(20)]
    asked = []
    real = os.path.lexists
    monkeypatch.setattr(os, "listdir", None)
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or real(path))
    for path in paths:
        with pytest.raises(CorruptFileError):
            shard_files(path)
    assert len(asked) <= 5 * len(paths)


def test_a_tensor_in_two_shards_is_refused(make_file: MakeFile):
    one = make_file("m-00001-of-00002.safetensors", {"a": np.ones(1)})
    make_file("m-00002-of-00002.safetensors", {"a": np.ones(2), "b": np.ones(1)})
    with pytest.raises(CorruptFileError, match="has the tensor 'a', which m-00001-of-00002.safetensors has too"):
        ShardedFile(one)


def test_a_broken_shard_says_which(split):
    paths = split(3)
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    with pytest.raises(CorruptFileError, match="00003-of-00003.*cut short"):
        ShardedFile(paths[0])


@pytest.mark.parametrize("file", ["../model-00001-of-00002.safetensors", "/etc/passwd", "..", "", ".", "a\\b", "a\0b"])
def test_an_index_may_not_lead_elsewhere(split, tmp_path: Path, file: str):
    path = split(2)[0]
    put_index(tmp_path, {"block.0.weight": file})
    with pytest.raises(CorruptFileError, match="not a file beside it"):
        ShardedFile(path)


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"block.0.weight": "other.safetensors"}, "there is no other.safetensors"),
        ({"block.0.weight": "model-00002-of-00002.safetensors"}, "and it is not"),
        ({"more": "model-00001-of-00002.safetensors"}, "and it is not"),
        (["block.0.weight"], "no weight_map"),
        ({"block.0.weight": 1}, "no weight_map"),
    ],
)
def test_an_index_that_says_otherwise_is_refused(split, tmp_path: Path, weight_map: Any, words: str):
    path = split(2)[0]
    put_index(tmp_path, weight_map)
    with pytest.raises(CorruptFileError, match=words):
        ShardedFile(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 19_000, "not valid JSON"),
        ("[]," * 30_000, "more than"),
        ("{", "not valid JSON"),
        ("[]", "no table"),
        ("\ud800", "not valid JSON"),
        ("9" * 10_000, "not valid JSON"),
        (" " * 16_000_001, "more than"),
    ],
    ids=["deep", "wide", "open", "list", "half a character", "long number", "large"],
)
def test_an_index_of_nonsense_is_refused(split, tmp_path: Path, text: str, words: str):
    path = split(2)[0]
    (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorruptFileError, match=words):
        ShardedFile(path)


def test_the_index_of_a_variant_counts(split, tmp_path: Path):
    path = split(2, stem="model.fp16", index=False)[0]
    put_index(tmp_path, {"block.0.weight": "gone"}, "model.safetensors.index.fp16.json")
    with pytest.raises(CorruptFileError, match="there is no gone"):
        ShardedFile(path)


def test_a_folder_that_is_gone(tmp_path: Path):
    with pytest.raises(FileError, match="does not exist"):
        ShardedFile(tmp_path / "none" / "m-00001-of-00002.safetensors")
