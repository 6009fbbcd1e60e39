"""Graphs of ComfyUI: prompts, samplers and models are found behind whatever nodes stand between; every walk ends."""

from __future__ import annotations

import json

from comfy_graphs import Graph, node, read, simple
from hypothesis import given, settings
from hypothesis import strategies as st
from own_time import at_most

from modelhub.preview.pictures.comfy.read import read_comfy
from modelhub.preview.pictures.generation import Made


def test_the_first_graph_of_everybody() -> None:
    found = read(simple())
    assert (found.software, found.prompt, found.negative) == ("ComfyUI", "a cat", "bad")
    assert dict(found.settings) == {
        "Steps": "20", "Sampler": "DPM++ 2M", "Schedule type": "Karras", "CFG scale": "8", "Seed": "156680208700286",
        "Size": "512x768", "RNG": "CPU", "Version": "ComfyUI",
    }  # fmt: skip
    assert list(found.models) == [Made("checkpoint", "SD1\\v1-5.safetensors")]
    assert found.notes == ()


def test_loras_clip_skip_vae_and_nodes_that_nobody_knows() -> None:
    graph = simple()
    graph["10"] = node(
        "LoraLoader", lora_name="a.safetensors", strength_model=0.8, strength_clip=1.0, model=["4", 0], clip=["4", 1]
    )
    stack = {
        "lora_1": {"on": True, "lora": "b.safetensors", "strength": 0.5},
        "lora_2": {"on": False, "lora": "off.safetensors"},
    }
    graph["11"] = node("Power Lora Loader (rgthree)", **stack, model=["10", 0], clip=["10", 1])
    numbered = {"switch_1": "On", "lora_name_1": "c.safetensors", "model_weight_1": 0.3, "clip_weight_1": 0.3}
    graph["12"] = node("CR LoRA Stack", **numbered, switch_2="Off", lora_name_2="d.safetensors", lora_name_3="None")
    graph["13"] = node("CR Apply LoRA Stack", model=["11", 0], clip=["11", 1], lora_stack=["12", 0])
    graph["14"] = node("FreeU_V2", b1=1.3, model=["13", 0])
    graph["15"] = node("Some Unknown Patch", strength=2, whatever=["14", 0])
    graph["16"] = node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["13", 1])
    graph["17"] = node("VAELoader", vae_name="mse.pt")
    graph["3"]["inputs"]["model"] = ["15", 0]
    graph["6"]["inputs"]["clip"] = ["16", 0]
    graph["8"]["inputs"]["vae"] = ["17", 0]
    found = read(graph)
    assert found.settings["Clip skip"] == "2"
    assert sorted(found.models, key=lambda made: (made.role, made.name or "")) == [
        Made("checkpoint", "SD1\\v1-5.safetensors"),
        Made("lora", "a.safetensors", None, 0.8, 1.0),
        Made("lora", "b.safetensors", None, 0.5, None),
        Made("lora", "c.safetensors", None, 0.3, None),
        Made("vae", "mse.pt"),
    ]


def test_flux_with_its_parts_apart() -> None:
    graph = {
        "6": node("CLIPTextEncode", text="cute fox", clip=["11", 0]),
        "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
        "9": node("SaveImage", images=["8", 0]),
        "10": node("VAELoader", vae_name="ae.safetensors"),
        "11": node("DualCLIPLoader", clip_name1="t5xxl_fp16.safetensors", clip_name2="clip_l.safetensors", type="flux"),
        "12": node("UNETLoader", unet_name="flux1-dev.safetensors"),
        "13": node(
            "SamplerCustomAdvanced",
            noise=["25", 0],
            guider=["22", 0],
            sampler=["16", 0],
            sigmas=["17", 0],
            latent_image=["27", 0],
        ),
        "16": node("KSamplerSelect", sampler_name="euler"),
        "17": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0, model=["30", 0]),
        "22": node("BasicGuider", model=["30", 0], conditioning=["26", 0]),
        "25": node("RandomNoise", noise_seed=219670278747233),
        "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
        "27": node("EmptySD3LatentImage", width=["34", 0], height=["35", 0], batch_size=1),
        "30": node("ModelSamplingFlux", max_shift=1.15, model=["12", 0]),
        "34": node("PrimitiveInt", value=1024),
        "35": node("PrimitiveInt", value=768),
    }
    found = read(graph)
    assert (found.prompt, found.negative, found.size) == ("cute fox", "", (1024, 768))
    assert (found.sampler, found.schedule) == ("Euler", "Simple")
    assert (found.settings["Distilled CFG Scale"], found.settings["CFG scale"]) == ("3.5", "1")
    assert found.settings["Seed"] == "219670278747233"
    assert {(made.role, made.name) for made in found.models} == {
        ("diffusion-model", "flux1-dev.safetensors"), ("text-encoder", "t5xxl_fp16.safetensors"),
        ("text-encoder", "clip_l.safetensors"), ("vae", "ae.safetensors"),
    }  # fmt: skip


