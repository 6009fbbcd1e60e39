"""Graphs of ComfyUI with the nodes that people add: reroutes, switches, contexts, pipes, scripts, stacks, wildcards."""

from __future__ import annotations

from comfy_graphs import Graph, node, read, simple
from own_time import at_most

from modelhub.preview.pictures.comfy import graph as comfy
from modelhub.preview.pictures.comfy.models import models_before
from modelhub.preview.pictures.comfy.read import read_comfy
from modelhub.preview.pictures.generation import Generation, Made


def changed(graph: Graph, **inputs: object) -> Generation:
    """The graph with other inputs of its sampler, read."""
    graph["3"]["inputs"].update(inputs)
    return read(graph)


def test_a_sampler_whose_settings_come_from_other_nodes() -> None:
    graph = simple()
    graph["20"] = node("KSampler Config (rgthree)", steps_total=30, cfg=8, sampler_name="euler", scheduler="normal")
    graph["21"] = node("Seed (rgthree)", seed=777)
    graph["22"] = node("Reroute", **{"": ["20", 3]})
    found = changed(graph, sampler_name=["22", 0], scheduler=["20", 4], cfg=["20", 2], seed=["21", 0])
    assert (found.sampler, found.schedule) == ("Euler", "Normal")
    assert (found.settings["CFG scale"], found.settings["Seed"]) == ("8", "777")
    assert changed(graph, sampler_name=["none", 0], scheduler=["22", 0]).sampler is None


def test_a_context_is_no_sampler_and_hands_on_what_is_asked_for() -> None:
    graph = simple()
    lora = {"on": True, "lora": "x.safetensors", "strength": 0.85, "strengthTwo": 0.5}
    graph["20"] = node("Power Lora Loader (rgthree)", lora_1=lora, model=["4", 0], clip=["4", 1])
    graph["21"] = node(
        "Context Big (rgthree)", model=["20", 0], clip=["20", 1], positive=["6", 0], negative=["7", 0], latent=["5", 0],
        steps=15, cfg=6, sampler="euler_ancestral", scheduler="karras", seed=99,
    )  # fmt: skip
    graph["22"] = node("Context (rgthree)", base_ctx=["21", 0])
    links = {name: ["22", at] for at, name in enumerate(("model", "positive", "negative", "latent_image"), start=1)}
    settings = {name: ["22", 9] for name in ("steps", "cfg", "seed", "sampler_name", "scheduler")}
    found = changed(graph, **links, **settings)
    assert (found.prompt, found.negative, found.size) == ("a cat", "bad", (512, 768))
    assert (found.sampler, found.schedule) == ("Euler a", "Karras")
    assert [found.settings[key] for key in ("Steps", "CFG scale", "Seed")] == ["15", "6", "99"]
    assert found.models[-1] == Made("lora", "x.safetensors", weight=0.85, text_weight=0.5)
    assert "Hires steps" not in found.settings and not found.notes


def test_switches_hand_on_one_input() -> None:
    graph = simple()
    graph["20"] = node("Text Multiline", text="not this")
    graph["21"] = node("Text Multiline", text="this one")
    inputs = {"input1": ["20", 0], "input2": ["21", 0]}
    switches = (
        node("ImpactSwitch", select=2, **inputs),
        node("CR Text Input Switch", Input=2, text1=["20", 0], text2=["21", 0]),
        node("CR Text Input Switch", Input=2, text1="not this", text2="this one"),
        node("Switch any [Crystools]", boolean=False, on_true=["20", 0], on_false=["21", 0]),
        node("Any Switch (rgthree)", any_02=["21", 0], any_05=["20", 0]),
    )
    for switch in switches:
        graph["22"] = switch
        graph["6"]["inputs"]["text"] = ["22", 0]
        assert read(graph).prompt == "this one", switch
    graph["22"] = node("Some Switch", **inputs)
    assert read(graph).prompt == "not this this one", "nothing says which"


