"""Adapters: algorithms, dialects, and the vote for the base."""

from __future__ import annotations

import pytest
from layouts_helper import adapter, header, layout, of_shapes, only

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.identify import identify

KOHYA = {"down": ".lora_down.weight", "up": ".lora_up.weight"}
PEFT = {"down": ".lora_A.weight", "up": ".lora_B.weight"}
OLD = {"down": ".lora.down.weight", "up": ".lora.up.weight"}
MAPPED = ("sd1", "sd2", "sdxl", "sdxl-refiner", "flux1", "sd3")


@pytest.mark.parametrize("architecture", MAPPED)
@pytest.mark.parametrize(
    ("spell", "endings", "dialect"),
    [
        ("lora_unet_", KOHYA, "kohya"),
        ("lora_unet__", KOHYA, "kohya"),
        ("lora_transformer_", KOHYA, "onetrainer"),
        ("unet.", PEFT, "diffusers"),
        ("transformer.", PEFT, "diffusers"),
        ("unet.", OLD, "diffusers"),
        ("base_model.model.", PEFT, "peft"),
        ("", {"down": ".lora_A.default.weight", "up": ".lora_B.default.weight"}, "bare"),
    ],
)
def test_the_vote_finds_the_base_in_every_dialect(architecture, spell, endings, dialect):
    found = identify(of_shapes(adapter(architecture, "denoiser", spell, **endings)))
    assert (found.kind, found.architecture, found.confidence) == ("lora", architecture, "header")
    assert (found.adapter["dialect"], found.adapter["bases"]) == (dialect, [architecture])
    assert found.adapter["components"]["text_encoder"] == 0


def test_what_is_told_of_an_adapter():
    told = identify(header(layout("lora-sdxl-kohya"))).adapter
    assert told == {
        "algorithm": ["lora"], "rank": {"16": 986}, "modules": 986, "alpha": True, "conv": False, "dora": False,
        "dialect": "kohya", "bases": ["sdxl"], "components": {"unet": 722, "text_encoder": 264}, "incomplete": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count"), [("lora-sd15-kohya", 264), ("lora-flux-kohya", 304), ("lora-flux-diffusers", 266)]
)
def test_evidence_counts_modules(name, count):
    found = identify(header(layout(name)))
    assert any(one.found.startswith(f"{count} of {count} names") for one in found.evidence)


def test_attention_to_itself_fits_sd1_and_sd2():
    both = {name: entry for name, entry in layout("lora-sd15-kohya").items() if "_attn1_" in name and "unet" in name}
    found = identify(header(both))
    assert (found.kind, found.architecture, found.adapter["bases"]) == ("lora", None, ["sd1", "sd2"])
    assert found.confidence == "header"


def test_proj_in_tells_sd1_from_sd2_by_its_rank():
    parts = {
        name: entry for name, entry in layout("lora-sd15-kohya").items() if "_attn1_" in name or "_proj_in" in name
    }
    assert identify(header(only(parts, "lora_unet_"))).architecture == "sd1"


def test_an_sdxl_slider_in_one_block_is_sdxl():
    shapes = adapter("sdxl", "denoiser", "lora_unet_", **KOHYA)
    some = {name: shape for name, shape in shapes.items() if "down_blocks_1" in name and "attn1" in name}
    assert identify(of_shapes(some)).architecture == "sdxl"


def test_text_encoder_only():
    te2 = adapter("sdxl", "te2", "lora_te2_", **KOHYA)
    assert identify(of_shapes(te2)).adapter["bases"] == ["sd3", "sdxl"]
    te = identify(of_shapes(adapter("sd1", "te", "lora_te_", **KOHYA)))
    assert (te.architecture, te.adapter["components"]) == ("sd1", {"unet": 0, "text_encoder": 72})


def test_wrong_sizes_are_not_the_base():
    shapes = adapter("sdxl", "denoiser", "lora_unet_", **KOHYA)
    broken = {name: ((7, *shape[1:]) if name.endswith("up.weight") else shape) for name, shape in shapes.items()}
    assert identify(of_shapes(broken)).confidence == "structure"
    half = {name: shape for index, (name, shape) in enumerate(shapes.items()) if index % 2}
    mixed = {**half, **{f"lora_unet_strange_{index}.lora_up.weight": (7, 4) for index in range(400)}}
    found = identify(of_shapes(mixed))
    assert (found.kind, found.architecture, found.adapter["bases"]) == ("lora", None, [])


def test_a_few_unknown_modules_do_not_hide_the_base():
    shapes = {**adapter("sdxl", "denoiser", "lora_unet_", **KOHYA), "lora_unet_extra.lora_up.weight": (7, 4)}
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["incomplete"]) == ("sdxl", 1)


