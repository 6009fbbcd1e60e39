"""Every dialect of module names, at full size: all modules of an architecture are found, with the sizes that they have."""

from __future__ import annotations

from functools import cache

import pytest
from adapters_helper import DIALECTS
from layouts_helper import Layout, denoiser_of_map, header, layout, moved, only

from modelhub.catalog.adapter_names import place_new, split_new
from modelhub.catalog.identify import identify
from modelhub.catalog.keymaps import Target, keymap
from modelhub.lora.layers import Layer, Layers

WHOLE = {"sd1": "sd15", "sd2": "sd21", "sdxl": "sdxl"}
DENOISER = "model.diffusion_model."
HIDDEN = 3072


def _clip_g(prefix: str) -> Layout:
    return moved(only(layout("sdxl"), "conditioner.embedders.1."), "conditioner.embedders.1.model.", prefix)


def _refiner() -> Layout:
    unet: Layout = {name: ("F16", shape) for name, shape in denoiser_of_map("sdxl-refiner").items()}
    return {**unet, **_clip_g("conditioner.embedders.0.model.")}


def _with_encoders(denoiser: Layout, architecture: str) -> Layout:
    """A checkpoint of ComfyUI: the denoiser, and text encoders with the names of transformers."""
    targets = [one for one in keymap(architecture).values() if one.component != "denoiser"]
    encoders: Layout = {one.tensor: ("F16", (one.out_size, one.in_size)) for one in targets}
    for name in ("clip_l", "clip_g"):
        width = encoders.get(f"text_encoders.{name}.transformer.text_model.encoder.layers.0.mlp.fc1.weight")
        if width is not None:
            start = f"text_encoders.{name}.transformer.text_model.embeddings."
            encoders[start + "token_embedding.weight"] = ("F16", (49408, width[1][1]))
            encoders[start + "position_embedding.weight"] = ("F16", (77, width[1][1]))
    encoders["text_encoders.t5xxl.transformer.shared.weight"] = ("F16", (32128, 4096))
    return {**denoiser, **encoders}


def _tensors(architecture: str) -> Layout:
    if architecture in WHOLE:
        return layout(WHOLE[architecture])
    if architecture == "sdxl-refiner":
        return _refiner()
    denoiser = layout("sd3-medium") if architecture == "sd3" else moved(layout("flux-dev"), "", DENOISER)
    return _with_encoders(denoiser, architecture)


@cache
def layers(architecture: str) -> Layers:
    tensors = header(_tensors(architecture))
    identity = identify(tensors)
    assert (identity.kind, identity.architecture) == ("checkpoint", architecture)
    return Layers(tensors, identity)


def _dialects(architecture: str) -> list[str]:
    """A dialect of the names of a network's class is for networks of that class."""
    other = "diffusers U-Net" if architecture in ("flux1", "sd3") else "diffusers transformer"
    return [name for name in DIALECTS if name not in (other, "old PEFT" if "transformer" not in other else "")]


def _name(target: Target, dialect: str, architecture: str) -> str:
    """A module of the refiner's only text encoder is written as that of SD 1, or as the second of a pipeline."""
    name = DIALECTS[dialect][0](target)
    if architecture in ("sdxl-refiner", "sd2") and name.startswith("text_encoders.clip_l."):
        return name.replace("clip_l", "clip_g" if architecture == "sdxl-refiner" else "clip_h", 1)
    if architecture == "flux1" and target.component == "te2":  # T5, which ComfyUI calls by its name
        return name.replace("text_encoders.clip_g.", "text_encoders.t5xxl.", 1)
    return name


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "sdxl-refiner", "flux1", "sd3"])
def test_every_module_is_found_in_every_dialect(architecture: str) -> None:
    known = layers(architecture)
    targets = set(keymap(architecture).values())
    for dialect in _dialects(architecture):
        for target in targets:
            name = _name(target, dialect, architecture)
            layer = known.find(place_new(name))
            assert layer is not None, (dialect, name)
            assert layer.shape[:2] == (target.out_size, target.in_size), (dialect, name)
            assert len(layer.shape) == target.rank, (dialect, name)
            assert layer.tensor == target.tensor, (dialect, name)


def _rows(layer: Layer | None) -> list[tuple[str, int, int]]:
    assert layer is not None
    return [(one.tensor.removeprefix(DENOISER), one.start, one.count) for one in layer.stretches]


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "sdxl-refiner", "flux1", "sd3"])
def test_parts_are_the_rows_that_the_converter_of_diffusers_cuts(architecture: str) -> None:
    known = layers(architecture)
    parts = {one for one in keymap(architecture).values() if one.part is not None}
    for target in parts:
        assert target.part is not None
        layer = known.find(place_new(_name(target, "diffusers U-Net", architecture).replace("unet.", "lycoris_")))
        _, offset, length = target.part
        assert _rows(layer) == [(target.tensor.removeprefix(DENOISER), offset, length)]
    assert bool(parts) == (architecture not in ("sd1",))


def _module(tensor: str) -> str:
    found = split_new(tensor)
    assert found is not None and found[1].startswith("lora.")
    return found[0]


