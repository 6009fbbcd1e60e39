"""What each program writes into its pictures is read: prompts, settings in A1111's words, models with their hashes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.preview.pictures.generation import Generation, Made
from modelhub.preview.pictures.reading.read import generation_of


def infotext(*settings: str) -> str:
    return f"a cat\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, {', '.join(settings)}"


def made(generation: Generation, role: str) -> list[Made]:
    return [one for one in generation.models if one.role == role]


def test_a1111_with_everything() -> None:
    text = (
        "a cat, <lora:foo:0.8> <lora:bar:0.5:1> <lora:baz:te=0.2:unet=0.3> <hypernet:net:0.4>\nsecond line\n"
        "Negative prompt: low,\nbad\n"
        "Steps: 20, Sampler: DPM++ 2M SDE Heun Exponential, CFG scale: 7.5, Seed: 12345678901234, Size: 512x768, "
        "Model hash: 6CE0161689, Model: v1-5, VAE hash: 735e4c3a44, VAE: mse.safetensors, Denoising strength: 0.5, "
        'ADetailer model: face_yolov8n.pt, ADetailer prompt: "a face, (smile:1.2)\\nred", ADetailer version: 24.1, '
        "Hires upscale: 2, Hires upscaler: 4x-UltraSharp, Refiner: sdxl_ref [7440042bbd], Refiner switch at: 0.8, "
        'ControlNet 0: "Module: canny, Model: control_canny [d14c016b], Weight: 1", '
        'Lora hashes: "foo: 0123456789ab, bar: ba9876543210", TI hashes: "easy: c74b4e810b03", Version: v1.10.1'
    )
    found = generation_of({"parameters": text})
    assert found.software == "AUTOMATIC1111 v1.10.1"
    assert found.prompt.endswith("\nsecond line") and found.negative == "low,\nbad"
    assert (found.sampler, found.schedule) == ("DPM++ 2M SDE Heun", "Exponential")
    assert found.settings["ADetailer prompt"] == "a face, (smile:1.2)\nred"
    assert found.size == (512, 768)
    assert list(found.models) == [
        Made("checkpoint", "v1-5", "6ce0161689"),
        Made("refiner", "sdxl_ref", "7440042bbd"),
        Made("vae", "mse.safetensors", "735e4c3a44"),
        Made("lora", "foo", "0123456789ab", 0.8),
        Made("lora", "bar", "ba9876543210", 1.0, 0.5),
        Made("lora", "baz", None, 0.3, 0.2),
        Made("hypernetwork", "net", None, 0.4),
        Made("embedding", "easy", "c74b4e810b03"),
        Made("upscaler", "4x-UltraSharp"),
        Made("other", "face_yolov8n.pt"),
        Made("controlnet", "control_canny", "d14c016b"),
    ]


def test_hashes_in_json_and_those_of_the_old_extension() -> None:
    text = infotext(
        "Size: 8x8", "Model hash: 01234567", 'Hashes: {"model": "0123456789", "vae": "aabbccddee", "lora:x": "112233445566"}',
        "AddNet Enabled: True", "AddNet Model 1: style(aabbccddeeff)", "AddNet Weight A 1: 0.6", "AddNet Weight B 1: 0.5",
        'Used embeddings: "easynegative [119b]"', "Template: x",
    )  # fmt: skip
    found = generation_of({"parameters": text})
    assert made(found, "checkpoint") == [Made("checkpoint", None, "01234567")]
    assert made(found, "vae") == [Made("vae", None, "aabbccddee")]
    assert made(found, "lora") == [Made("lora", "x", "112233445566"), Made("lora", "style", "aabbccddeeff", 0.6, 0.5)]
    assert made(found, "embedding") == [Made("embedding", "easynegative")]


def test_forge() -> None:
    found = generation_of({
        "parameters": infotext(
            "Distilled CFG Scale: 3.5", "Size: 8x8", "Model: flux1-dev", "Module 1: ae", "Module 2: t5xxl_fp16",
            "Noise Schedule: Default", "Version: f2.0.1v1.10.1-previous-665",
        )
    })  # fmt: skip
    assert found.software.startswith("Forge")
    assert [one.name for one in made(found, "other")] == ["ae", "t5xxl_fp16"]
    assert found.settings["Distilled CFG Scale"] == "3.5"


def test_templates_below_the_settings_are_no_prompt() -> None:
    found = generation_of({"parameters": infotext("Size: 8x8") + "\nTemplate: {a|b}\nNegative Template: {c|d}"})
    assert (found.prompt, found.negative, found.settings["Steps"]) == ("a cat", "bad", "20")


def test_civitai() -> None:
    resources = [
        {"type": "checkpoint", "modelVersionId": 128713, "modelName": "DreamShaper", "modelVersionName": "8"},
        {"type": "lora", "weight": 0.8, "modelVersionId": 5, "modelId": 4, "modelName": "Style, a [b]"},
        {"type": "embed", "air": "urn:air:sd1:embedding:civitai:7@9"},
    ]
    text = infotext(
        "Size: 8x8", "Clip skip: 2", "Created Date: 2024-08-05T13:55:16.4Z",
        f"Civitai resources: {json.dumps(resources)}", 'Civitai metadata: {"remixOfId": 1}',
    )  # fmt: skip
    found = generation_of({"UserComment": text})
    assert found.software == "Civitai"
    assert list(found.models) == [
        Made("checkpoint", "DreamShaper 8", version=128713),
        Made("lora", "Style, a [b]", weight=0.8, model=4, version=5),
        Made("embedding", None, model=7, version=9),
    ]
    named = generation_of(
        {"parameters": infotext("Model: dreamshaper_8", "Model hash: 879db523c3", text.split(", ", 6)[-1])}
    )
    assert made(named, "checkpoint") == [Made("checkpoint", "dreamshaper_8", "879db523c3", version=128713)]


def test_swarmui() -> None:
    told = {
        "sui_image_params": {
            "prompt": "a fox", "negativeprompt": "bad", "model": "SDXL/jug", "seed": 5, "steps": 20, "cfgscale": 7.0,
            "width": 1024, "height": 768, "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "vae": "sdxl-vae",
            "loras": ["style"], "loraweights": ["0.6"], "clipstopatlayer": -2, "swarm_version": "0.9.3",
            "refinerupscale": 1.5, "refinerupscalemethod": "pixel-lanczos", "refinercontrolpercentage": 0.3,
        },
        "sui_models": [{"name": "SDXL/jug.safetensors", "param": "model", "hash": "0x" + "ab" * 32}],
    }  # fmt: skip
    found = generation_of({"parameters": json.dumps(told)})
    assert (found.software, found.prompt, found.negative) == ("SwarmUI 0.9.3", "a fox", "bad")
    assert (found.sampler, found.schedule, found.size) == ("DPM++ 2M SDE", "Karras", (1024, 768))
    assert found.settings["Clip skip"] == "2" and found.settings["Denoising strength"] == "0.3"
    assert list(found.models) == [
        Made("checkpoint", "SDXL/jug", "ab" * 6), Made("vae", "sdxl-vae"), Made("lora", "style", None, 0.6)
    ]  # fmt: skip


def test_invokeai_of_all_ages() -> None:
    told = {
        "app_version": "4.2.0", "positive_prompt": "a fox", "negative_prompt": "bad", "width": 512, "height": 768, "seed": 7,
        "rand_device": "cpu", "cfg_scale": 7.5, "steps": 30, "scheduler": "dpmpp_2m_k", "clip_skip": 1,
        "model": {"key": "k", "hash": "blake3:" + "cd" * 32, "name": "base", "type": "main"},
        "loras": [{"model": {"name": "style", "hash": "blake3:" + "ef" * 32}, "weight": 0.7}],
    }  # fmt: skip
    found = generation_of({"invokeai_metadata": json.dumps(told)})
    assert (found.software, found.prompt, found.negative) == ("InvokeAI 4.2.0", "a fox", "bad")
    assert (found.sampler, found.schedule, found.settings["Clip skip"]) == ("DPM++ 2M", "Karras", "2")
    assert list(found.models) == [Made("checkpoint", "base", "cd" * 32), Made("lora", "style", "ef" * 32, 0.7)]
    image = {
        "prompt": [{"prompt": "a fox [bad]", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "seed": 9, "width": 512,
        "height": 512, "sampler": "k_euler_a", "type": "txt2img",
    }  # fmt: skip
    older = generation_of(
        {"sd-metadata": json.dumps({"model_weights": "sd-1.4", "model_hash": "ab" * 32, "image": image})}
    )
    assert (older.prompt, older.negative, older.sampler) == ("a fox", "bad", "Euler a")
    assert list(older.models) == [Made("checkpoint", "sd-1.4", "ab" * 32)]
    oldest = generation_of({"Dream": '"a fox" -s 50 -S 123 -W 512 -H 640 -C 7.5 -A k_lms'})
    assert (oldest.prompt, oldest.size, oldest.sampler) == ("a fox", (512, 640), "LMS")
    assert oldest.settings["Seed"] == "123"


def test_novelai() -> None:
    comment = {
        "prompt": "{{a fox}}", "uc": "bad", "steps": 28, "scale": 5.0, "seed": 1, "width": 832, "height": 1216,
        "sampler": "k_dpmpp_2m", "noise_schedule": "karras",
    }  # fmt: skip
    texts = {"Software": "NovelAI", "Source": "Stable Diffusion XL C1E1298E", "Comment": json.dumps(comment)}
    found = generation_of(texts)
    assert (found.software, found.prompt, found.negative) == ("NovelAI", "{{a fox}}", "bad")
    assert (found.sampler, found.schedule, found.size) == ("DPM++ 2M", "Karras", (832, 1216))
    assert made(found, "checkpoint") == [Made("checkpoint", "Stable Diffusion XL C1E1298E")]
    assert found.notes


def test_fooocus() -> None:
    told = {
        "base_model": "jug", "base_model_hash": "aabbccddee", "prompt": "a fox", "negative_prompt": "", "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras", "steps": 30, "guidance_scale": 4, "seed": "3", "resolution": "(832, 1216)", "refiner_model": "None",
        "loras": [["offset", 0.1, "1122334455"]], "vae": "Default (model)", "version": "Fooocus v2.5.5", "sharpness": 2,
    }  # fmt: skip
    found = generation_of({"parameters": json.dumps(told), "fooocus_scheme": "fooocus"})
    assert (found.software, found.sampler, found.size) == ("Fooocus v2.5.5", "DPM++ 2M SDE", (832, 1216))
    assert list(found.models) == [Made("checkpoint", "jug", "aabbccddee"), Made("lora", "offset", "1122334455", 0.1)]


def test_pictures_that_say_nothing() -> None:
    assert generation_of({}).is_empty
    assert generation_of({"Software": "Paint", "Comment": "my holiday"}).is_empty
    drawing = generation_of({"workflow": json.dumps({"nodes": [], "links": []})})
    assert drawing.software == "ComfyUI" and drawing.notes and not drawing.prompt


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "sui_image_params", "sui_models", "prompt", "model", "loras", "version", "metadata_scheme", "image", "width", "uc",
    "sampler", "scale", "inputs", "class_type", "1", "2", "extra", "airs", "seed", "scheduler", "hash", "name", "weight",
]  # fmt: skip
tables = st.dictionaries(
    st.sampled_from(KEYS), st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4) | json_values
)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["parameters", "prompt", "Comment", "sd-metadata", "invokeai_metadata", "UserComment", "workflow"]),
    tables,
)
def test_no_json_makes_a_reader_fail(place: str, told: Any) -> None:
    found = generation_of({place: json.dumps(told), "Software": "NovelAI"})
    json.dumps([found.as_dict(), [one.as_dict() for one in found.models]])


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"1":'])
def test_json_that_is_nested_deeply_is_no_generation(opening: str) -> None:
    generation_of({"parameters": opening * 100_000, "prompt": opening * 100_000, "Comment": opening * 5000})
    text = f"p\nSteps: 1, Seed: 2, Size: 8x8, Civitai resources: {opening * 100_000}, Hashes: {opening * 100_000}"
    assert generation_of({"parameters": text}).settings["Seed"] == "2"
