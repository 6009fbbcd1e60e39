"""Every algorithm and every way to name modules, against real layouts: what fits does, and one size more does not."""

from __future__ import annotations

import pytest
from adapters_helper import DIALECTS, ENDINGS, FIXTURES, Shapes, parts, respelled
from check_helper import check, fit_of, whole
from layouts_helper import of_shapes

from modelhub.catalog.keymaps import Target, keymap
from modelhub.formats.header import Header

ALGORITHMS = [
    "lora", "dora", "dora-in", "dora-peft", "loha", "lokr", "lokr-full", "lokr-both", "ia3-out", "ia3-in",
    "oft", "oft-old", "boft", "oft-peft", "glora", "glora-new", "diff", "set",
]  # fmt: skip
CORES = ["lora-cp", "loha-cp", "lokr-tucker"]
LAYOUTS = {"sd1": "sd15", "sd2": "sd21", "sdxl": "sdxl", "flux1": "flux-dev", "sd3": "sd3-medium"}


def _targets(architecture: str, rank: int) -> list[Target]:
    found = dict.fromkeys(keymap(architecture).values())
    return [one for one in found if one.component == "denoiser" and one.diffusers and one.rank == rank]


def _adapter(algorithm: str, targets: list[Target], kernel: tuple[int, ...] = (), more: int = 0) -> Header:
    """Modules for layers, or for ones with `more` outputs and inputs."""
    shapes: Shapes = {}
    for one in targets:
        for ending, shape in parts(algorithm, one.out_size + more, one.in_size + more, kernel).items():
            shapes["lora_unet_" + one.diffusers.replace(".", "_") + ending] = shape
    return of_shapes(shapes)


def _is_square(one: Target) -> bool:
    return one.out_size == one.in_size