XLABS = {
    "double_blocks.3.processor.qkv_lora1": ("double_blocks.3.img_attn.qkv", 0, 3 * HIDDEN),
    "double_blocks.3.processor.qkv_lora2": ("double_blocks.3.txt_attn.qkv", 0, 3 * HIDDEN),
    "double_blocks.18.processor.proj_lora1": ("double_blocks.18.img_attn.proj", 0, HIDDEN),
    "double_blocks.18.processor.proj_lora2": ("double_blocks.18.txt_attn.proj", 0, HIDDEN),
    "single_blocks.37.processor.qkv_lora": ("single_blocks.37.linear1", 0, 3 * HIDDEN),
    "single_blocks.37.processor.proj_lora": ("single_blocks.37.linear2", 0, HIDDEN),
}
SPLIT = {
    "double_blocks.5.img_attn.qkv.0": ("double_blocks.5.img_attn.qkv", 0, HIDDEN),
    "double_blocks.5.img_attn.qkv.2": ("double_blocks.5.img_attn.qkv", 2 * HIDDEN, HIDDEN),
    "double_blocks.5.txt_attn.qkv.1": ("double_blocks.5.txt_attn.qkv", HIDDEN, HIDDEN),
    "single_blocks.9.linear1.0": ("single_blocks.9.linear1", 0, HIDDEN),
    "single_blocks.9.linear1.2": ("single_blocks.9.linear1", 2 * HIDDEN, HIDDEN),
    "single_blocks.9.linear1.3": ("single_blocks.9.linear1", 3 * HIDDEN, 4 * HIDDEN),
}


@pytest.mark.parametrize("name", XLABS)
def test_processors_of_xlabs(name: str) -> None:
    tensor, start, count = XLABS[name]
    found = layers("flux1").find(place_new(_module(f"{name}.down.weight")))
    assert _rows(found) == [(f"{tensor}.weight", start, count)]


@pytest.mark.parametrize("name", SPLIT)
def test_native_names_of_onetrainer_for_parts(name: str) -> None:
    tensor, start, count = SPLIT[name]
    found = layers("flux1").find(place_new(f"transformer.{name}"))
    assert _rows(found) == [(f"{tensor}.weight", start, count)]


@pytest.mark.parametrize("base", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("prefix", ["unet.", ""])
def test_processors_of_the_first_diffusers(base: str, prefix: str) -> None:
    known = layers(base)
    every = {one for one in keymap(base).values() if ".attn" in one.diffusers and one.component == "denoiser"}
    for target in every:
        module, _, projection = target.diffusers.removesuffix(".0").rpartition(".")
        layer = known.find(place_new(_module(f"{prefix}{module}.processor.{projection}_lora.up.weight")))
        assert layer is not None and layer.tensor == target.tensor
    assert every


@pytest.mark.parametrize("base", ["sd1", "sdxl"])
@pytest.mark.parametrize("spelled", ["q_proj.lora_linear_layer", "to_q_lora", "to_q.lora"])
def test_text_encoders_of_the_first_diffusers(base: str, spelled: str) -> None:
    name = _module(f"text_encoder.text_model.encoder.layers.4.self_attn.{spelled}.down.weight")
    layer = layers(base).find(place_new(name))
    assert layer is not None and layer.tensor.endswith("text_model.encoder.layers.4.self_attn.q_proj.weight")


def test_control_loras_have_bare_native_names() -> None:
    for name, shape in {"img_in": (HIDDEN, 64), "double_blocks.0.img_mod.lin": (6 * HIDDEN, HIDDEN)}.items():
        layer = layers("flux1").find(place_new(_module(f"{name}.lora_A.weight")))
        assert layer is not None and layer.shape == shape
    norm = layers("flux1").find(place_new("double_blocks.0.img_attn.norm.query_norm"))
    assert norm is not None and norm.shape == (128,)


@pytest.mark.parametrize(
    ("architecture", "name", "shape"),
    [
        ("sd1", "lora_unet_down_blocks_0_resnets_0_norm1", (320,)),
        ("sd1", "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_norm3", (320,)),
        ("sd1", "lora_unet_conv_norm_out", (320,)),
        ("sd1", "lora_te_text_model_final_layer_norm", (768,)),
        ("sdxl", "lora_unet_output_blocks_0_0_out_layers_0", (1280,)),
        ("sdxl", "lycoris_up_blocks_0_resnets_0_norm2", (1280,)),
        ("sdxl", "lora_te2_text_model_encoder_layers_31_layer_norm2", (1280,)),
        ("flux1", "transformer.single_transformer_blocks.0.attn.norm_q", (128,)),
        ("sd3", "lora_te3_encoder_block_23_layer_1_layer_norm", None),
    ],
)
def test_norms(architecture: str, name: str, shape: tuple[int, ...] | None) -> None:
    layer = layers(architecture).find(place_new(name))
    assert (layer and layer.shape) == shape  # key maps, of which text encoders of SD3 are made here, have no norms


def test_a_layer_that_is_not_there_is_none() -> None:
    names = ("down_blocks_9_resnets_0_conv1", "x", "")
    for name in (*(f"lora_unet_{name}" for name in names), "lora_te2_text_model_encoder_layers_32_mlp_fc1"):
        assert layers("sdxl").find(place_new(name)) is None
    assert layers("sdxl").present(place_new("lora_te3_encoder_block_0_layer_0_SelfAttention_q").components) == []