def test_switches_set_by_another_node() -> None:
    graph = simple()
    graph["20"] = node("Text Multiline", text="not this")
    graph["21"] = node("Text Multiline", text="this one")
    graph["22"] = node("CheckpointLoaderSimple", ckpt_name="other.safetensors")
    for name, value in (("boolean", False), ("boolean_number", 0.0)):
        setter = {"30": node("Logic Boolean", **{name: value})}
        texts = node("Text Input Switch", text_a=["20", 0], text_b=["21", 0], **{name: ["30", 0]})
        graph |= {**setter, "31": texts}
        graph["6"]["inputs"]["text"] = ["31", 0]
        assert read(graph).prompt == "this one"
        graph["32"] = node("Model Input Switch", model_a=["22", 0], model_b=["4", 0], **{name: ["30", 0]})
        assert [one.name for one in changed(graph, model=["32", 0]).models] == ["SD1\\v1-5.safetensors"]
    graph["31"] = node("Text Input Switch", text_a=["21", 0], text_b=["20", 0], boolean=True)
    assert read(graph).prompt == "this one"


def test_everything_behind_reroutes() -> None:
    graph = simple()
    parts = {
        "noise": node("RandomNoise", noise_seed=5), "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", scheduler="simple", steps=7, denoise=1.0, model=["4", 0]),
        "guider": node("CFGGuider", cfg=3, model=["4", 0], positive=["6", 0], negative=["7", 0]),
    }  # fmt: skip
    graph |= parts | {f"r {name}": node("Reroute", **{"": [name, 0]}) for name in parts}
    graph["3"] = node("SamplerCustomAdvanced", latent_image=["5", 0], **{name: [f"r {name}", 0] for name in parts})
    found = read(graph)
    assert (found.prompt, found.negative, found.sampler, found.schedule) == ("a cat", "bad", "Euler", "Simple")
    assert [found.settings[key] for key in ("Steps", "CFG scale", "Seed")] == ["7", "3", "5"]


def test_wildcards_are_told_filled_in_and_their_tags_are_loras() -> None:
    graph = simple()
    graph["20"] = node(
        "ImpactWildcardEncode", wildcard_text="{red|blue} __x__", populated_text="blue <lora:a:0.5>", model=["4", 0],
        clip=["4", 1],
    )  # fmt: skip
    found = changed(graph, model=["20", 0], positive=["20", 2])
    assert found.prompt == "blue <lora:a:0.5>"
    assert found.models[-1] == Made("lora", "a", weight=0.5)


def test_texts_are_joined_by_what_the_node_says() -> None:
    graph = simple()
    graph["20"] = node("CR Text Concatenate", text1="a", text2=["21", 0], separator=", ")
    graph["21"] = node("StringConcatenate", string_a="b", string_b="c", delimiter="/")
    graph["6"]["inputs"]["text"] = ["20", 0]
    assert read(graph).prompt == "a, b/c"


def test_a_text_that_nothing_tells_is_none_of_another_encoder() -> None:
    graph = simple()
    graph["20"] = node("Florence2Run", image=["21", 0])
    graph["21"] = node("VAEDecode", samples=["22", 0], vae=["4", 2])
    graph["22"] = node("KSampler", model=["4", 0], positive=["7", 0], latent_image=["5", 0], sampler_name="euler")
    graph["6"]["inputs"].update(text=["20", 2], clip=["23", 0])
    graph["23"] = node("Unknown Loader", anything=["7", 0])
    assert (read(graph).prompt, read(graph).negative) == ("", "bad")


def test_a_prompt_that_was_made_zero_hides_no_other() -> None:
    graph = simple()
    graph["20"] = node("ConditioningZeroOut", conditioning=["6", 0])
    graph["21"] = node("ConditioningCombine", conditioning_1=["20", 0], conditioning_2=["7", 0])
    assert changed(graph, negative=["21", 0]).negative == "bad"
    assert changed(graph, negative=["20", 0]).negative == ""


def test_a_size_that_was_chosen_from_a_list() -> None:
    graph = simple()
    graph["20"] = node("SDXL Empty Latent Size Picker+", resolution="896x1152 (0.78)", batch_size=1)
    assert changed(graph, latent_image=["20", 0]).size == (896, 1152)
    graph["5"] = node("EmptyLatentImage", width=["20", 1], height=["20", 2])
    assert changed(graph, latent_image=["5", 0]).size == (896, 1152)
    graph["20"] = node("Unknown Picker", name="square")
    found = read(graph)
    assert found.size is None and not found.notes, "a size that is not told is no other picture"


