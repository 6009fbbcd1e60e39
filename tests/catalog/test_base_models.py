"""Civitai's words mean architectures, kinds and roles that exist here; what has none stays unknown."""

from __future__ import annotations

import tomllib

import pytest

from modelhub.catalog.architectures import architectures
from modelhub.catalog.base_models import architecture_of, base_models_of, kind_of, role_of, types_of
from modelhub.catalog.data import data_path
from modelhub.catalog.kinds import KINDS

WORDS = tomllib.loads(data_path("base_models.toml").read_text(encoding="utf-8"))["civitai"]
ROLES = {"model", "pruned-model", "vae", "config", "text-encoder", "negative", "archive", "training-data", "other"}


@pytest.mark.parametrize(
    ("base_model", "architecture"),
    [
        ("SD 1.5", "sd1"), ("SD 1.5 LCM", "sd1"), ("SD 2.1 768", "sd2"), ("SDXL 1.0", "sdxl"), ("SDXL Hyper", "sdxl"),
        ("Pony", "sdxl"), ("Illustrious", "sdxl"), ("NoobAI", "sdxl"), ("Pony V7", "auraflow"), ("SD 3.5 Large", "sd3"),
        ("Flux.1 D", "flux1"), ("Flux.1 Kontext", "flux1"), ("Flux.2 Klein 4B-base", "flux2"), ("Chroma", "chroma"),
        ("HiDream", "hidream-i1"), ("HiDream-O1", "hidream-o1"), ("Hunyuan 1", "hunyuan-dit"),
        ("Hunyuan Video", "hunyuan-video"), ("LTXV", "ltx-video"), ("LTXV2", "ltx-video-2"), ("Qwen", "qwen-image"),
        ("ZImageTurbo", "z-image"), ("Wan Video 2.2 I2V-A14B", "wan"), ("PixArt E", "pixart"), ("SVD XT", "svd"),
    ],
)  # fmt: skip
def test_a_base_model_means_an_architecture(base_model, architecture):
    assert architecture_of(base_model) == architecture
    assert base_model in base_models_of(architecture)


@pytest.mark.parametrize("base_model", ["Kling", "Sora 2", "Wan Video 2.7", "Other", "Upscaler", "SD 9", "", None])
def test_what_has_no_architecture_stays_unknown(base_model):
    assert architecture_of(base_model) is None


def test_a_refiner_is_no_sdxl():
    assert architecture_of("SDXL 1.0", "Refiner") == "sdxl-refiner"
    assert architecture_of("SDXL 1.0", "Inpainting") == "sdxl"
    assert architecture_of("SD 1.5", "Refiner") == "sd1"
    assert architecture_of("Kling", "Refiner") is None


def test_words_are_read_in_any_case_and_written_in_their_own():
    assert architecture_of("sdxl 1.0") == "sdxl"
    assert kind_of("locon") == "lora"
    assert types_of("lora") == ("LORA", "LoCon", "DoRA")
    assert base_models_of("no such architecture") == ()


@pytest.mark.parametrize(
    ("word", "kind"),
    [("Checkpoint", "checkpoint"), ("LORA", "lora"), ("TextualInversion", "embedding"), ("Controlnet", "controlnet"),
     ("MotionModule", "motion-module"), ("VAE", "vae"), ("Wildcards", "other"), ("Sculpture", None), (None, None)],
)  # fmt: skip
def test_a_type_means_a_kind(word, kind):
    assert kind_of(word) == kind


def test_the_role_of_a_file():
    assert role_of("Training Data") == "training-data"
    assert role_of("Pruned Model") == "pruned-model"
    assert role_of("Diffusion Model") == "model"
    assert role_of("Enhancement LoRA") == role_of(None) == "other"


def test_all_that_is_meant_exists_and_no_word_means_two_things():
    known = {one.id for one in architectures()}
    changed = {new for table in WORDS["types"].values() for pair in table.items() for new in pair}
    assert set(WORDS["architectures"]) | changed <= known
    assert set(WORDS["kinds"]) <= set(KINDS)
    assert set(WORDS["roles"]) <= ROLES
    for section in ("architectures", "kinds", "roles"):
        words = [word.casefold() for listed in WORDS[section].values() for word in listed]
        assert len(words) == len(set(words))
