"""Models of a known structure with other widths, and the structures that must not be mistaken for each other."""

from __future__ import annotations

import pytest
from layouts_helper import DENOISER, denoiser_of_map, header, layout, narrow, of_shapes, only, reshaped

from modelhub.catalog.describe import describe
from modelhub.catalog.identify import identify


def test_tiny_shapes_is_sd1_by_structure_and_says_how_it_differs():
    found = identify(header(layout("tiny-shapes-base")))
    assert (found.kind, found.architecture, found.confidence) == ("checkpoint", "sd1", "structure")
    assert any(one.rule == "structure of sd1 (ldm)" for one in found.evidence)
    widths = {one.tensor.removeprefix(DENOISER): one.found for one in found.evidence if one.rule == "widths differ"}
    assert widths["input_blocks.0.0.weight"] == "[64, 4, 3, 3], released models have [320, _, 3, 3]"
    facts = found.facts
    assert (facts["in_channels"], facts["context"], facts["model_channels"], facts["heads"]) == (4, 64, 64, 8)
    assert "non-standard widths" in describe(found)


def test_a_tiny_lora_is_sd1_because_of_its_convolutional_proj_in():
    found = identify(header(layout("tiny-shapes-framed-lora")))
    assert (found.architecture, found.confidence, found.adapter["bases"]) == ("sd1", "structure", ["sd1"])
    linear = {name: entry for name, entry in layout("tiny-shapes-framed-lora").items() if "attn" in name}
    ambiguous = identify(header({name: entry for name, entry in linear.items() if "_proj_" not in name}))
    assert ambiguous.architecture is None
    assert {"sd1", "sd2"} <= set(ambiguous.adapter["bases"])


def test_a_tiny_embedding_is_an_embedding_of_no_known_width():
    found = identify(of_shapes({"emb_params": (1, 64)}))
    assert (found.kind, found.architecture, found.confidence) == ("embedding", None, "structure")
    assert (found.facts["vectors"], found.facts["width"]) == (1, 64)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("sd15", "sd1"), ("sd21", "sd2"), ("sdxl", "sdxl"), ("sd3-medium", "sd3"), ("flux-dev", "flux1")],
)
@pytest.mark.parametrize("divisor", [2, 5])
def test_narrow_models_keep_their_structure(name, architecture, divisor):
    found = identify(header(narrow(layout(name), divisor)))
    assert (found.architecture, found.confidence) == (architecture, "structure")
    assert any(one.rule == "widths differ" for one in found.evidence)


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_unets_by_full_signature_and_by_structure(architecture):
    shapes = denoiser_of_map(architecture)
    full = identify(of_shapes(shapes))
    small = identify(
        of_shapes({name: tuple(size // 3 if size > 9 else size for size in shape) for name, shape in shapes.items()})
    )
    assert (full.architecture, full.confidence) == (architecture, "header")
    assert (small.architecture, small.confidence) == (architecture, "structure")


@pytest.mark.parametrize(
    ("name", "channels", "variant"),
    [
        ("sd15", 9, "inpaint"), ("sd15", 8, "pix2pix"), ("sd21", 9, "inpaint"), ("sd21", 5, "depth"),
        ("sdxl", 9, "inpaint"), ("sdxl", 8, "pix2pix"),
    ],
)  # fmt: skip
def test_input_channels_decide_the_variant(name, channels, variant):
    wide = reshaped(layout(name), DENOISER + "input_blocks.0.0.weight", (320, channels, 3, 3))
    found = identify(header(wide))
    assert (found.architecture, found.variant) == (identify(header(layout(name))).architecture, variant)
    assert found.facts["in_channels"] == channels


@pytest.mark.parametrize(("channels", "variant"), [(384, "fill"), (128, "depth-or-canny"), (64, "dev")])
def test_flux_variants(channels, variant):
    found = identify(header(reshaped(layout("flux-dev"), "img_in.weight", (3072, channels))))
    assert (found.architecture, found.variant) == ("flux1", variant)


@pytest.mark.parametrize(("deepest", "variant"), [(3, "ssd-1b"), (1, "vega"), (9, None)])
def test_distilled_sdxl(deepest, variant):
    def kept(name: str) -> bool:
        _, mark, tail = name.partition("input_blocks.8.1.transformer_blocks.")
        return not mark or int(tail.partition(".")[0]) <= deepest

    found = identify(header({name: entry for name, entry in layout("sdxl").items() if kept(name)}))
    assert (found.architecture, found.variant) == ("sdxl", variant)


@pytest.mark.parametrize(
    ("marker", "shape", "prediction"),
    [("v_pred", (0,), "v"), ("edm_vpred.sigma_max", (), "edm-v")],
)
def test_marker_tensors_declare_the_prediction(marker, shape, prediction):
    found = identify(header({**layout("sdxl"), marker: ("F32", shape), "ztsnr": ("F32", (0,))}))
    assert found.prediction == prediction
    assert found.facts["zero_terminal_snr"] is True
    assert identify(header(layout("sdxl"))).prediction is None


def test_playground_is_an_sdxl_with_edm_scaling():
    found = identify(header({**layout("sdxl"), "edm_mean": ("F32", (4,)), "edm_std": ("F32", (4,))}))
    assert (found.architecture, found.variant, found.prediction) == ("sdxl", "playground-v2.5", "edm")


def test_a_controlnet_is_not_the_unet_that_it_copies():
    assert identify(header(layout("controlnet-sd15"))).kind == "controlnet"
    bare = {name.removeprefix("control_model."): entry for name, entry in layout("controlnet-sd15").items()}
    assert (identify(header(bare)).kind, identify(header(bare)).architecture) == ("controlnet", "sd1")
    assert identify(header(only(layout("controlnet-sd15"), "control_model.input_blocks."))).architecture != "sd1"