def test_what_overrides_a_size_from_a_list() -> None:
    graph = simple()
    picker = {"resolution": "896x1152 (0.78)", "width_override": 640, "height_override": 0}
    graph["20"] = node("SDXL Empty Latent Size Picker+", **picker)
    assert changed(graph, latent_image=["20", 0]).size == (640, 1152)
    graph["5"] = node("EmptyLatentImage", width=["20", 0], height=["20", 1])
    for ratio, size in (("3:4 portrait 896x1152", (1152, 896)), ("custom", (768, 512))):
        graph["20"] = node("CR SDXL Aspect Ratio", width=512, height=768, aspect_ratio=ratio, swap_dimensions="On")
        assert changed(graph, latent_image=["5", 0]).size == size
        graph["20"]["inputs"]["swap_dimensions"] = "Off"
        assert read(graph).size == size[::-1]


def test_a_picture_for_a_controlnet_is_none_to_start_from() -> None:
    graph = simple()
    graph["20"] = node("LoadImage", image="pose.png")
    graph["21"] = node("GetImageSize", image=["20", 0])
    graph["5"] = node("EmptyLatentImage", width=["21", 0], height=["21", 1])
    assert not read(graph).notes
    graph["22"] = node("Control Net Stacker", control_net=["23", 0], image=["20", 0], strength=1.0)
    graph["23"] = node("ControlNetLoader", control_net_name="x.pth")
    graph["5"] = node("Efficient Loader", empty_latent_width=512, empty_latent_height=768, cnet_stack=["22", 0])
    assert read(graph).size == (512, 768) and not read(graph).notes
    graph["24"] = node("VAEEncode", pixels=["20", 0], vae=["4", 2])
    graph["5"] = node("LatentUpscale", upscale_method="bilinear", width=768, height=768, samples=["24", 0])
    assert "another one" in read(graph).notes[0]


def test_a_script_that_adds_a_second_pass() -> None:
    graph = simple()
    told = {
        "upscale_type": "latent", "latent_upscaler": "nearest-exact", "pixel_upscaler": "4x.pth", "upscale_by": 1.5,
        "hires_steps": 12, "denoise": 0.56,
    }  # fmt: skip
    graph["20"] = node("HighRes-Fix Script", **told)
    found = changed(graph, script=["20", 0]).settings
    assert (found["Hires upscaler"], found["Hires upscale"]) == ("Latent (nearest-exact)", "1.5")
    assert (found["Hires steps"], found["Denoising strength"]) == ("12", "0.56")
    graph["20"] = node("HighRes-Fix Script", **{**told, "upscale_type": "pixel"})
    by_pixels = read(graph)
    assert by_pixels.settings["Hires upscaler"] == "4x.pth"
    assert Made("upscaler", "4x.pth") in by_pixels.models


def test_stacks_use_as_many_as_they_count() -> None:
    graph = simple()
    numbered = {f"lora_name_{at}": f"{at}.safetensors" for at in (1, 2, 3)}
    graph["20"] = node("LoRA Stacker", input_mode="simple", lora_count=2, lora_wt_1=0.5, lora_wt_2=0.6, **numbered)
    graph["21"] = node("CR Apply LoRA Stack", model=["4", 0], clip=["4", 1], lora_stack=["20", 0])
    found = changed(graph, model=["21", 0])
    assert [(one.role, one.name, one.weight) for one in found.models] == [
        ("checkpoint", "SD1\\v1-5.safetensors", None), ("lora", "1.safetensors", 0.5), ("lora", "2.safetensors", 0.6),
    ]  # fmt: skip


