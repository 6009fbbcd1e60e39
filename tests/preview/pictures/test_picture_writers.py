"""What each program writes into its pictures is read: prompts, settings in A1111's words, models with their hashes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_time import at_most

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
    assert made(found, "checkpoint") == [Made("checkpoint", None, "0123456789")], "eight digits are of many files"
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


def test_loras_are_joined_to_their_hashes_and_weights_however_lists_spell_them() -> None:
    text = "<lora:styles/ink:0.8> <lora:a:b> <lora:ink:1>\n" + infotext(
        "Size: 8x8", 'Lora hashes: "ink: 0123456789ab"', "AddNet Model 1: None(None)", "AddNet Weight A 1: 1"
    )  # fmt: skip
    found = made(generation_of({"parameters": text}), "lora")
    assert [(one.name, one.hash) for one in found] == [
        ("styles/ink", "0123456789ab"), ("a", None), ("ink", "0123456789ab"),
    ]  # fmt: skip
    fooocus = infotext("Size: 8x8", 'Lora hashes: "offset: 4852686128"', 'Lora weights: "offset: 0.1"')
    assert made(generation_of({"parameters": fooocus}), "lora") == [Made("lora", "offset", "4852686128", 0.1)]
    weights = infotext("Size: 8x8", 'Lora weights: "a: 0.1, b: -1"')
    assert made(generation_of({"parameters": weights}), "lora") == [
        Made("lora", "a", None, 0.1),
        Made("lora", "b", None, -1.0),
    ]


def test_modules_of_the_second_pass_of_forge() -> None:
    told = ("Size: 8x8", "Module 1: ae", "Hires Module 1: Use same choices", "Hires Module 2: ae", "Hires Module 3: t5")
    found = generation_of({"parameters": infotext(*told)})
    assert [one.name for one in made(found, "other")] == ["ae", "t5"]


def test_what_the_tab_for_finished_pictures_did() -> None:
    changes = "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+, Postprocess upscaler 2: None"
    found = generation_of({"parameters": infotext("Size: 8x8"), "postprocessing": changes})
    assert found.prompt == "a cat" and found.settings["Postprocess upscale by"] == "4"
    assert made(found, "upscaler") == [Made("upscaler", "R-ESRGAN 4x+")]
    alone = generation_of({"extras": changes})
    assert next(iter(alone.settings)) == "Postprocess upscale by" and not alone.prompt


def test_entries_of_civitai_that_name_nothing_are_none() -> None:
    text = infotext("Size: 8x8", 'Civitai resources: [{"modelVersionId":"x"},{"type":"lora"},5,{"modelVersionId":7}]')
    assert list(generation_of({"parameters": text}).models) == [Made("other", version=7)]


def test_swarmui_in_the_words_of_others() -> None:
    told = {
        "prompt": "p", "steps": 20, "comfyuisampler": "dpmpp_2m", "comfyuischeduler": "karras", "loras": "x, y ",
        "loraweights": "0.5,1", "refinerupscale": 1.5, "refinerupscalemethod": "pixel-lanczos", "refinercfgscale": 2,
        "sigmashift": 3,
    }  # fmt: skip
    found = generation_of({"parameters": json.dumps({"sui_image_params": told})})
    assert (found.sampler, found.schedule) == ("DPM++ 2M", "Karras")
    assert (found.settings["Hires upscaler"], found.settings["Hires CFG Scale"]) == ("Lanczos", "2")
    assert found.settings["Shift"] == "3"
    assert made(found, "lora") == [Made("lora", "x", weight=0.5), Made("lora", "y", weight=1.0)]
    for way, name in {
        "model-4x.pth": "4x.pth",
        "latent-bicubic": "Latent (bicubic)",
        "latent-bilinear": "Latent",
    }.items():
        found = generation_of({"parameters": json.dumps({"sui_image_params": {**told, "refinerupscalemethod": way}})})
        assert found.settings["Hires upscaler"] == name


def test_more_of_invokeai() -> None:
    told = {
        "positive_prompt": "p", "positive_style_prompt": "ink", "negative_style_prompt": "", "steps": 3, "seamless_y": True,
        "cfg_rescale_multiplier": 0.2, "refiner_model": {"name": "ref"}, "refiner_start": 0.8,
        "clip_embed_model": {"name": "l"}, "ipAdapters": [{"ip_adapter_model": {"name": "ip"}}],
        "t2iAdapters": [{"t2i_adapter_model": {"name": "t2i"}}],
    }  # fmt: skip
    found = generation_of({"invokeai_metadata": json.dumps(told)})
    assert dict(found.settings) == {
        "Steps": "3", "CFG rescale": "0.2", "Refiner switch at": "0.8", "Tiling": "True", "Style prompt": "ink",
        "Version": "InvokeAI",
    }  # fmt: skip
    assert [(one.role, one.name) for one in found.models] == [
        ("refiner", "ref"), ("text-encoder", "l"), ("controlnet", "ip"), ("controlnet", "t2i"),
    ]  # fmt: skip


def test_command_lines_of_invokeai_without_spaces() -> None:
    found = generation_of({"Dream": '"a fox" -s50 -W512 -H640 -C7.5 -mk_lms -S123 --seamless'})
    assert (found.prompt, found.size, found.sampler) == ("a fox", (512, 640), "LMS")
    assert (found.settings["Steps"], found.settings["Seed"], found.settings["Version"]) == ("50", "123", "InvokeAI")


def test_characters_of_novelai_and_its_webp() -> None:
    def caption(base: str, *others: str) -> dict[str, Any]:
        return {"caption": {"base_caption": base, "char_captions": [{"char_caption": one} for one in others]}}

    comment = {
        "prompt": "two", "uc": "bad", "steps": 28, "scale": 5.0, "seed": 1, "sampler": "k_euler", "sm": True, "sm_dyn": True,
        "v4_prompt": caption("two", "girl, red", "boy"), "v4_negative_prompt": caption("bad", "hat", ""),
        "request_type": "Img2ImgRequest", "strength": 0.7,
    }  # fmt: skip
    texts = {"Software": "NovelAI", "Source": "NovelAI Diffusion V4", "Comment": json.dumps(comment)}
    for found in (generation_of(texts), generation_of({"UserComment": json.dumps(texts)})):
        assert (found.software, found.prompt, found.negative) == ("NovelAI", "two\ngirl, red\nboy", "bad\nhat")
        assert (found.settings["SMEA"], found.settings["Denoising strength"]) == ("DYN", "0.7")
    older = {**comment, "request_type": "PromptGenerateRequest"}
    assert "Denoising strength" not in generation_of({**texts, "Comment": json.dumps(older)}).settings
    bare = generation_of({"Software": "NovelAI", "Description": "a fox", "Comment": "{"})
    assert (bare.software, bare.prompt) == ("NovelAI", "a fox")


def test_no_lora_of_fooocus() -> None:
    told = {"version": "Fooocus v2.5.5", "prompt": "p", "loras": [["None", 1.0, ""], ["x", 0.5, "0123456789"]]}
    found = generation_of({"parameters": json.dumps(told)})
    assert list(found.models) == [Made("lora", "x", "0123456789", 0.5)]


def test_tags_in_which_savers_of_comfyui_write() -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m"}},
        "2": {
            "class_type": "KSampler",
            "inputs": {"seed": 1, "steps": 9, "sampler_name": "euler", "model": ["1", 0], "latent_image": ["1", 1]},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    said = json.dumps(graph)
    for texts in (
        {"Model": f"prompt:{said}", "Make": "workflow:{}"},
        {"Make": f"Prompt:{said}", "ImageDescription": "Workflow:{}"},
        {"UserComment": json.dumps({"prompt": said, "workflow": "{}"})},
    ):
        found = generation_of(texts)
        assert (found.software, found.settings["Steps"], found.sampler) == ("ComfyUI", "9", "Euler"), texts


def test_pictures_that_say_nothing() -> None:
    assert generation_of({}).is_empty
    assert generation_of({"Software": "Paint", "Comment": "my holiday"}).is_empty
    for texts in ({"workflow": '{"nodes": [], "links": []}'}, {"UserComment": '{"workflow": {"nodes": []}}'}):
        drawing = generation_of(texts)
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


@pytest.mark.parametrize("key", ["Lora hashes", "Lora weights", "TI hashes", "Used embeddings", "Refiner", "Sampler"])
@pytest.mark.parametrize("hostile", [" ", "a", "[(", "a:", "Model: "])
def test_hostile_settings_are_read_in_linear_time(key: str, hostile: str) -> None:
    with at_most(2):
        text = f'p\nSteps: 1, Seed: 2, Size: 8x8, {key}: "Euler {hostile * (20_000 // len(hostile))}x Karras"'
        generation_of({"parameters": text}).as_dict()