@pytest.mark.parametrize("architecture", ["sd1", "sdxl", "flux1", "sd3"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_on_matrices(algorithm, architecture):
    targets = _targets(architecture, 2)
    # in SD 3 and Flux the whole weight of a part of a fused tensor has the shape that its module knows
    wide = [one for one in targets if one.out_size % 8 == 0 and one.in_size % 8 == 0]
    met = fit_of(_adapter(algorithm, wide), whole(LAYOUTS[architecture]))
    assert met.counts == {"unet": {"ok": len(wide)}}, met.mismatches
    assert met.mismatches == ()
    wrong = fit_of(_adapter(algorithm, wide, more=8), whole(LAYOUTS[architecture]))
    assert wrong.counts == {"unet": {"dim-mismatch": len(wide)}}


@pytest.mark.parametrize(
    "algorithm",
    [
        "lora",
        "lora-cp",
        "dora",
        "dora-in",
        "loha",
        "loha-cp",
        "lokr",
        "lokr-full",
        "lokr-tucker",
        "glora",
        "glora-new",
        "oft",
        "diff",
        "set",
    ],
)
def test_algorithms_on_convolutions(algorithm):
    targets = [one for one in _targets("sd1", 4) if ".conv1" in one.diffusers or ".conv2" in one.diffusers]
    met = fit_of(_adapter(algorithm, targets, (3, 3)), whole("sd15"))
    assert met.counts == {"unet": {"ok": len(targets)}}, met.mismatches
    wrong = fit_of(_adapter(algorithm, targets, (3, 3), more=32), whole("sd15"))
    assert wrong.counts == {"unet": {"dim-mismatch": len(targets)}}


@pytest.mark.parametrize("algorithm", ["lora", "lora-cp", "loha-cp", "lokr-full", "lokr-tucker", "glora", "diff"])
def test_kernels_must_be_equal(algorithm):
    (one,) = [one for one in _targets("sd1", 4) if one.diffusers == "down_blocks.0.resnets.0.conv1"]
    met = fit_of(_adapter(algorithm, [one], (5, 5)), whole("sd15"))
    (wrong,) = met.mismatches
    assert wrong.state == "dim-mismatch"
    assert "5" in wrong.lora
    assert wrong.checkpoint.endswith("in_layers.2.weight [320, 320, 3, 3]")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_kernel_of_one_pixel_is_none(algorithm):
    """The projections of SD 1.x are convolutions of one pixel, those of SD 2.x and SDXL matrices."""
    square = [one for one in _targets("sd1", 4) if one.diffusers.endswith("proj_in") and _is_square(one)]
    flat = fit_of(_adapter(algorithm, square), whole("sd15"))
    exact = algorithm in ("diff", "set")
    assert flat.counts == {"unet": {"dim-mismatch" if exact else "ok": len(square)}}
    if algorithm in ("lora", "dora", "glora"):
        assert fit_of(_adapter(algorithm, square, (1, 1)), whole("sd15")).counts == {"unet": {"ok": len(square)}}
        same = [one for one in square if one.diffusers.startswith("down_blocks.0")]
        assert fit_of(_adapter(algorithm, same, (1, 1)), whole("sd21")).counts == {"unet": {"ok": len(same)}}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_dialects(fixture, dialect):
    architecture = FIXTURES[fixture]
    lora = of_shapes(respelled(fixture, dialect))
    answer = check(lora, whole(LAYOUTS[architecture]))
    assert answer.mismatches == ()
    assert {state for table in answer.counts.values() for state in table} == {"ok"}
    assert answer.verdict == "compatible"


@pytest.mark.parametrize("endings", ENDINGS)
def test_endings(endings):
    answer = check(of_shapes(respelled("lora-sd15-kohya", "diffusers U-Net", endings)), whole("sd15"))
    assert (answer.verdict, answer.vote["fit"]) == ("compatible", 264)


def test_xlabs_and_the_split_names_of_bfl():
    xlabs = {}
    for number in (1, 2):
        for part, (out_size, in_size) in {"qkv": (9216, 3072), "proj": (3072, 3072)}.items():
            name = f"double_blocks.0.processor.{part}_lora{number}"
            xlabs |= {f"{name}.down.weight": (16, in_size), f"{name}.up.weight": (out_size, 16)}
    xlabs |= {
        "single_blocks.3.processor.qkv_lora.down.weight": (16, 3072),
        "single_blocks.3.processor.qkv_lora.up.weight": (9216, 16),
    }
    assert fit_of(of_shapes(xlabs), whole("flux-dev")).counts == {"unet": {"ok": 5}}
    split = {f"transformer.double_blocks.0.img_attn.qkv.{part}{end}": shape
             for part in range(3) for end, shape in parts("lora", 3072, 3072).items()}  # fmt: skip
    split |= {f"transformer.single_blocks.0.linear1.{part}{end}": shape
              for part in range(4) for end, shape in parts("lora", 12288 if part == 3 else 3072, 3072).items()}  # fmt: skip
    assert fit_of(of_shapes(split), whole("flux-dev")).counts == {"unet": {"ok": 7}}


def test_old_keys_of_diffusers():
    where = "unet.down_blocks.0.attentions.0.transformer_blocks.0"
    shapes = {}
    for name, (out_size, in_size) in {
        "attn1.processor.to_q": (320, 320),
        "attn2.processor.to_k": (320, 768),
        "attn1.processor.to_out": (320, 320),
    }.items():
        shapes |= {f"{where}.{name}_lora.down.weight": (4, in_size), f"{where}.{name}_lora.up.weight": (out_size, 4)}
    encoder = "text_encoder.text_model.encoder.layers.0.self_attn.to_q.lora_linear_layer"
    shapes |= {f"{encoder}.down.weight": (4, 768), f"{encoder}.up.weight": (768, 4)}
    assert fit_of(of_shapes(shapes), whole("sd15")).counts == {"unet": {"ok": 3}, "te1": {"ok": 1}}


def test_differences_of_biases_and_norms():
    conv = "lora_unet_down_blocks_0_resnets_0_conv1"
    good = {f"{conv}.diff": (320, 320, 3, 3), f"{conv}.diff_b": (320,)}
    assert fit_of(of_shapes(good), whole("sd15")).counts == {"unet": {"ok": 1}}
    assert fit_of(of_shapes({**good, f"{conv}.diff_b": (321,)}), whole("sd15")).mismatches[0].lora == "bias 321"
    query = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    alone = {**parts_at(query, 320), f"{conv}.diff_b": (320,)}
    assert fit_of(of_shapes(alone), whole("sd15")).counts == {"unet": {"ok": 2}}
    nothing = {**parts_at(query, 320), f"{query.replace('to_q', 'to_k')}.diff_b": (320,)}
    assert fit_of(of_shapes(nothing), whole("sd15")).counts == {"unet": {"missing-module": 1, "ok": 1}}
    norm = "lora_unet_down_blocks_0_resnets_0_norm1"
    normed = {**good, f"{norm}.w_norm": (320,), f"{norm}.b_norm": (320,)}
    assert fit_of(of_shapes(normed), whole("sd15")).counts == {"unet": {"ok": 2}}
    wrong = fit_of(of_shapes({**good, f"{norm}.w_norm": (640,), f"{norm}.b_norm": (640,)}), whole("sd15"))
    assert wrong.mismatches[0].lora == "shape [640], bias 640"


def parts_at(module: str, size: int) -> Shapes:
    return {module + ending: shape for ending, shape in parts("lora", size, size).items()}


def test_the_norms_of_dora_have_the_length_of_an_axis():
    query = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    for norms, fits in (
        ((640, 1), True),
        ((1, 768), True),
        ((640,), True),
        ((1, 640), True),
        ((320, 1), False),
        ((1, 320), False),
    ):
        shapes = {query + ending: shape for ending, shape in parts("lora", 640, 768).items()}
        met = fit_of(of_shapes({**shapes, query + ".dora_scale": norms}), whole("sd15"))
        assert met.counts == {"unet": {"ok" if fits else "dim-mismatch": 1}}, norms
    assert met.mismatches[0].lora == "320 norms"


@pytest.mark.parametrize(
    "shapes",
    [
        {".lora_down.weight": (4, 320), ".lora_up.weight": (320, 8)},
        {".lora_down.weight": (0, 320), ".lora_up.weight": (320, 0)},
        {".lora_down.weight": (320,), ".lora_up.weight": (320, 4)},
        {".lora_down.weight": (4, 320), ".lora_up.weight": (320, 4, 3, 3)},
        {".lora_down.weight": (4, 320), ".lora_up.weight": (320, 4), ".lora_mid.weight": (4, 8, 3, 3)},
        {".hada_w1_a": (320, 4), ".hada_w1_b": (4, 320), ".hada_w2_a": (320, 4), ".hada_w2_b": (4, 640)},
        {".lokr_w1": (4,), ".lokr_w2": (80, 80)},
        {".oft_blocks": (80, 4, 3)},
        {".oft_R.weight": (80, 7)},
        {".a1.weight": (4, 320), ".a2.weight": (640, 4), ".b1.weight": (4, 320), ".b2.weight": (320, 4)},
        {".lora_up.weight": (320, 4)},
    ],
)
def test_parts_that_contradict_each_other(shapes):
    where = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    met = fit_of(of_shapes({where + ending: shape for ending, shape in shapes.items()}), whole("sd15"))
    assert met.counts == {"unet": {"incomplete": 1}}
    assert met.mismatches[0].say.startswith(where + ": ")


def test_parts_of_newer_files():
    where = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    for shapes, fits in (
        ({".boft_R": (2, 192, 4, 4), ".boft_s": (640, 1)}, True),
        ({".boft_R": (2, 192, 4, 4), ".boft_s": (641, 1)}, False),
        ({".ia3_l": (640, 1)}, True),
        ({".ia3_l": (1, 768)}, True),
        ({".ia3_l": (1, 640)}, False),
        ({".a1.weight": (768, 4), ".a2.weight": (4, 768), ".b1.weight": (640, 4), ".b2.weight": (4, 768)}, True),
        ({".a1.weight": (640, 4), ".a2.weight": (4, 640), ".b1.weight": (640, 4), ".b2.weight": (4, 640)}, False),
    ):
        met = fit_of(of_shapes({where + ending: shape for ending, shape in shapes.items()}), whole("sd15"))
        assert met.counts == {"unet": {"ok" if fits else "dim-mismatch": 1}}, shapes