def test_loader_and_sampler_with_a_pipe_between_them() -> None:
    stack = {"toggle": True, "mode": "advanced", "num_loras": 1, "lora_1_name": "k.safetensors", "lora_2_name": "old"}
    strengths = {"lora_1_strength": 0.1, "lora_1_model_strength": 0.7, "lora_1_clip_strength": 0.4}
    found = read_comfy({
        "1": node(
            "easy fullLoader", ckpt_name="m.safetensors", clip_skip=-2, resolution="832 x 1216", empty_latent_width=512,
            empty_latent_height=512, positive="solo", negative="bad", optional_lora_stack=["2", 0],
        ),
        "2": node("easy loraStack", **stack, **strengths),
        "3": node("easy preSampling", steps=28, cfg=7, sampler_name="euler", scheduler="normal", seed=55, pipe=["1", 0]),
        "4": node("easy kSampler", image_output="Preview", pipe=["3", 0], model=["1", 1]),
        "5": node("SaveImage", images=["4", 1]),
    })  # fmt: skip
    assert found is not None
    assert (found.prompt, found.negative, found.size, found.sampler) == ("solo", "bad", (832, 1216), "Euler")
    assert (found.settings["Seed"], found.settings["Clip skip"]) == ("55", "2")
    assert list(found.models) == [
        Made("checkpoint", "m.safetensors"), Made("lora", "k.safetensors", weight=0.7, text_weight=0.4)
    ]  # fmt: skip


def test_models_of_a_merge_come_in_its_order() -> None:
    graph = simple()
    graph["20"] = node("CheckpointLoaderSimple", ckpt_name="second.safetensors")
    graph["21"] = node("ModelMergeSimple", ratio=0.3, model1=["4", 0], model2=["20", 0])
    found = changed(graph, model=["21", 0])
    assert [one.name for one in found.models] == ["SD1\\v1-5.safetensors", "second.safetensors"]
    assert found.notes == ("Its model was merged on the way (ModelMergeSimple).",)


def test_a_third_pass_is_told_against_the_first() -> None:
    graph = simple()
    for at, (before, scale) in enumerate((("3", 1.5), ("21", 2)), start=1):
        graph[f"{at}0"] = node("LatentUpscaleBy", upscale_method="bislerp", scale_by=scale, samples=[before, 0])
        graph[f"{at + 1}1"] = node(
            "KSampler", seed=at, steps=10 + at, cfg=8, sampler_name="euler", scheduler="karras", denoise=0.5, model=["4", 0],
            positive=["6", 0], negative=["7", 0], latent_image=[f"{at}0", 0],
        )  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["31", 0]
    found = read(graph)
    assert (found.settings["Hires upscale"], found.settings["Hires steps"]) == ("3", "12")
    assert "3 samplers" in found.notes[0]


def test_a_third_pass_has_one_size() -> None:
    by, to = {"scale_by": 2}, {"width": 768, "height": 1152}
    cases = ((to, by, {"Hires resize": "1536x2304"}), (by, to, {"Hires resize": "768x1152"}))
    for first, second, told in cases:
        graph = simple()
        graph["10"] = node("LatentUpscale", upscale_method="bilinear", samples=["3", 0], **first)
        graph["21"] = {**graph["3"], "inputs": {**graph["3"]["inputs"], "latent_image": ["10", 0]}}
        graph["20"] = node("LatentUpscale", upscale_method="bilinear", samples=["21", 0], **second)
        graph["31"] = {**graph["3"], "inputs": {**graph["3"]["inputs"], "latent_image": ["20", 0]}}
        graph["8"]["inputs"]["samples"] = ["31", 0]
        settings = read(graph).settings
        assert {key: settings[key] for key in ("Hires resize", "Hires upscale") if key in settings} == told


def test_a_refiner_that_civitai_numbers() -> None:
    graph = simple()
    graph["4"]["inputs"]["ckpt_name"] = "urn:air:sdxl:checkpoint:civitai:1@2"
    graph["20"] = node("CheckpointLoaderSimple", ckpt_name="urn:air:sdxl:checkpoint:civitai:3@4")
    both = {**graph["3"]["inputs"], "steps": 20}
    graph["3"] = node("KSamplerAdvanced", **{**both, "start_at_step": 0, "end_at_step": 15})
    refining = {"start_at_step": 15, "end_at_step": 10000, "latent_image": ["3", 0], "model": ["20", 0]}
    graph["21"] = node("KSamplerAdvanced", **{**both, **refining})
    graph["8"]["inputs"]["samples"] = ["21", 0]
    found = read(graph)
    assert found.settings["Refiner switch at"] == "0.75" and "Refiner" not in found.settings
    assert found.models[-1] == Made("refiner", model=3, version=4)


