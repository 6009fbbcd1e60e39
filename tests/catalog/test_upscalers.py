"""The factor of an upscaler follows from its shapes, by the rule of its architecture."""

from __future__ import annotations

import pytest
from layouts_helper import of_shapes

from modelhub.catalog.identify import identify

Shapes = dict[str, tuple[int, ...]]


def chain(name: str, steps: int, width: int = 64) -> Shapes:
    """Convolutions that each feed a pixel shuffle of 2."""
    return {f"{name}.{2 * step}.weight": (4 * width, width, 3, 3) for step in range(steps)}


def decided(*names: str) -> Shapes:
    return dict.fromkeys(names, (64, 64, 3, 3))


IMAGE = {"conv_first.weight": (64, 3, 3, 3), "conv_last.weight": (3, 64, 3, 3)}
SWIN = "layers.0.residual_group.blocks.0."
CASES = {
    "hat": lambda x: {**IMAGE, **decided("layers.0.residual_group.overlap_attn.qkv.weight"), **chain("upsample", x)},
    "atd": lambda x: {**IMAGE, **decided("layers.0.residual_group.td"), **chain("upsample", x)},
    "drct": lambda x: {**IMAGE, **decided("layers.0.swin1.norm1.weight", "layers.0.adjust1.weight"), **chain("upsample", x)},
    "grl": lambda x: {**IMAGE, **decided("layers.0.blocks.0.attn.window_attn.attn_transform.logit_scale"), **chain("upsample", x)},
    "swinir": lambda x: {**IMAGE, **decided(SWIN + "norm1.weight", SWIN + "attn.relative_position_index"), **chain("upsample", x)},
    "rcan": lambda x: {**decided("tail.1.weight", "body.0.body.0.body.0.weight"), **chain("tail.0", x)},
    "esrgan-new": lambda x: {
        **IMAGE, **decided("body.0.rdb1.conv1.weight", "conv_body.weight"),
        **decided(*(f"conv_up{n + 1}.weight" for n in range(x))),
    },
    "esrgan-bsrgan": lambda x: {
        **IMAGE, **decided("RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight"),
        **decided(*(f"upconv{n + 1}.weight" for n in range(x))),
    },
    "safmn": lambda x: {**decided("feats.0.safm.mfr.0.weight"), "to_img.0.weight": (3 * 4**x, 36, 3, 3)},
    "fdat": lambda x: {**decided("groups.0.blocks.0.inter.cg.1.weight"), "upsampler.offset.weight": (8 * 4**x, 64, 1, 1)},
    "mosr": lambda x: {**decided("gblocks.1.fc1.weight"), "upsampler.0.weight": (3 * 4**x, 64, 3, 3)},
    "plksr": lambda x: {**decided("feats.0.weight", "feats.1.refine.weight"), "feats.30.weight": (3 * 4**x, 64, 3, 3)},
    "omnisr": lambda x: {
        **decided("residual_layer.0.residual_layer.0.layer.0.fn.0.weight"), "up.0.weight": (3 * 4**x, 64, 3, 3),
        "total_ops": (1,), "total_params": (1,),
    },
    "span": lambda x: {**decided("conv_1.sk.weight", "block_1.c1_r.sk.weight"), "upsampler.0.weight": (3 * 4**x, 48, 3, 3)},
}  # fmt: skip


@pytest.mark.parametrize("wanted", CASES)
@pytest.mark.parametrize("doublings", [1, 2, 3])
def test_the_factor(wanted, doublings):
    found = identify(of_shapes(CASES[wanted](doublings)))
    assert (found.kind, found.architecture, found.facts["scale"]) == ("upscaler", wanted, 2**doublings)


@pytest.mark.parametrize(("channels", "scale"), [(3, 4), (12, 2), (48, 1)])
def test_an_input_that_was_folded_into_channels_is_divided_out(channels, scale):
    shapes = {**CASES["esrgan-new"](2), "conv_first.weight": (64, channels, 3, 3)}
    assert identify(of_shapes(shapes)).facts["scale"] == scale


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        (decided("stylegan_decoder.style_mlp.1.weight"), "gfpgan"),
        (decided("quantize.embedding.weight", "encoder.blocks.0.weight"), "codeformer"),
    ],
)
def test_restorers_of_faces_do_not_enlarge(shapes, wanted):
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.facts["scale"], found.facts["restores"]) == (wanted, 1, "faces")


@pytest.mark.parametrize("wanted", CASES)
def test_absurd_shapes_give_no_factor_or_a_small_one(wanted):
    for shape in ((), (0,), (1, 0, 0, 0), (10**9, 1, 1, 1)):
        found = identify(of_shapes(dict.fromkeys(CASES[wanted](2), shape)))
        assert found.facts.get("scale", 1) in range(1, 65)
