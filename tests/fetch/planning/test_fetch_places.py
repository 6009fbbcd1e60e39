"""Models go where the user's tool looks for them, and where the user keeps others of the kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.fetch.planning.places import Places, filled
from modelhub.formats.sidecars import SidecarFacts
from modelhub.formats.stat import FileStat
from modelhub.settings import Settings


@pytest.fixture
def catalog(home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as opened:
        yield opened


@pytest.fixture
def comfy(tmp_path: Path, catalog: Catalog) -> Path:
    """ComfyUI's folder of models, scanned."""
    models = tmp_path / "ComfyUI" / "models"
    for name in ("checkpoints", "loras", "vae", "diffusion_models"):
        (models / name).mkdir(parents=True)
    catalog.add_root(models)
    return models


def keep(catalog: Catalog, folder: Path, kind: str, architecture: str | None, count: int = 1) -> None:
    """Models that the catalog knows."""
    for number in range(count):
        path = folder / f"{kind}-{architecture}-{number}.safetensors"
        identity = Identity(kind=kind, architecture=architecture)
        catalog.record(path, FileStat(1, hash(str(path)) % 2**40, 10, 1), identity, "1")


def test_a_tools_layout_decides(comfy: Path, catalog: Catalog):
    places = Places(catalog)
    assert not places.fixed
    assert places.folder("checkpoint", "sdxl") == comfy / "checkpoints"
    assert places.folder("lora", "sdxl") == comfy / "loras"
    assert places.folder("checkpoint", "sd1", "diffusers") == comfy / "diffusers"
    assert places.folder("upscaler", None) == comfy / "upscale_models"
    assert places.folder(None, None) == comfy / "other"


def test_other_tools_have_other_folders(tmp_path: Path, catalog: Catalog):
    root = tmp_path / "webui"
    (root / "models" / "Stable-diffusion").mkdir(parents=True)
    catalog.add_root(root)
    places = Places(catalog)
    assert places.folder("checkpoint", "sd1") == root / "models" / "Stable-diffusion"
    assert places.folder("embedding", "sd1") == root / "embeddings"
    assert places.folder("upscaler", "swinir") == root / "models" / "SwinIR"
    assert places.folder("clip-vision", None) == root / "models" / "clip_vision", (
        "a folder that the tool has no name for"
    )


def test_no_folder_is_made_beside_the_one_that_was_scanned(tmp_path: Path, catalog: Catalog):
    models = tmp_path / "mine" / "models"
    (models / "Stable-diffusion").mkdir(parents=True)
    catalog.add_root(models)
    assert Places(catalog).folder("embedding", "sd1") == models / "embeddings"
    assert Places(catalog, to=tmp_path / "mine").folder("embedding", "sd1") == tmp_path / "mine" / "embeddings"
    (tmp_path / "mine" / "embeddings").mkdir()
    assert Places(catalog).folder("embedding", "sd1") == tmp_path / "mine" / "embeddings", "the tool's own is there"


def test_a_scanned_folder_inside_a_tool_leads_to_its_layout(comfy: Path, tmp_path: Path, home: Path):
    with Catalog.open(home / "second") as other:
        other.add_root(comfy / "loras")
        assert Places(other).folder("checkpoint", "sdxl") == comfy / "checkpoints"


def test_a_folder_that_is_for_the_architecture_is_learned(comfy: Path, catalog: Catalog):
    keep(catalog, comfy / "loras" / "sdxl" / "style", "lora", "sdxl", 3)
    keep(catalog, comfy / "loras" / "sdxl" / "people", "lora", "sdxl", 3)
    keep(catalog, comfy / "loras" / "sd15", "lora", "sd1", 4)
    places = Places(catalog)
    assert places.folder("lora", "sdxl") == comfy / "loras" / "sdxl"
    assert places.folder("lora", "sd1") == comfy / "loras" / "sd15"
    assert places.folder("lora", "flux1") == comfy / "loras", "nothing is known of it"
    assert places.folder("checkpoint", "sdxl") == comfy / "checkpoints", "habits of one kind say nothing of another"


def test_a_folder_of_everything_is_no_habit_for_one_architecture(comfy: Path, catalog: Catalog):
    keep(catalog, comfy / "loras" / "style", "lora", "sdxl", 3)
    keep(catalog, comfy / "loras" / "style", "lora", "sd1", 3)
    assert Places(catalog).folder("lora", "sdxl") == comfy / "loras"


def test_one_file_is_no_habit(comfy: Path, catalog: Catalog):
    keep(catalog, comfy / "loras" / "sdxl", "lora", "sdxl", 1)
    assert Places(catalog).folder("lora", "sdxl") == comfy / "loras"


def test_files_that_are_gone_are_no_habit(comfy: Path, catalog: Catalog):
    keep(catalog, comfy / "loras" / "sdxl", "lora", "sdxl", 3)
    catalog.set_missing(catalog.ids())
    assert Places(catalog).folder("lora", "sdxl") == comfy / "loras"