def test_a_picture_that_was_only_enlarged_tells_by_what() -> None:
    found = read({
        "1": node("LoadImage", image="a.png"),
        "2": node("UpscaleModelLoader", model_name="4x.pth"),
        "3": node("ImageUpscaleWithModel", upscale_model=["2", 0], image=["1", 0]),
        "4": node("SaveImage", images=["3", 0]),
    })  # fmt: skip
    assert list(found.models) == [Made("upscaler", "4x.pth")] and not found.is_empty


def test_strengths_that_civitai_tells_apart() -> None:
    extra = {"airs": ["urn:air:sdxl:lora:civitai:1@2"]}
    told = {"resources": [{"modelVersionId": 2, "strength": 0.7}, {"modelVersionId": 9, "strength": 1}]}
    found = read(simple(), extra=extra, extraMetadata=told)
    assert list(found.models[1:]) == [
        Made("lora", weight=0.7, model=1, version=2),
        Made("other", weight=1.0, version=9),
    ]
    loader = {"1": node("CheckpointLoaderSimple", ckpt_name="urn:air:sdxl:checkpoint:civitai:3@4")}
    without = read(loader, extra=extra, extraMetadata=told)
    assert [(one.role, one.version) for one in without.models] == [("checkpoint", 4), ("lora", 2), ("other", 9)]


def test_values_in_a_wrapping() -> None:
    assert changed(simple(), seed={"__value__": 7}).settings["Seed"] == "7"


def test_models_of_hostile_graphs_are_bounded() -> None:
    stacks = {
        f"x{at}": node(
            "LoRA Stacker", lora_stack=[f"x{at + 1}", 0], **{f"lora_name_{of}": f"{at} {of}" for of in range(99)}
        )
        for at in range(20)
    }  # fmt: skip
    assert len(changed({**stacks, **simple()}, model=["x0", 0]).models) == 500
    assert len(read(stacks).models) == 500, "without a sampler"
    graph = comfy.Graph.read(stacks)
    assert graph is not None and len(list(models_before(graph, comfy.Link("x0", 0)))) == 500


def chain(count: int) -> Graph:
    """Reroutes one behind another, with names that lead on."""
    return {f"r{at}": node("Reroute", a=[f"r{at + 1}", 0]) for at in range(count)} | {f"r{count}": node("X")}


def stack(before: list[object]) -> dict[str, object]:
    """30 LoRAs under four names each, every strength of which comes from a chain of nodes."""
    inputs: dict[str, object] = {"model": before}
    names = ("model_str", "model_weight", "strength", "clip_str", "clip_weight", "strength_clip")
    for at in range(1, 31):
        inputs |= dict.fromkeys((f"lora_name_{at}", f"lora_name{at}", f"lora_{at}", f"lora_{at}_name"), str(at))
        inputs |= {f"{name}_{at}": ["r0", 0] for name in names}
    return node("Stack", **inputs)


def test_time_of_hostile_graphs_is_bounded() -> None:
    many = {f"z{at}": node("Y", **{f"a{of}": ["r0", 0] for of in range(500)}) for at in range(200)}
    texts = {f"t{at}": node("Any", **{f"x{of}": [f"t{at + 1}", 0] for of in range(400)}) for at in range(64)}
    told = {f"m{at}": node("Any", model=[f"m{at + 1}", 0], text=["t0", 0]) for at in range(2000)}
    list_of = [0] * 300_000
    latents = {f"e{at}": node("E", width=["h", 0], samples=[f"e{at + 1}", 0]) for at in range(300)}
    stacks = {f"l{at}": stack([f"l{at + 1}", 0]) for at in range(9)}
    walked = {f"r{at}": {**one, "class_type": "C"} for at, one in enumerate(chain(64).values())}
    for added, inputs in (
        ({**many, **chain(70)}, {}),
        ({**texts, **told}, {"model": ["m0", 0]}),
        ({**latents, "h": node("H", size=list_of)}, {"latent_image": ["e0", 0]}),
        ({**stacks, **walked}, {"model": ["l0", 0]}),
    ):
        with at_most(8):
            changed({**added, **simple()}, **inputs)