def test_a_second_sampler_is_a_hires_pass() -> None:
    graph = simple()
    graph["19"] = node("LatentUpscaleBy", upscale_method="nearest-exact", scale_by=1.5, samples=["3", 0])
    graph["20"] = node(
        "KSampler", seed=1, steps=10, cfg=8, sampler_name="euler", scheduler="simple", denoise=0.5, model=["4", 0],
        positive=["6", 0], negative=["7", 0], latent_image=["19", 0],
    )  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["20", 0]
    found = read(graph).settings
    assert (found["Seed"], found["Steps"], found["Hires steps"]) == ("156680208700286", "20", "10")
    assert (found["Hires upscaler"], found["Hires upscale"]) == ("Latent (nearest-exact)", "1.5")
    assert (found["Denoising strength"], found["Hires sampler"]) == ("0.5", "Euler")
    graph["21"] = node("UpscaleModelLoader", model_name="4x-UltraSharp.pth")
    graph["22"] = node("VAEDecode", samples=["3", 0], vae=["4", 2])
    graph["23"] = node("ImageUpscaleWithModel", upscale_model=["21", 0], image=["22", 0])
    graph["19"] = node("VAEEncode", pixels=["23", 0], vae=["4", 2])
    by_pixels = read(graph)
    assert by_pixels.settings["Hires upscaler"] == "4x-UltraSharp.pth"
    assert Made("upscaler", "4x-UltraSharp.pth") in by_pixels.models


def test_another_model_that_takes_over_is_a_refiner() -> None:
    graph = simple()
    advanced = {"sampler_name": "euler", "scheduler": "normal", "cfg": 8, "steps": 25, "noise_seed": 7}
    graph["3"] = node(
        "KSamplerAdvanced", **advanced, start_at_step=0, end_at_step=20, model=["4", 0], positive=["6", 0],
        negative=["7", 0], latent_image=["5", 0],
    )  # fmt: skip
    graph["30"] = node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors")
    graph["31"] = node(
        "KSamplerAdvanced", **advanced, start_at_step=20, end_at_step=10000, model=["30", 0], positive=["6", 0],
        negative=["7", 0], latent_image=["3", 0],
    )  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["31", 0]
    found = read(graph)
    assert (found.settings["Seed"], found.settings["Refiner switch at"]) == ("7", "0.8")
    assert Made("refiner", "refiner.safetensors") in found.models
    assert "Denoising strength" not in found.settings


def test_texts_from_other_nodes_and_of_several_encoders() -> None:
    graph = simple()
    graph["40"] = node("StringConcatenate", string_a=["41", 0], string_b="in the rain", delimiter=", ")
    graph["41"] = node("PrimitiveString", value="a dog")
    graph["6"] = node("CLIPTextEncodeSDXL", text_g=["40", 0], text_l=["40", 0], width=1024, clip=["4", 1])
    graph["7"] = node("ConditioningZeroOut", conditioning=["6", 0])
    found = read(graph)
    assert (found.prompt, found.negative) == ("a dog, in the rain", "")
    graph["50"] = node("CLIPTextEncode", text="a boat", clip=["4", 1])
    graph["51"] = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["50", 0])
    graph["52"] = node("ControlNetApplyAdvanced", positive=["51", 0], negative=["7", 0], control_net=["53", 0])
    graph["53"] = node("ControlNetLoader", control_net_name="canny.safetensors")
    graph["3"]["inputs"] |= {"positive": ["52", 0], "negative": ["52", 1]}
    both = read(graph)
    assert (both.prompt, both.negative) == ("a dog, in the rain\na boat", "")
    assert Made("controlnet", "canny.safetensors") in both.models


def test_loaders_that_do_everything() -> None:
    graph = {
        "1": node(
            "Efficient Loader", ckpt_name="a.safetensors", vae_name="Baked VAE", lora_name="None", positive="a cat",
            negative="bad", empty_latent_width=512, empty_latent_height=640, clip_skip=-1,
        ),
        "2": node(
            "KSampler (Efficient)", seed=3, steps=9, cfg=5.0, sampler_name="uni_pc", scheduler="normal", denoise=1.0,
            model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3], optional_vae=["1", 4],
        ),
        "3": node("SaveImage", images=["2", 5]),
    }  # fmt: skip
    found = read(graph)
    assert (found.prompt, found.negative, found.size) == ("a cat", "bad", (512, 640))
    assert (found.sampler, found.settings["Steps"]) == ("UniPC", "9")
    assert list(found.models) == [Made("checkpoint", "a.safetensors")]


