"""The vote for the base: measured counts, what stays ambiguous, and families that no key map knows."""

from __future__ import annotations

import re

import pytest
from adapters_helper import respelled
from layouts_helper import adapter, header, layout, of_shapes, only

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.bases import tally
from modelhub.catalog.identify import identify

KOHYA = {"down": ".lora_down.weight", "up": ".lora_up.weight"}
PEFT = {"down": ".lora_A.weight", "up": ".lora_B.weight"}


def _having(fixture: str, *patterns: str) -> dict[str, tuple[int, ...]]:
    """The modules of the U-Net whose names have one of the patterns."""
    shapes = {name: shape for name, (_, shape) in only(layout(fixture), "lora_unet_").items()}
    return {name: shape for name, shape in shapes.items() if any(re.search(one, name) for one in patterns)}


def _shapes(fixture: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, (_, shape) in layout(fixture).items()}


def _sd2() -> dict[str, tuple[int, ...]]:
    """What the usual trainer makes for SD 2.x."""
    unet = adapter("sd2", "denoiser", "lora_unet_", **KOHYA)
    return {**unet, **adapter("sd2", "te", "lora_te_", **KOHYA)}


SD15, SDXL = "lora-sd15-kohya", "lora-sdxl-kohya"
NONE = (0, 0)
#: Adapter, then (names found, of them with equal sizes and ranks) in sd1, sd2, sdxl, sdxl-refiner, flux1, and the bases.
MEASURED = {
    "sd1": (lambda: _shapes(SD15), (264, 264), (264, 128), (96, 40), (204, 0), NONE, ["sd1"]),
    "sd2": (_sd2, (264, 128), (336, 336), (96, 50), (276, 0), NONE, ["sd2"]),
    "sdxl": (lambda: _shapes(SDXL), (96, 40), (96, 50), (986, 986), (236, 0), (72, 72), ["sdxl"]),
    "sdxl, diffusers names": (
        lambda: adapter("sdxl", "denoiser", "lora_unet_", **KOHYA),
        (96, 40), (96, 50), (722, 722), (236, 0), NONE, ["sdxl"],
    ),
    "sdxl, PEFT": (
        lambda: {
            name: shape
            for name, shape in adapter("sdxl", "denoiser", "unet.", **PEFT).items()
            if re.search(r"attn[12]\.to_", name)
        },
        (64, 30), (64, 30), (560, 560), (176, 0), NONE, ["sdxl"],
    ),
    "LoHa": (lambda: _shapes("loha-sd15"), (264, 264), None, None, None, NONE, ["sd1"]),
    "LoKr": (lambda: _shapes("lokr-sdxl"), None, None, (986, 986), None, (72, 72), ["sdxl"]),
    "flux, kohya": (lambda: _shapes("lora-flux-kohya"), NONE, NONE, NONE, NONE, (304, 304), ["flux1"]),
    "flux, diffusers": (lambda: _shapes("lora-flux-diffusers"), NONE, NONE, NONE, NONE, (266, 266), ["flux1"]),
    "sd1, attention to itself": (
        lambda: _having(SD15, "_attn1_"), (64, 64), (64, 64), (32, 20), (44, 0), NONE, ["sd1", "sd2"]
    ),
    "sd1, that and proj_in": (
        lambda: _having(SD15, "_attn1_", "_proj_in"), (80, 80), (80, 64), (40, 20), (55, 0), NONE, ["sd1"]
    ),
    "sdxl, one block": (
        lambda: {
            name: shape
            for name, shape in adapter("sdxl", "denoiser", "lora_unet_", **KOHYA).items()
            if re.search("down_blocks_1.*_attn1_", name)
        },
        (8, 8), (8, 8), (16, 16), (16, 0), NONE, ["sdxl"],
    ),
    "sdxl, CLIP-L alone": (
        lambda: {n: s for n, s in _shapes(SDXL).items() if n.startswith("lora_te1_")},
        NONE, NONE, (72, 72), NONE, (72, 72), ["flux1", "sd3", "sdxl"],
    ),
    "sdxl, CLIP-G alone": (
        lambda: {n: s for n, s in _shapes(SDXL).items() if n.startswith("lora_te2_")},
        NONE, NONE, (192, 192), NONE, NONE, ["sd3", "sdxl"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MEASURED)
def test_the_vote_counts_as_measured(case):
    make, *counts, bases = MEASURED[case]
    shapes = make()
    voters = [module for module in read_adapter(shapes).modules if module.kind.votes]
    for architecture, wanted in zip(("sd1", "sd2", "sdxl", "sdxl-refiner", "flux1"), counts, strict=True):
        found = tally(architecture, voters)
        assert wanted in (None, (found.found, found.equal)), architecture
    verdict = identify(of_shapes(shapes))
    assert (verdict.adapter["bases"], verdict.confidence) == (bases, "header")
    assert verdict.architecture == (bases[0] if len(bases) == 1 else None)


@pytest.mark.parametrize(
    ("deepest", "also"),
    [(9, []), (8, []), (3, ["ssd-1b"]), (1, ["vega", "ssd-1b"])],
)
@pytest.mark.parametrize("dialect", ["kohya, native names", "kohya, diffusers names"])
def test_smaller_models_of_the_shape_of_sdxl_are_mentioned(deepest, also, dialect):
    shapes = {
        name: shape
        for name, shape in respelled(SDXL, dialect).items()
        if name.startswith("lora_unet_") and int((re.findall(r"transformer_blocks_(\d+)", name) or "0")[0]) <= deepest
    }
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["also"]) == ("sdxl", also)
    assert any("maybe SSD-1B" in one.found for one in found.evidence) == ("ssd-1b" in also)


def test_kolors_is_mentioned_only_where_something_speaks_for_it():
    denoiser = {name: entry for name, entry in layout(SDXL).items() if name.startswith("lora_unet_")}
    silent = identify(header(denoiser), name="style.safetensors")
    assert (silent.architecture, silent.adapter["also"], silent.facts.get("name_hints")) == ("sdxl", [], None)
    named = identify(header(denoiser), name="kolors-style.safetensors")
    assert (named.architecture, named.facts["name_hints"]) == ("sdxl", ["kolors"])
    claimed = identify(header(denoiser, {"modelspec.architecture": "kolors/lora"}))
    assert (claimed.architecture, claimed.confidence) == ("kolors", "metadata")


def test_smaller_models_of_the_shape_of_flux_are_mentioned_only_for_their_blocks():
    def touched(*modules: str) -> list[str]:
        pairs = [(f"transformer.{module}.lora_{side}.weight", side) for module in modules for side in "AB"]
        found = identify(of_shapes({name: (8, 3072) if side == "A" else (3072, 8) for name, side in pairs}))
        assert found.architecture == "flux1"
        return [one for one in found.adapter["also"] if one != "chroma"]

    deep = "transformer_blocks.18.attn.to_q"
    assert touched("transformer_blocks.4.attn.to_q") == ["longcat-image", "ovis", "flux2"]
    assert touched("transformer_blocks.9.attn.to_q", "single_transformer_blocks.19.attn.to_q") == ["longcat-image"]
    assert touched("transformer_blocks.4.attn.to_q", deep) == touched("single_transformer_blocks.7.attn.to_q") == []


def test_chroma_is_mentioned_where_no_modulation_tells():
    assert identify(header(layout("lora-flux-kohya"))).adapter["also"] == []
    without = {name: entry for name, entry in layout("lora-flux-kohya").items() if "mod" not in name}
    assert identify(header(without)).adapter["also"] == ["chroma"]


@pytest.mark.parametrize(
    ("module", "out_size", "in_size", "bases"),
    [
        ("diffusion_model.layers.0.attention.qkv", 11520, 3840, ["z-image"]),
        ("transformer.layers.0.attention.to_out.0", 3840, 3840, ["z-image"]),
        ("diffusion_model.layers.7.feed_forward.w2", 3840, 10240, ["z-image"]),
        ("lora_unet__layers_3_feed_forward_w3", 10240, 3840, ["z-image"]),
        ("diffusion_model.layers.0.attention.qkv", 6912, 2304, ["lumina2"]),
        ("diffusion_model.layers.0.feed_forward.w1", 9216, 2304, ["lumina2"]),
        ("transformer.transformer_blocks.59.attn.to_q", 3072, 3072, ["qwen-image"]),
        ("transformer.transformer_blocks.0.img_mlp.net.0.proj", 12288, 3072, ["qwen-image"]),
        ("diffusion_model.transformer_blocks.5.img_mod.1", 18432, 3072, ["qwen-image"]),
        ("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 27648, 3072, ["flux2"]),
        ("transformer.transformer_blocks.0.ff.linear_in", 18432, 3072, ["flux2"]),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 6144, 6144, ["flux2"]),
        ("diffusion_model.double_blocks.0.img_mlp.0", 18432, 3072, ["flux2"]),
        ("diffusion_model.double_blocks.0.img_attn.qkv", 18432, 6144, ["flux2"]),
        ("diffusion_model.single_blocks.0.linear1", 36864, 4096, ["flux2"]),
        ("diffusion_model.txt_in", 3072, 7680, ["flux2"]),
        ("lora_unet_single_blocks_39_linear1", 21504, 3072, ["hunyuan-video"]),
        ("lora_unet_double_blocks_19_img_attn_qkv", 9216, 3072, ["hunyuan-video"]),
        ("lora_unet_txt_in_individual_token_refiner_blocks_0_self_attn_qkv", 9216, 3072, ["hunyuan-video"]),
        ("diffusion_model.blocks.0.self_attn.q", 1536, 1536, ["wan"]),
        ("diffusion_model.blocks.0.cross_attn.q", 5120, 5120, ["wan"]),
        ("diffusion_model.blocks.0.cross_attn.k_img", 5120, 5120, ["wan"]),
        ("diffusion_model.blocks.0.ffn.0", 14336, 3072, ["wan"]),
        ("transformer.blocks.0.attn1.to_q", 5120, 5120, ["wan"]),
        ("lora_unet__blocks_0_self_attn_q", 5120, 5120, ["wan"]),
        ("diffusion_model.blocks.0.mlp.layer1", 8192, 2048, ["anima", "cosmos-predict2"]),
        ("diffusion_model.blocks.0.mlp.layer1", 20480, 5120, ["cosmos-predict2"]),
        ("diffusion_model.llm_adapter.blocks.0.cross_attn.q_proj", 1024, 1024, ["anima"]),
        ("diffusion_model.joint_blocks.0.x_block.attn.qkv", 7296, 2432, ["sd3"]),
        ("diffusion_model.joint_blocks.0.x_block.attn2.qkv", 4608, 1536, ["sd3"]),
        ("transformer.transformer_blocks.0.attn.add_q_proj", 2432, 2432, ["sd3"]),
        ("diffusion_model.distilled_guidance_layer.layers.0.in_layer", 5120, 5120, ["chroma"]),
        ("unet.add_embedding.linear_1", 1280, 5632, ["kolors"]),
        ("diffusion_model.double_stream_blocks.0.block.attn1.to_q", 2560, 2560, ["hidream-i1"]),
        ("diffusion_model.layers.0.attention.qkv", 1536, 512, []),
        ("diffusion_model.blocks.0.self_attn.q_proj", 777, 777, []),
    ],
)  # fmt: skip
def test_families_without_a_map_are_known_by_names_and_widths(module, out_size, in_size, bases):
    found = identify(of_shapes({module + ".lora_A.weight": (8, in_size), module + ".lora_B.weight": (out_size, 8)}))
    assert (found.kind, found.adapter["bases"]) == ("lora", bases)
    assert found.architecture == (bases[0] if len(bases) == 1 else None)


def test_double_blocks_alone_are_told_apart_by_width():
    """Flux.1, Stable Diffusion 3 and Qwen-Image share these names in diffusers."""

    def attention(width: int, blocks: int) -> dict[str, tuple[int, ...]]:
        names = [f"transformer.transformer_blocks.{index}.attn.to_q" for index in range(blocks)]
        return {
            name + end: shape
            for name in names
            for end, shape in ((".lora_A.weight", (8, width)), (".lora_B.weight", (width, 8)))
        }

    for width, blocks, base in ((3072, 19, "flux1"), (3072, 60, "qwen-image"), (1536, 24, "sd3"), (2432, 38, "sd3")):
        assert identify(of_shapes(attention(width, blocks))).architecture == base


def _strange(count: int = 5) -> dict[str, tuple[int, ...]]:
    names = [f"diffusion_model.strange.{index}" for index in range(count)]
    return {
        name + end: shape for name in names for end, shape in ((".lora_A.weight", (8, 99)), (".lora_B.weight", (98, 8)))
    }


def test_what_metadata_alone_says_is_called_that():
    found = identify(of_shapes(_strange(), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}))
    assert (found.architecture, found.confidence, found.adapter["bases"]) == ("sdxl", "metadata", [])
    assert any("no tensor proves it" in one.rule for one in found.evidence)
    assert identify(of_shapes(_strange())).architecture is None


def test_metadata_cannot_say_what_the_modules_exclude():
    shapes = adapter("sdxl", "denoiser", "lora_unet_", **KOHYA)
    half = {name: shape for index, (name, shape) in enumerate(shapes.items()) if index % 20 < 4}
    mixed = {**half, **_strange(200)}
    for claim in ("sd_v1", "flux1"):
        found = identify(of_shapes(mixed, {"ss_base_model_version": claim}))
        assert (found.architecture, len(found.conflicts)) == (None, 1)
    agreed = identify(of_shapes(mixed, {"ss_base_model_version": "sdxl_base_v1-0"}))
    assert (agreed.architecture, agreed.confidence) == ("sdxl", "metadata")
