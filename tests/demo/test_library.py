"""The demo's library: whole, the same every time, and careful with what is not its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from modelhub.catalog.data import data_path
from modelhub.demo.library import lay_out
from modelhub.errors import CancelledError, FileExistsAlreadyError
from modelhub.formats.hashes import hash_file
from modelhub.jobs import Job

#: AutoV3 of the full checkpoints as they were trained, before they were cut down to their U-Nets.
AUTOV3 = {"base": "f114c2885dcf", "stripes": "d94a7b38af04", "pastel": "1a48087554b4"}

SHIPPED = {
    "tiny-shapes-base.safetensors", "tiny-shapes-stripes-unet.safetensors", "tiny-shapes-pastel-unet.safetensors",
    "tiny-shapes-framed-lora.safetensors", "sundisc.safetensors", "sundisc.pt", "tiny-realesrgan-x4.pth",
    "tiny-esrgan-x4-oldarch.pth",
}  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("demo") / "library")


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_shipped_files_fit_the_repository():
    files = {path.name: path.stat().st_size for path in data_path("demo").iterdir()}
    assert files.keys() >= SHIPPED
    assert sum(files.values()) <= 45_000_000


@pytest.mark.parametrize("style", ["base", "stripes", "pastel"])
def test_checkpoints_are_those_that_were_trained(library, style):
    path = getattr(library, style)
    assert hash_file(path).autov3 == AUTOV3[style]
    with safe_open(path, "pt") as file:
        assert file.metadata()["modelspec.title"] == f"tiny-shapes-{style}"
        assert file.metadata()["modelspec.license"] == "CC0-1.0"


def test_a_style_is_base_with_another_unet(library):
    base, stripes = load_file(library.base), load_file(library.stripes)
    assert base.keys() == stripes.keys() and len(base) == 965
    changed = {name for name in base if not torch.equal(base[name], stripes[name])}
    assert changed and all(name.startswith("model.diffusion_model.") for name in changed)


def test_layout(library):
    names = sorted(str(path.relative_to(library.folder)) for path in library.files)
    assert names == [
        "checkpoints/tiny-shapes-base.safetensors",
        "checkpoints/tiny-shapes-pastel.safetensors",
        "checkpoints/tiny-shapes-stripes.safetensors",
        "diffusion_models/tiny-shapes-stripes-unet.safetensors",
        "embeddings/sundisc.pt",
        "embeddings/sundisc.safetensors",
        "loras/tiny-shapes-framed-lora.safetensors",
        "upscale_models/tiny-esrgan-x4-oldarch.pth",
        "upscale_models/tiny-realesrgan-x4.pth",
    ]
    assert library.files == library.written
    for path in (library.lora, library.embedding, library.upscaler):
        assert path in library.files
        assert path.read_bytes() == data_path("demo", path.name).read_bytes()


def test_again_changes_nothing_and_mends_what_is_gone(tmp_path):
    first = lay_out(tmp_path / "demo")
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    before = tree(first.folder)
    assert lay_out(first.folder).written == ()
    assert tree(first.folder) == before
    first.stripes.unlink()
    again = lay_out(first.folder)
    assert again.written == (first.stripes,) and again.files == first.files
    after = tree(first.folder)
    assert {name: digest for name, (digest, _) in after.items()} == {
        name: digest for name, (digest, _) in before.items()
    }


@pytest.mark.parametrize("where", ["lora", "stripes"])
def test_a_changed_file_is_never_replaced(tmp_path, where):
    library = lay_out(tmp_path / "demo")
    path = getattr(library, where)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    library.base.unlink()
    before = tree(library.folder)
    with pytest.raises(FileExistsAlreadyError, match=path.name):
        lay_out(library.folder)
    assert tree(library.folder) == before


def test_foreign_folders_stay_as_they_are(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.safetensors").write_bytes(b"mine")
    before = tree(tmp_path)
    with pytest.raises(FileExistsAlreadyError, match="not empty"):
        lay_out(tmp_path / "models")
    with pytest.raises(FileExistsAlreadyError):
        lay_out(tmp_path / "models" / "mine.safetensors")
    assert tree(tmp_path) == before


def test_a_folder_that_is_there_and_empty_is_fine(tmp_path):
    assert len(lay_out(tmp_path).written) == 9


def test_the_demo_room_needs_no_torch():
    code = "import sys, modelhub.demo.library, modelhub.demo.judge, modelhub.demo.style; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_cancelling_leaves_nothing_half_written(tmp_path):
    job = Job("demo", lambda event: job.cancel() if event.phase == "writing" else None)
    with pytest.raises(CancelledError):
        lay_out(tmp_path / "demo", job)
    assert not list((tmp_path / "demo").rglob("*.part"))
    assert len(lay_out(tmp_path / "demo").files) == 9