def test_a_stack_in_simple_mode_a_loader_with_its_own_lora_and_an_enlarger_at_the_end() -> None:
    loader = {"ckpt_name": "m.safetensors", "clip_skip": -2, "lora_name": "own.safetensors", "lora_stack": ["2", 0]}
    strengths = {"lora_model_strength": 0.7, "lora_clip_strength": 0.5}
    sampler = {"seed": 9, "steps": 22, "cfg": 5.5, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0}
    found = read_comfy({
        "1": node("Efficient Loader", positive="a fox", negative="ugly", **loader, **strengths),
        "2": node(
            "LoRA Stacker", input_mode="simple", lora_name_1="s.safetensors", lora_wt_1=0.6, model_str_1=1.0, clip_str_1=1.0
        ),
        "3": node(
            "KSampler (Efficient)", **sampler, model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3]
        ),
        "4": node("UpscaleModelLoader", model_name="4x.pth"),
        "5": node("ImageUpscaleWithModel", upscale_model=["4", 0], image=["3", 5]),
        "6": node("SaveImage", images=["5", 0]),
    })  # fmt: skip
    assert found is not None and found.settings["Clip skip"] == "2"
    assert [one for one in found.models if one.role == "lora"] == [
        Made("lora", "s.safetensors", weight=0.6), Made("lora", "own.safetensors", weight=0.7, text_weight=0.5)
    ]  # fmt: skip
    assert Made("upscaler", "4x.pth") in found.models
    assert found.notes[-1] == "The finished picture was enlarged; a preview is not."


def test_ways_that_begin_at_every_node_end() -> None:
    """Without a bound for all of them together, this graph takes many minutes."""
    links = [[f"r{(at + 1) % 4000}", 0] for at in range(4000)]
    ring = {f"r{at}": node("ControlNetApply", conditioning=one, control_net=one) for at, one in enumerate(links)}
    with at_most(30):
        assert read({**simple(), **ring, "6": ring["r0"]}).settings["Steps"] == "20"


def test_civitai_names_models_by_number() -> None:
    graph = simple()
    graph["4"]["inputs"]["ckpt_name"] = "urn:air:sdxl:checkpoint:civitai:101055@128078"
    found = read(
        graph, extra={"airs": ["urn:air:sdxl:checkpoint:civitai:101055@128078", "urn:air:sdxl:lora:civitai:1@2"]}
    )
    assert list(found.models) == [
        Made("checkpoint", None, model=101055, version=128078),
        Made("lora", None, model=1, version=2),
    ]


def test_another_picture_to_start_from_is_noted() -> None:
    graph = simple()
    graph["5"] = node("VAEEncode", pixels=["60", 0], vae=["4", 2])
    graph["60"] = node("LoadImage", image="in.png")
    graph["3"]["inputs"]["denoise"] = 0.6
    found = read(graph)
    assert found.settings["Denoising strength"] == "0.6" and found.size is None
    assert any("another one" in note for note in found.notes)


def test_what_is_no_graph() -> None:
    assert read_comfy({"a": 1}) is None
    assert read_comfy([1]) is None
    assert read_comfy(None) is None
    nothing = read({"1": node("LoadImage", image="a.png"), "2": node("SaveImage", images=["1", 0])})
    assert nothing.notes and not nothing.settings


def test_circles_and_giants_end() -> None:
    graph = simple()
    graph["4"] = node("ModelMergeSimple", model1=["4", 0], model2=["70", 0])
    graph["70"] = node("LoraLoader", model=["4", 0], clip=["70", 1])
    graph["6"] = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["7", 0])
    graph["5"] = node("X", latent=["5", 0], width=["5", 0])
    graph["8"]["inputs"]["vae"] = ["8", 0]
    assert read(graph).settings["Steps"] == "20"
    with at_most(5):
        many = {
            str(at): node("CLIPTextEncode", **{f"text_{n}": [str((at * 7 + n) % 4000), 0] for n in range(20)})
            for at in range(4000)
        }
        read(
            {**many, **{f"s{key}": value for key, value in simple().items()}, "k": node("SaveImage", images=["17", 0])}
        )
        chain = {
            str(at): node("Any", model=[str(at + 1), 0], image=[str(at + 1), 0], text=[str(at + 1), 0])
            for at in range(4900)
        }
        read({**chain, "s": node("SaveImage", images=["0", 0])})


links = st.tuples(st.sampled_from("12345"), st.integers(0, 3)).map(list)
NAMES = [
    "model", "clip", "positive", "negative", "latent_image", "samples", "images", "text", "sampler_name", "sampler", "guider",
    "sigmas", "noise", "conditioning", "vae", "steps", "width", "height", "lora_name", "lora_1", "ckpt_name", "seed", "cfg",
    "upscale_model", "upscale_method", "scale_by", "denoise", "pipe", "control_net", "start_at_step", "string_a", "value",
]  # fmt: skip
inputs = st.dictionaries(
    st.sampled_from(NAMES),
    links
    | st.none()
    | st.text(max_size=5)
    | st.integers()
    | st.floats()
    | st.dictionaries(st.text(max_size=3), st.integers()),
)
kinds = st.sampled_from(
    ["KSampler", "SaveImage", "CLIPTextEncode", "SamplerCustomAdvanced", "VAEDecode", "ConditioningZeroOut", "X"]
)
graphs = st.dictionaries(
    st.sampled_from("12345"), st.builds(lambda kind, told: node(kind, **told), kinds, inputs), min_size=1
)


@settings(deadline=None, max_examples=100)
@given(graphs)
def test_any_graph_is_read(graph: Graph) -> None:
    found = read(json.loads(json.dumps(graph)))
    assert found.software == "ComfyUI"
    assert all(isinstance(value, str) for value in found.settings.values())
