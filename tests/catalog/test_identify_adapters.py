"""Adapters: algorithms, dialects, and the vote for the base."""

from __future__ import annotations

import json

import pytest
from layouts_helper import adapter, header, layout, of_shapes

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
        "algorithm": ["lora"], "algorithms": {"lora": 986}, "rank": {"16": 986}, "modules": 986,
        "alpha": True, "conv": False, "dora": False, "dora_axis": [],
        "dialect": "kohya", "bases": ["sdxl"], "also": [], "excluded": [],
        "components": {"unet": 722, "text_encoder": 264}, "parts": {"attention": 722, "te1": 72, "te2": 192},
        "incomplete": 0, "incomplete_modules": [], "embeddings": [], "input_channels": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count"), [("lora-sd15-kohya", 264), ("lora-flux-kohya", 304), ("lora-flux-diffusers", 266)]
)
def test_evidence_counts_modules(name, count):
    found = identify(header(layout(name)))
    assert any(one.found.startswith(f"{count} of {count} names") for one in found.evidence)


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


def test_what_goes_into_a_row_is_bounded_whatever_the_file_holds():
    long = "x" * 1_000_000
    many = {f"a{n}.lora_A.weight": (n + 1, 3) for n in range(5000)} | {
        f"a{n}.lora_B.weight": (3, n + 1) for n in range(5000)
    }
    for shapes in ({f"{long}.lora_A.weight": (4, 8), f"{long}.lora_B.weight": (8, 4)}, many):
        found = identify(of_shapes(shapes))
        assert found.kind == "lora"
        assert len(json.dumps(found.as_dict())) < 10_000
