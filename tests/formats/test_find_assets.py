"""Walks of real trees: every asset once, its stamp, and everything a folder can hold that is none."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhub.formats.naming import MODEL_SUFFIXES
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.formats.walk import Found, find_assets

Find = Callable[..., dict[str, Found]]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    return tmp_path / "library"


@pytest.fixture
def find(library: Path) -> Find:
    """`find()` walks the library: path below it to what was found; `problems=[]` collects the paths of errors."""

    def find(*roots: Path, problems: list[str] | None = None) -> dict[str, Found]:
        said: list[str] = []
        found = list(find_assets(list(roots) or [library], lambda error, path: said.append(path)))
        if problems is None:
            assert said == []
        else:
            problems += [os.path.relpath(path, library) for path in said]
        by_path = {os.path.relpath(asset.path, library): asset for asset in found}
        assert len(by_path) == len(found), "every asset once"
        return by_path

    return find


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_tree_of_thousands_is_what_os_walk_sees(library: Path, find: Find):
    dice = random.Random(1)
    suffixes = [*sorted(MODEL_SUFFIXES), ".SAFETENSORS", ".png", ".json", ".txt", ".safetensors.part", ""]
    for number in range(1500):
        deep = Path(*(f"d{dice.randrange(4)}" for _ in range(dice.randrange(4))))
        put(library / deep / f"m{number} ü.x{dice.choice(suffixes)}", b"x" * number)
    expected = {}
    for folder, _, names in os.walk(library):
        for name in names:
            path = Path(folder, name)
            if path.suffix.lower() in MODEL_SUFFIXES:
                expected[str(path.relative_to(library))] = FileStat.of(path.stat())
    found = find()
    assert {path: asset.stat for path, asset in found.items()} == expected
    assert not any(asset.link or asset.folder for asset in found.values())


def test_hidden_unfinished_and_foreign_things_are_left_out(library: Path, find: Find):
    for name in (
        ".hidden.safetensors", ".cache/a.safetensors", "tmpinstall_1/a.safetensors", "__pycache__/a.pkl", "node_modules/a.bin",
        "a.safetensors.part", "a.ckpt.aria2", "a.ckpt.crdownload", "a.ckpt.tmp", "a.ckpt.downloading", "a.onnx", "safetensors",
    ):  # fmt: skip
        put(library / name)
    (library / "folder.safetensors").mkdir()
    put(library / "folder.safetensors" / "in.ckpt")
    os.mkfifo(library / "pipe.ckpt")
    assert set(find()) == {"folder.safetensors/in.ckpt"}


def test_links_are_followed_once_and_loops_end(library: Path, tmp_path: Path, find: Find):
    real = put(tmp_path / "elsewhere" / "deep" / "real.safetensors")
    put(library / "a" / "own.ckpt")
    (library / "a" / "link.safetensors").symlink_to(real)
    (library / "b").symlink_to(tmp_path / "elsewhere")
    (library / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(library)
    found = find()
    assert {path: asset.link for path, asset in found.items()} == {
        "a/link.safetensors": True, "a/own.ckpt": False, "b/deep/real.safetensors": False
    }  # fmt: skip
    assert found["a/link.safetensors"].stat == found["b/deep/real.safetensors"].stat == FileStat.of(real.stat())
    assert set(find(library / "a", library, library / "a")) == set(found)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(library: Path, find: Find):
    put(library / "good.safetensors")
    (library / "lost.safetensors").symlink_to("nowhere")
    (library / "round.ckpt").symlink_to("round.ckpt")
    (library / "lost.txt").symlink_to("nowhere")
    broken = os.fsencode(library) + b"/half\xff.safetensors"
    Path(os.fsdecode(broken)).touch()
    problems: list[str] = []
    assert set(find(problems=problems)) == {"good.safetensors"}
    assert sorted(problems) == ["half\udcff.safetensors", "lost.safetensors", "round.ckpt"]
    problems.clear()
    assert find(library / "none", problems=problems) == {}
    assert problems == ["none"]


def test_a_set_of_shards_is_one_asset(library: Path, find: Find):
    parts = [put(library / f"big-{i:05d}-of-00004.safetensors", b"x" * i) for i in (2, 3, 4)]
    put(library / "big-00001-of-00002.safetensors")
    put(library / "big-00001-of-00004.bin")
    put(library / "best-of-all.safetensors")
    os.utime(parts[1], ns=(0, 2**61))
    found = find()
    assert set(found) == {
        "big-00002-of-00004.safetensors", "big-00001-of-00002.safetensors", "big-00001-of-00004.bin", "best-of-all.safetensors"
    }  # fmt: skip
    whole = found["big-00002-of-00004.safetensors"]
    assert (whole.size, whole.modified, whole.inode) == (9, 2**61, parts[0].stat().st_ino)
    assert whole.stat == stat_of(parts[2])
    assert whole.sidecars == 0
    put(library / "big.safetensors.index.json")
    stamped = find()["big-00002-of-00004.safetensors"].sidecars
    assert stamped
    put(library / "big-00002-of-00004.preview.png")
    assert find()["big-00002-of-00004.safetensors"].sidecars not in (0, stamped)


@pytest.fixture
def pipeline(library: Path) -> Path:
    folder = library / "models" / "Pipe v1.0"
    put(folder / "unet" / "diffusion_pytorch_model.safetensors", b"x" * 100)
    put(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors", b"x" * 50)
    put(folder / "vae" / "diffusion_pytorch_model.bin", b"x" * 10)
    put(folder / "safety_checker" / "model.safetensors", b"x" * 1000)
    put(folder / "other" / "deep" / "lora.safetensors")
    table = {name: ["diffusers", "X"] for name in ("unet", "vae", "safety_checker", "scheduler")}
    put(folder / "model_index.json", json.dumps({"_class_name": "P", **table}).encode())
    return folder


def test_a_diffusers_folder_is_one_asset(library: Path, pipeline: Path, find: Find):
    put(pipeline / "single file.safetensors")
    put(library / "models" / "Pipe v1.0.json")
    put(library / "models" / "alone" / "config.json", b'{"_class_name": "UNet2DConditionModel"}')
    put(library / "models" / "alone" / "diffusion_pytorch_model.safetensors")
    os.utime(pipeline / "vae" / "diffusion_pytorch_model.bin", ns=(0, 2**61))
    found = find()
    assert set(found) == {
        "models/Pipe v1.0", "models/Pipe v1.0/single file.safetensors", "models/alone/diffusion_pytorch_model.safetensors"
    }  # fmt: skip
    folder = found["models/Pipe v1.0"]
    assert (folder.folder, folder.link, folder.size, folder.modified) == (True, False, 110, 2**61)
    assert folder.inode == pipeline.stat().st_ino
    assert folder.stat == stat_of(pipeline)
    assert folder.sidecars
    (library / "models" / "Pipe v1.0.json").unlink()
    assert find()["models/Pipe v1.0"].sidecars == 0


def test_a_diffusers_folder_as_root_through_links_and_broken(library: Path, tmp_path: Path, pipeline: Path, find: Find):
    assert set(find(pipeline)) == {"models/Pipe v1.0"}
    shutil.move(pipeline, tmp_path / "real")
    pipeline.symlink_to(tmp_path / "real")
    (library / "zweitens").symlink_to(tmp_path / "real")
    assert {path: asset.link for path, asset in find().items()} == {"models/Pipe v1.0": True}
    put(tmp_path / "real" / "model_index.json", b"{")
    broken = find()["models/Pipe v1.0"]
    assert (broken.size, broken.folder) == (0, True)
    os.utime(tmp_path / "real" / "model_index.json", ns=(0, 2**61))
    assert find()["models/Pipe v1.0"].modified == 2**61, "a mended index is noticed"
    (tmp_path / "real" / "model_index.json").unlink()
    os.mkfifo(tmp_path / "real" / "model_index.json")
    assert "models/Pipe v1.0/unet/diffusion_pytorch_model.safetensors" in find(), "what has no index is a plain folder"


def test_the_stamp_changes_with_the_sidecars_and_with_nothing_else(library: Path, find: Find):
    put(library / "a.safetensors")
    put(library / "b.safetensors")
    stamps = []

    def stamp() -> int:
        found = find()
        assert found["b.safetensors"].sidecars == 0
        return found["a.safetensors"].sidecars

    assert stamp() == 0
    for change in (
        lambda: put(library / "a.json"),
        lambda: put(library / "a.preview.png"),
        lambda: put(library / "a.json", b"longer"),
        lambda: os.utime(library / "a.json", ns=(0, 5)),
        lambda: (library / "a.preview.png").rename(library / "a.png"),
        lambda: (library / "a.png").unlink(),
    ):
        change()
        stamps.append(stamp())
        assert stamp() == stamps[-1], "the same files, the same stamp"
    assert len(set(stamps)) == len(stamps)
    assert 0 not in stamps
    for name in ("a.safetensors.part", "ab.json", "readme.md", "A", "a", "z.json", ".a.json"):
        put(library / name)
    os.utime(library / "a.safetensors", ns=(0, 7))
    (library / "a.folder").mkdir()
    assert stamp() == stamps[-1], "none of these is a sidecar of a"


def test_sidecars_go_with_the_longest_stem(library: Path, find: Find):
    for name in ("a.safetensors", "a.b.safetensors", "c.ckpt", "c.safetensors", "Upper.pt"):
        put(library / name)
    for name in ("a.b.preview.png", "c.json", "upper.json"):
        put(library / name)
    found = find()
    assert {name for name, asset in found.items() if asset.sidecars} == {
        "a.b.safetensors",
        "c.ckpt",
        "c.safetensors",
        "Upper.pt",
    }
    assert found["c.ckpt"].sidecars == found["c.safetensors"].sidecars


def test_sidecars_of_the_walk_are_those_of_the_sidecar_reader(library: Path, find: Find):
    from modelhub.formats.sidecars.files import sidecars_in

    dice = random.Random(2)
    parts = ["a", "b", "A", "ä", "v1", "preview", "x y"]
    for _ in range(300):
        stem = ".".join(dice.choice(parts) for _ in range(dice.randrange(1, 4)))
        put(
            library / (stem + dice.choice([".safetensors", ".ckpt", ".json", ".png", ".civitai.info", ".part", ".tmp"]))
        )
    with_sidecars = {name for name, asset in find().items() if asset.sidecars}
    assert with_sidecars == set(sidecars_in(library))
    assert with_sidecars
