"""Layouts of other tools: real trees of folders are recognised from wherever the user points, and files find a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog.kinds import KINDS
from modelhub.catalog.layouts import named_after, recognise

TREES = {
    "comfyui": ("main.py", "folder_paths.py", "comfy/", "models/checkpoints/", "models/loras/style/"),
    "a1111": ("webui.py", "modules/sd_models.py", "models/Stable-diffusion/", "models/VAE/", "embeddings/"),
    "forge": ("webui.py", "modules_forge/", "modules/sd_models.py", "models/Stable-diffusion/", "models/VAE/"),
    "swarmui": ("SwarmUI.sln", "src/SwarmUI.csproj", "Models/Stable-Diffusion/", "Models/Lora/"),
    "stability-matrix": ("Data/Models/StableDiffusion/", "Data/Models/Lora/", "Data/Packages/ComfyUI/"),
    "invokeai": ("invokeai.yaml", "databases/invokeai.db", "models/2f1c/model.safetensors"),
}
MODELS = {"swarmui": "Models", "stability-matrix": "Data/Models"}


def plant(root: Path, *names: str) -> Path:
    for name in names:
        if name.endswith("/"):
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    return root


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest, tmp_path: Path):
    """(id, root) of a fresh installation of each tool."""
    return request.param, plant(tmp_path / "ai" / "my tool", *TREES[request.param])


def test_a_root_is_recognised(tree):
    name, root = tree
    found = recognise(root)
    assert found is not None
    assert (found.id, found.root, found.models) == (name, root, root / MODELS.get(name, "models"))
    assert found.title


def test_so_is_its_folder_of_models_and_the_folder_that_holds_the_tool(tree):
    name, root = tree
    models = root / MODELS.get(name, "models")
    for start in (models, root.parent):
        found = recognise(start)
        assert found is not None, start
        assert (found.id, found.models) == (name, models)


def test_so_is_a_folder_of_one_kind_but_not_any_other_folder_inside(tmp_path: Path):
    root = plant(tmp_path / "ComfyUI", *TREES["comfyui"], "output/today/")
    inside = recognise(root / "models" / "loras" / "style")
    assert inside is not None
    assert inside.root == root
    assert recognise(root / "output" / "today") is None


def test_a_relative_path_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = plant(tmp_path / "ComfyUI", *TREES["comfyui"])
    monkeypatch.chdir(root / "models")
    found = recognise(".")
    assert found is not None
    assert found.root == root


@pytest.mark.parametrize("name", ["plain/", "models/", "checkpoints/", "file.txt"])
def test_other_folders_are_not_recognised(tmp_path: Path, name: str):
    assert recognise(plant(tmp_path / "x", name)) is None


def test_neither_is_what_does_not_exist_or_cannot(tmp_path: Path):
    assert recognise(tmp_path / "gone") is None
    assert recognise(str(tmp_path) + "/a\0b") is None


def test_two_tools_side_by_side_are_not_chosen_between(tmp_path: Path):
    for name in ("comfyui", "a1111"):
        plant(tmp_path / "ai" / name, *TREES[name])
    assert recognise(tmp_path / "ai") is None


def test_a_shared_folder_of_any_name_shows_whose_names_it_uses(tmp_path: Path):
    shared = plant(tmp_path / "big disk" / "sd", "Stable-diffusion/", "Lora/", "VAE/")
    found = recognise(shared)
    assert found is not None
    assert (found.id, found.folder("lora")) == ("a1111", shared / "Lora")
    assert found.folder("embedding") is None, "it lies beside the folder of models, and here nobody knows where"


def test_folders_that_came_by_downloads_do_not_turn_one_tool_into_another(tree):
    name, root = tree
    before = recognise(root)
    assert before is not None
    plant(before.models, "diffusion_models/", "text_encoders/", "clip_vision/", "vae/", "loras/")
    after = recognise(root)
    assert after is not None
    assert after.id == name
    found = recognise(before.models)
    assert found is not None
    assert found.id == name


def test_folders_alone_are_less_than_the_program_beside_them(tmp_path: Path):
    root = plant(tmp_path / "ComfyUI", *TREES["comfyui"], "models/Stable-diffusion/")
    found = recognise(root)
    assert found is not None
    assert found.id == "comfyui"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("LoRA", "lora"),
        ("LORAs", "lora"),
        ("Stable Diffusion", "checkpoint"),
        ("Check-Points", "checkpoint"),
        ("TextEncoders", "text-encoder"),
        ("upscalers", "upscaler"),
    ],
)
def test_a_folder_is_known_by_its_name_however_it_is_spelled(tmp_path: Path, name: str, kind: str):
    plant(tmp_path, f"{name}/", "VAE-approx/", "pictures/")
    assert named_after(kind, tmp_path) == tmp_path / name
    assert named_after("vae", tmp_path) is None
    assert named_after("diffusion-model", tmp_path) is None, "what Forge keeps with its checkpoints"


@pytest.mark.parametrize(
    ("name", "kind", "facts", "folder"),
    [
        ("comfyui", "checkpoint", {}, "models/checkpoints"),
        ("comfyui", "checkpoint", {"format": "diffusers"}, "models/diffusers"),
        ("comfyui", "diffusion-model", {"format": "gguf"}, "models/diffusion_models"),
        ("comfyui", "text-encoder", {}, "models/text_encoders"),
        ("comfyui", "upscaler", {"architecture": "dat"}, "models/upscale_models"),
        ("comfyui", "unknown", {}, None),
        ("a1111", "checkpoint", {}, "models/Stable-diffusion"),
        ("a1111", "checkpoint", {"format": "diffusers"}, None),
        ("a1111", "embedding", {}, "embeddings"),
        ("a1111", "upscaler", {"architecture": "esrgan-old", "format": "pickle"}, "models/ESRGAN"),
        ("a1111", "upscaler", {"architecture": "dat"}, "models/DAT"),
        ("a1111", "text-encoder", {}, None),
        ("a1111", "diffusion-model", {}, None),
        ("forge", "text-encoder", {}, "models/text_encoder"),
        ("forge", "diffusion-model", {}, "models/Stable-diffusion"),
        ("forge", "upscaler", {"architecture": "swinir"}, "models/SwinIR"),
        ("swarmui", "lora", {}, "Models/Lora"),
        ("swarmui", "vae", {}, "Models/VAE"),
        ("stability-matrix", "lora", {}, "Data/Models/Lora"),
        ("stability-matrix", "diffusion-model", {}, "Data/Models/DiffusionModels"),
        ("stability-matrix", "checkpoint", {"format": "diffusers"}, "Data/Models/Diffusers"),
        ("invokeai", "checkpoint", {}, None),
    ],
)
def test_where_a_file_goes(tmp_path: Path, name: str, kind: str, facts: dict[str, str], folder: str | None):
    root = plant(tmp_path / "tool", *TREES[name])
    found = recognise(root)
    assert found is not None
    assert found.folder(kind, **facts) == (None if folder is None else root / folder)


def test_a_file_where_it_belongs_is_of_the_kind_that_its_folder_says(tree):
    name, root = tree
    found = recognise(root)
    assert found is not None
    for kind, folders in found.folders().items():
        assert kind in KINDS
        for folder in folders:
            assert kind in (found.kind_of(folder / "deep" / "x.safetensors"), *_sharing(found.folders(), folder))
    assert bool(found.folders()) is (name != "invokeai")
    assert found.kind_of(root / "x.safetensors") is None
    assert found.kind_of(found.models / "elsewhere" / "x.safetensors") is None


def _sharing(folders: dict[str, list[Path]], folder: Path) -> list[str]:
    kinds = [kind for kind, there in folders.items() if folder in there]
    return kinds if len(kinds) > 1 else []


def test_the_inner_folder_counts_and_a_name_that_only_begins_alike_does_not(tmp_path: Path):
    found = recognise(plant(tmp_path / "tool", *TREES["a1111"]))
    assert found is not None
    assert found.kind_of(found.models / "VAE-approx" / "x.pt") == "vae"
    assert found.kind_of(found.models / "Lora2" / "x.pt") is None
    assert found.kind_of(found.models / "Lora" / ".." / "VAE" / "x.pt") == "vae"
