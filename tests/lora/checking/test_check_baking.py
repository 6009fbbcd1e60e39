"""A check and baking agree: what is compatible is baked whole, what is incompatible is refused."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest
from adapters_helper import parts
from check_helper import DENOISER, check, having, ids, layers_of, released, whole
from layouts_helper import header, layout, of_shapes, only, reshaped

from modelhub.catalog.weighing.words import read_weight
from modelhub.errors import IncompatibleError
from modelhub.formats.header import Header
from modelhub.lora.baking import remarks
from modelhub.lora.baking.stack import Applied, Stack
from modelhub.lora.network import Network

SD15, SDXL, FLUX = "lora-sd15-kohya", "lora-sdxl-kohya", "lora-flux-diffusers"


def _of(algorithm: str, model: str) -> Header:
    """An adapter of this algorithm for some layers of a model."""
    layers, shapes = layers_of(whole(model)), {}
    for label, flat in sorted(layers.every())[::17]:
        shape = layers.native(label, flat).shape
        if label == "unet" and len(shape) == 2:
            shapes |= {f"lora_unet_{flat}{end}": size for end, size in parts(algorithm, *shape, ()).items()}
    return of_shapes(shapes)


LORAS = {
    **{name: whole(name) for name in (SD15, SDXL, FLUX, "lora-flux-kohya", "loha-sd15", "lokr-sdxl")},
    "sd15 attn1": having(SD15, "_attn1_"),
    "sd15 te": having(SD15, "^lora_te_"),
    "sdxl te1": having(SDXL, "^lora_te1_"),
    "sdxl te2": having(SDXL, "^lora_te2_"),
    "flux double": having("lora-flux-kohya", "double_blocks"),
    **{f"{one} {model}": _of(one, model) for one in ("oft", "ia3-in", "glora", "diff") for model in ("sd15", "sd3-medium")},
}  # fmt: skip
FILES = ("sd15", "sd21", "sdxl", "flux-dev", "flux-schnell", "sd3-medium", "clip-l")
RELEASED = ("sdxl-refiner", "kolors", "chroma", "flux2/klein-4b", "hunyuan-video/t2v", "qwen-image", "longcat-image")


@cache
def _models() -> dict[str, Header]:
    inpaint = header(reshaped(layout("sdxl"), DENOISER + "input_blocks.0.0.weight", (320, 9, 3, 3)))
    unet = header(only(layout("sd15"), DENOISER))
    return {
        **{name: whole(name) for name in FILES},
        **{name: released(name) for name in RELEASED},
        "9": inpaint,
        "u": unet,
    }


def _baked(lora: Header, model: Header, weight: str = "1") -> Stack | None:
    """What baking would do, None if it refuses; no weight is read."""
    network = Network(SimpleNamespace(header=lora, file_of=lambda name: None, info=lora.tensors.__getitem__), "style")
    try:
        stack = Stack(layers_of(model), model, [Applied(network, read_weight(weight))], None)
        remarks.check(stack)
    except IncompatibleError:
        return None
    return stack


@pytest.mark.parametrize("lora", LORAS)
def test_a_check_and_baking_agree(lora):
    for name, model in _models().items():
        verdict, stack = check(LORAS[lora], model).verdict, _baked(LORAS[lora], model)
        if verdict == "compatible":
            assert stack is not None and not stack.left, name
        if verdict == "incompatible":
            assert stack is None, name
        if verdict == "caution":
            assert stack is not None, name


def test_blocks_of_another_model_in_equal_sizes_are_refused_unless_a_part_is_asked_for():
    for model in (released("hunyuan-video/t2v"), released("qwen-image")):
        assert (check(whole(FLUX), model).verdict, _baked(whole(FLUX), model)) == ("incompatible", None)
    assert _baked(LORAS["sd15 te"], whole("sdxl")) is None
    stack = _baked(LORAS["sd15 te"], whole("sdxl"), "1,*layers.0.*=0")
    assert stack is not None and (stack.tallies[0].silent, stack.tallies[0].baked) == (6, 66)


def test_an_input_layer_of_fewer_channels_is_the_one_thing_that_baking_can_do_more_of():
    shapes = {"lora_unet_conv_in.lora_down.weight": (4, 4, 3, 3), "lora_unet_conv_in.lora_up.weight": (320, 4, 1, 1)}
    model = _models()["9"]
    answer = check(of_shapes({**whole(SDXL).shapes, **shapes}), model)
    assert (answer.verdict, "input-differs" in ids(answer), "sizes-differ" in ids(answer)) == (
        "incompatible",
        True,
        False,
    )
    assert "`modelhub lora bake` changes the first channels" in answer.headline
    assert _baked(of_shapes({**whole(SDXL).shapes, **shapes}), model) is not None
    fill = of_shapes({"lora_unet_img_in.lora_down.weight": (4, 64), "lora_unet_img_in.lora_up.weight": (3072, 4)})
    flux = check(of_shapes({**whole("lora-flux-kohya").shapes, **fill.shapes}), released("flux1/fill"))
    assert (flux.verdict, "lora bake" in flux.headline) == ("incompatible", False)
