"""What the words of a repository mean: kinds, architectures, base models."""

from __future__ import annotations

import re
import tomllib

import pytest

from modelhub.catalog.architectures import architectures
from modelhub.catalog.data import data_path
from modelhub.catalog.kinds import KINDS
from modelhub.fetch.huggingface.facts import architecture_of, base_models, kind_of, own_tags


def table():
    return tomllib.loads(data_path("hugging-face.toml").read_text(encoding="utf-8"))


def test_the_table_speaks_of_what_the_catalog_knows():
    known = {one.id for one in architectures()}
    assert {row["architecture"] for row in (*table()["pipeline"], *table()["base"])} <= known
    assert {*table()["tags"].values(), *(row["kind"] for row in table()["model"])} <= set(KINDS)
    for row in table()["base"]:
        re.compile(row["names"])


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"), ("runwayml/stable-diffusion-v1-5", "sd1"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd1"), ("CompVis/stable-diffusion-v1-4", "sd1"),
        ("stabilityai/stable-diffusion-2-1", "sd2"), ("stabilityai/stable-diffusion-3-medium-diffusers", "sd3"),
        ("stabilityai/stable-diffusion-3.5-large", "sd3"), ("stabilityai/stable-diffusion-xl-refiner-1.0", "sdxl-refiner"),
        ("black-forest-labs/FLUX.1-dev", "flux1"), ("black-forest-labs/FLUX.1-Kontext-dev", "flux1"),
        ("black-forest-labs/FLUX.2-dev", "flux2"), ("Qwen/Qwen-Image", "qwen-image"), ("Qwen/Qwen-Image-Edit", "qwen-image"),
        ("Tongyi-MAI/Z-Image-Turbo", "z-image"), ("Wan-AI/Wan2.1-T2V-14B", "wan"), ("Wan-AI/Wan2.2-I2V-A14B", "wan"),
        ("OnomaAIResearch/Illustrious-xl-early-release-v0", "sdxl"), ("Laxhar/noobai-XL-1.1", "sdxl"),
        ("Lightricks/LTX-Video", "ltx-video"), ("Lightricks/LTX-2", "ltx-video-2"), ("Kwai-Kolors/Kolors", "kolors"),
        ("lodestones/Chroma", "chroma"), ("stabilityai/stable-video-diffusion-img2vid-xt", "svd"),
        ("tencent/HunyuanVideo", "hunyuan-video"), ("cagliostrolab/animagine-xl-3.1", "sdxl"),
        ("meta-llama/Llama-3-8B", None), ("someone/my-model", None), ("Qwen/Qwen2.5-7B", None),
        ("someone/thousand-2.1", None),
    ],
)  # fmt: skip
def test_architecture_by_base_model(base: str, wanted: str | None):
    assert architecture_of((f"base_model:{base}", f"base_model:adapter:{base}"), None, {}) == wanted


def test_base_models_at_odds_say_nothing():
    card = {"base_model": ["runwayml/stable-diffusion-v1-5", "black-forest-labs/FLUX.1-dev"]}
    assert architecture_of((), None, card) is None
    assert base_models((), card) == card["base_model"]


def test_a_pipeline_goes_before_base_models():
    assert architecture_of(("diffusers:FluxPipeline", "base_model:a/sdxl"), None) == "flux1"
    assert architecture_of((), "StableDiffusionXLInpaintPipeline") == "sdxl"
    assert architecture_of((), "StableDiffusionPipeline") is None
    assert architecture_of(("base_model:stabilityai/stable-diffusion-xl-base-1.0",), None, {}, "vae") is None


@pytest.mark.parametrize(
    ("tags", "name", "wanted"),
    [
        (("lora", "diffusers"), None, "lora"), (("diffusers", "ControlNet"), None, "controlnet"),
        ((), "ControlNetModel", "controlnet"), ((), "FluxControlNetModel", "controlnet"), ((), "AutoencoderKL", "vae"),
        ((), "AutoencoderTiny", "vae"), ((), "FluxTransformer2DModel", "diffusion-model"), ((), "T5EncoderModel", "text-encoder"),
        ((), "CLIPVisionModelWithProjection", "clip-vision"), ((), "MotionAdapter", "motion-module"),
        (("diffusers",), None, None), ((), "FluxPipeline", None), (("textual_inversion",), None, "embedding"),
    ],
)  # fmt: skip
def test_kind(tags: tuple[str, ...], name: str | None, wanted: str | None):
    assert kind_of(tags, name) == wanted


def test_tags_of_machines_are_left_out():
    tags = ("diffusers", "safetensors", "anime", "license:mit", "base_model:a/b", "region:us", "sks dog")
    assert own_tags(tags) == ("anime", "sks dog")