def test_a_root_of_no_known_tool_keeps_its_own_order(tmp_path: Path, catalog: Catalog):
    root = tmp_path / "mine"
    root.mkdir()
    catalog.add_root(root)
    keep(catalog, root / "Big ones" / "xl", "checkpoint", "sdxl", 3)
    keep(catalog, root / "Big ones" / "old", "checkpoint", "sd1", 2)
    places = Places(catalog)
    assert places.folder("checkpoint", "sdxl") == root / "Big ones" / "xl"
    assert places.folder("checkpoint", "flux1") == root / "Big ones", "where most of the kind lie"
    assert places.folder("lora", "sdxl") == root / "loras", "ComfyUI's name, where there is none yet"


def test_the_names_of_the_users_own_folders_are_kept(tmp_path: Path, catalog: Catalog):
    root = tmp_path / "AI"
    for name in ("Checkpoints", "LoRA", "VAE"):
        (root / name).mkdir(parents=True)
    catalog.add_root(root)
    assert Places(catalog).folder("lora", "sdxl") == root / "LoRA"
    assert Places(catalog).folder("checkpoint", "sd1", "diffusers") == root / "diffusers"
    for kind in ("diffusion-model", "text-encoder"):
        Places(catalog).folder(kind, "flux1").mkdir()
    places = Places(catalog)
    assert places.folder("vae", "ae-16ch") == root / "VAE", "now that it looks a little like ComfyUI's, too"
    assert places.folder("checkpoint", "sdxl") == root / "Checkpoints"
    assert places.folder("upscaler", "dat") == root / "upscale_models"


def test_a_flat_folder_stays_flat(tmp_path: Path, catalog: Catalog):
    catalog.add_root(tmp_path)
    keep(catalog, tmp_path, "lora", "sdxl", 2)
    assert Places(catalog).folder("lora", "sd1") == tmp_path


def test_a_named_folder_is_taken_as_it_is(comfy: Path, tmp_path: Path, catalog: Catalog):
    places = Places(catalog, tmp_path / "new")
    assert places.fixed
    assert places.folder("lora", "sdxl") == places.folder(None, None) == tmp_path / "new"
    inside = Places(catalog, comfy / "loras")
    assert inside.fixed
    assert inside.folder("checkpoint", "sdxl") == comfy / "loras"


@pytest.mark.parametrize("up", [0, 1])
def test_a_named_root_of_a_tool_has_its_layout(comfy: Path, catalog: Catalog, up: int):
    places = Places(catalog, [comfy, comfy.parent][up])
    assert not places.fixed
    assert places.folder("vae", None) == comfy / "vae"


def test_a_relative_folder_is_where_the_user_stands(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Places(catalog, Path("here")).folder("lora", None) == tmp_path / "here"


def test_the_settings_name_the_library(tmp_path: Path, comfy: Path, catalog: Catalog):
    other = tmp_path / "other"
    settings = Settings(download_folder=str(other))
    assert Places(catalog, settings=settings).folder("lora", None) == other / "loras"


def test_a_known_tool_comes_before_any_other_root(tmp_path: Path, comfy: Path, catalog: Catalog):
    (tmp_path / "AAA").mkdir()
    catalog.add_root(tmp_path / "AAA")
    assert Places(catalog).library == comfy


def test_without_any_folder_the_next_step_is_told(catalog: Catalog, tmp_path: Path):
    catalog.add_root(tmp_path / "unplugged")
    with pytest.raises(UsageError) as caught:
        Places(catalog)
    assert "--to" in caught.value.hint
    assert "modelhub scan" in caught.value.hint


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("{architecture}/{creator}", "sdxl/An _ evil_ one"),
        ("{base_model}/{tag}", "Pony/style"),
        ("by {creator}/{tag}", "by An _ evil_ one/style"),
        ("{kind}", "lora"),
        ("../../{architecture}", "sdxl"),
        ("/etc/{architecture}", "etc/sdxl"),
    ],
)
def test_a_template_names_folders(comfy: Path, catalog: Catalog, template: str, folder: str):
    facts = SidecarFacts(creator="../An / evil: one", base_model="Pony", tags=("cute", "style"))
    places = Places(catalog, settings=Settings(download_path=template))
    assert places.folder("lora", "sdxl", facts=facts) == comfy / "loras" / folder


def test_what_nobody_knows_is_left_out_of_a_template(comfy: Path, catalog: Catalog):
    places = Places(catalog, settings=Settings(download_path="{base_model}/by {creator}/of {tag}"))
    assert places.folder("lora", None) == comfy / "loras"
    only = SidecarFacts(creator="me", tags=("..",))
    assert places.folder("lora", None, facts=only) == comfy / "loras" / "by me"


def test_a_template_with_a_wrong_word_is_refused():
    with pytest.raises(UsageError, match=r"\{colour\}"):
        filled("{kind}/{colour}", {"kind": "lora"})