def test_unknown_names_are_a_lora_of_no_base():
    found = identify(of_shapes({"x.y.lora_A.weight": (4, 99), "x.y.lora_B.weight": (98, 4)}))
    assert (found.kind, found.architecture, found.adapter["rank"]) == ("lora", None, {"4": 1})


def test_old_processor_names():
    shapes = {}
    for name, shape in adapter("sd1", "denoiser", "unet.", down="_lora.down.weight", up="_lora.up.weight").items():
        if ".attn" in name:
            module, _, projection = name.partition("_lora")[0].removesuffix(".0").rpartition(".")
            shapes[f"{module}.processor.{projection}_lora{name.partition('_lora')[2]}"] = shape
    assert identify(of_shapes(shapes)).architecture == "sd1"


@pytest.mark.parametrize(
    ("shapes", "algorithm", "size"),
    [
        (
            {"m.hada_w1_a": (320, 4), "m.hada_w1_b": (4, 768), "m.hada_w2_a": (320, 4), "m.hada_w2_b": (4, 768)},
            "loha",
            (320, 768, 4),
        ),
        (
            {
                "m.hada_w1_a": (4, 320),
                "m.hada_w1_b": (4, 64),
                "m.hada_w2_a": (4, 320),
                "m.hada_w2_b": (4, 64),
                "m.hada_t1": (4, 4, 3, 3),
                "m.hada_t2": (4, 4, 3, 3),
            },
            "loha",
            (320, 64, 4),
        ),
        ({"m.lokr_w1": (8, 16), "m.lokr_w2": (40, 48)}, "lokr", (320, 768, None)),
        ({"m.lokr_w1": (8, 16), "m.lokr_w2_a": (40, 4), "m.lokr_w2_b": (4, 48)}, "lokr", (320, 768, 4)),
        ({"m.oft_blocks": (8, 40, 40)}, "oft", (320, None, 40)),
        ({"m.oft_blocks": (2, 8, 40, 40)}, "oft", (320, None, 40)),
        (
            {"m.a1.weight": (4, 768), "m.a2.weight": (768, 4), "m.b1.weight": (4, 768), "m.b2.weight": (320, 4)},
            "glora",
            (320, 768, 4),
        ),
        ({"m.diff": (320, 768)}, "diff", (320, 768, None)),
        ({"m.lora_down.weight": (4, 64, 3, 3), "m.lora_up.weight": (320, 4, 1, 1)}, "lora", (320, 64, 4)),
    ],
)
def test_sizes_by_algorithm(shapes, algorithm, size):
    (module,) = read_adapter(shapes).modules
    assert (module.algorithm, module.incomplete) == (algorithm, False)
    assert (module.size.out_size, module.size.in_size, module.size.rank) == size


def test_partners_are_needed():
    assert read_adapter({"blocks.a1.weight": (4, 8)}) is None
    assert read_adapter({"m.alpha": (), "m.dora_scale": (8, 1)}) is None
    assert read_adapter({"m.on_input": (), "m.weight": (8,)}).modules[0].algorithm == "ia3"
    assert read_adapter({"m.lora_up.weight": (8, 4)}).modules[0].incomplete
    assert read_adapter({"m.w_norm": (8,), "m.b_norm": (8,)}) is None


def test_dora_and_convolution_are_told():
    shapes = {"m.lora_down.weight": (4, 64, 3, 3), "m.lora_up.weight": (320, 4, 1, 1), "m.dora_scale": (320, 1, 1, 1)}
    told = identify(of_shapes(shapes)).adapter
    assert (told["dora"], told["conv"], told["alpha"]) == (True, True, False)


@pytest.mark.parametrize(
    ("module", "out_size", "in_size", "architecture"),
    [
        ("diffusion_model.layers.0.attention.qkv", 11520, 3840, "z-image"),
        ("diffusion_model.layers.0.attention.qkv", 6912, 2304, "lumina2"),
        ("transformer.transformer_blocks.59.attn.to_q", 3072, 3072, "qwen-image"),
        ("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 27648, 3072, "flux2"),
        ("diffusion_model.double_blocks.0.img_mlp.0", 18432, 3072, "flux2"),
        ("lora_unet_single_blocks_39_linear1", 21504, 3072, "hunyuan-video"),
        ("diffusion_model.blocks.0.self_attn.q", 1536, 1536, "wan"),
    ],
)
def test_families_without_a_map_are_known_by_width(module, out_size, in_size, architecture):
    found = identify(of_shapes({module + ".lora_A.weight": (8, in_size), module + ".lora_B.weight": (out_size, 8)}))
    assert (found.kind, found.architecture) == ("lora", architecture)


def test_xlabs_names_resolve_to_the_streams_of_flux():
    shapes = {}
    for block in range(19):
        for stream in (1, 2):
            name = f"double_blocks.{block}.processor.qkv_lora{stream}"
            shapes |= {name + ".down.weight": (16, 3072), name + ".up.weight": (9216, 16)}
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["modules"]) == ("flux1", 38)
