"""Which files belong to a model: by stem, to the longest that fits, and never another model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import FileError
from modelhub.formats.naming import is_model_name
from modelhub.formats.sidecars import sidecars_in, sidecars_of


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def names_of(folder: Path, model: str) -> set[str]:
    return {path.name for path in sidecars_of(folder / model)}


EVERY = (
    "x.json", "x.civitai.info", "x.preview.png", "x.png", "x.example.0.png", "x.example.12.webp", "x.txt", "x.yaml",
    "x.description.txt", "x.sha256", "x.metadata.json", "x.cm-info.json", "x.swarm.json", "x.mp4", "x.PREVIEW.JPG",
)  # fmt: skip


def test_every_convention_belongs(tmp_path: Path):
    fill(tmp_path, "x.safetensors", "y.json", "xy.json", "x", "x-1.png", ".x.json", *EVERY)
    assert names_of(tmp_path, "x.safetensors") == set(EVERY)


def test_the_longest_stem_takes_it(tmp_path: Path):
    fill(tmp_path, "a.safetensors", "a.b.safetensors", "a.json", "a.b.json", "a.b.c.json", "a.c.png")
    assert names_of(tmp_path, "a.safetensors") == {"a.json", "a.c.png"}
    assert names_of(tmp_path, "a.b.safetensors") == {"a.b.json", "a.b.c.json"}


def test_without_the_longer_model_it_goes_to_the_shorter(tmp_path: Path):
    fill(tmp_path, "a.safetensors", "a.b.json")
    assert names_of(tmp_path, "a.safetensors") == {"a.b.json"}


def test_two_models_of_one_stem_share(tmp_path: Path):
    fill(tmp_path, "x.safetensors", "x.ckpt", "x.json")
    assert names_of(tmp_path, "x.safetensors") == names_of(tmp_path, "x.ckpt") == {"x.json"}


def test_models_and_downloads_are_no_sidecars(tmp_path: Path):
    fill(tmp_path, "x.safetensors", "x.ckpt", "x.fp16.gguf", "x.onnx", "x.safetensors.part", "x.png.tmp", "x.aria2")
    assert names_of(tmp_path, "x.safetensors") == set()


def test_folders_are_no_sidecars(tmp_path: Path):
    fill(tmp_path, "x.safetensors")
    fill(tmp_path / "x.json")
    assert names_of(tmp_path, "x.safetensors") == set()


def test_case_counts_where_it_can_tell_models_apart(tmp_path: Path):
    fill(tmp_path, "X.safetensors", "x.safetensors", "x.json", "X.png", "XX.safetensors", "xx.json")
    assert names_of(tmp_path, "X.safetensors") == {"X.png"}
    assert names_of(tmp_path, "x.safetensors") == {"x.json"}
    assert names_of(tmp_path, "XX.safetensors") == {"xx.json"}, "no other model could be meant"


def test_accents_written_in_two_ways_are_the_same(tmp_path: Path):
    fill(tmp_path, "caf\u00e9.safetensors", "cafe\u0301.json")
    assert names_of(tmp_path, "caf\u00e9.safetensors") == {"cafe\u0301.json"}


def test_beside_a_diffusers_folder(tmp_path: Path):
    fill(tmp_path, "pipe.v1.json", "pipe.v1.preview.png", "pipe.json", "pipe.v2.json")
    fill(tmp_path / "pipe.v1", "model_index.json", "x.json")
    assert names_of(tmp_path, "pipe.v1") == {"pipe.v1.json", "pipe.v1.preview.png"}
    assert sidecars_in(tmp_path, ["pipe.v1"]) == {"pipe.v1": sidecars_of(tmp_path / "pipe.v1")}


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(FileError, match="does not exist"):
        sidecars_of(tmp_path / "gone" / "x.safetensors")


_part = st.sampled_from(["a", "b", "A", "json", "png", "safetensors", "ckpt", "preview", "example", "0", ""])
_names = st.lists(_part, min_size=1, max_size=4).map(".".join).filter(lambda name: name.strip("."))


@given(st.sets(_names, max_size=12))
def test_each_file_goes_to_one_stem_and_one_listing_says_what_many_do(tmp_path_factory, names: set[str]):
    folder = fill(tmp_path_factory.mktemp("f"), *names)
    found = sidecars_in(folder)
    models = {name for name in names if is_model_name(name)}
    assert found.keys() <= models
    for name in models:
        assert found.get(name, []) == sidecars_of(folder / name)
    for name in names:
        owners = {Path(model).stem for model, files in found.items() if folder / name in files}
        assert len(owners) <= 1
        fitting = [Path(model).stem for model in models if name.startswith(Path(model).stem + ".")]
        if fitting and name not in models:
            assert owners == {max(fitting, key=len)}
