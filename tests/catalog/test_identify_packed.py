"""Packed weights: the format is named, the model is still known, and parameters are counted as if unpacked."""

from __future__ import annotations

import json

import pytest
from layouts_helper import DENOISER, Layout, header, layout, moved, of_shapes

from modelhub.catalog.identify import identify
from modelhub.formats.header import Header

PARAMETERS = 11_901_408_320
DEV = layout("flux-dev")


def matrices(tensors: Layout) -> set[str]:
    return {name for name, (_, shape) in tensors.items() if len(shape) == 2 and "blocks" in name}


def verdict(found):
    return found.kind, found.architecture, found.variant, found.confidence


FLUX = ("diffusion-model", "flux1", "dev", "header")


def bitsandbytes(kind: str) -> Layout:
    packed: Layout = {}
    for name, (_, shape) in DEV.items():
        packed[name] = ("BF16", shape)
        if name in matrices(DEV):
            elements = shape[0] * shape[1]
            packed[name] = ("U8", (elements // 2, 1))
            packed[f"{name}.quant_state.bitsandbytes__{kind}"] = ("U8", (200,))
            packed[f"{name}.absmax"] = ("U8", (elements // 64,))
            packed[f"{name}.nested_absmax"] = ("F32", (elements // 64 // 256 + 1,))
            packed[f"{name}.quant_map"] = ("F32", (16,))
            packed[f"{name}.nested_quant_map"] = ("F32", (256,))
    return packed


def scaled_fp8() -> Layout:
    packed = {name: ("F8_E4M3" if name in matrices(DEV) else "BF16", shape) for name, (_, shape) in DEV.items()}
    scales = {name.removesuffix("weight") + "scale_weight": ("F32", ()) for name in matrices(DEV)}
    return {**packed, **scales, "scaled_fp8": ("F8_E4M3", (2,))}


def nvfp4() -> Layout:
    packed: Layout = {}
    for name, (_, shape) in DEV.items():
        packed[name] = ("BF16", shape)
        if name in matrices(DEV) or name == "img_in.weight":
            packed[name] = ("U8", (shape[0], shape[1] // 2))
            packed[name + "_scale"] = ("F8_E4M3", (shape[0], shape[1] // 16))
            packed[name + "_scale_2"] = ("F32", ())
    return packed


def sdnq() -> Layout:
    packed = {name: ("I8" if name in matrices(DEV) else "BF16", shape) for name, (_, shape) in DEV.items()}
    rows = {name: DEV[name][1][0] for name in matrices(DEV)}
    return {**packed, **{name.removesuffix("weight") + "scale": ("BF16", (rows[name], 1)) for name in rows}}


@pytest.mark.parametrize(
    ("packed", "kind"),
    [
        (bitsandbytes("nf4"), "nf4"), (bitsandbytes("fp4"), "fp4"), (scaled_fp8(), "scaled-fp8"), (nvfp4(), "nvfp4"),
        (sdnq(), "sdnq"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["", DENOISER, "transformer."])
def test_packed_flux_is_still_flux(packed, kind, prefix):
    found = identify(header(moved(packed, "", prefix)))
    assert verdict(found) == FLUX
    assert kind in found.facts["quantisation"]
    assert found.facts["in_channels"] == 64
    assert found.parameters == PARAMETERS
    assert found.component("denoiser").parameters == found.parameters


def test_plain_fp8_is_counted_in_elements():
    found = identify(header({name: ("F8_E4M3", shape) for name, (_, shape) in DEV.items()}))
    assert verdict(found) == FLUX
    assert found.facts["quantisation"] == {"fp8": PARAMETERS}


def test_one_fp8_tensor_makes_no_fp8_model():
    assert "quantisation" not in identify(header({**DEV, "x": ("F8_E4M3", (4, 4))})).facts


def test_flux_by_nunchaku():
    tensors = {}
    for block in ("transformer_blocks.0.", "transformer_blocks.1."):
        for name, out in (("qkv_proj", 9216), ("qkv_proj_context", 9216), ("mlp_fc1", 12288)):
            tensors[f"{block}{name}.qweight"] = ("I8", (out, 1536))
            tensors[f"{block}{name}.wscales"] = ("BF16", (48, out))
            tensors[f"{block}{name}.smooth_factor"] = ("BF16", (3072,))
            tensors[f"{block}{name}.bias"] = ("BF16", (out,))
    tensors["single_transformer_blocks.0.qkv_proj.qweight"] = ("I8", (9216, 1536))
    tensors["single_transformer_blocks.0.qkv_proj.wscales"] = ("BF16", (48, 9216))
    tensors["time_text_embed.text_embedder.linear_1.weight"] = ("BF16", (3072, 768))
    tensors["time_text_embed.guidance_embedder.linear_1.weight"] = ("BF16", (3072, 256))
    tensors["x_embedder.weight"] = ("BF16", (3072, 64))
    found = identify(header(tensors))
    assert verdict(found) == FLUX
    assert (found.layout, found.adapter) == ("nunchaku", None)
    assert found.facts["quantisation"] == {"svdquant": 7}
    weights = 5 * 9216 * 3072 + 2 * 12288 * 3072
    rest = 2 * (9216 * 2 + 12288) + 3072 * (768 + 256 + 64)
    assert found.parameters == weights + rest


def test_comfy_declares_formats_by_layer():
    layers = {f"double_blocks.{index}.img_attn.qkv": {"format": "nvfp4"} for index in range(3)}
    layers["img_in"] = {"format": "float8_e4m3fn\n"}
    metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    facts = identify(header(nvfp4(), metadata)).facts["quantisation"]
    assert facts["nvfp4"] == 3
    assert any(kind.startswith("float8_e4m3fn") and kind.isprintable() for kind in facts)
    marked = {**DEV, "img_in.comfy_quant": ("U8", (20,))}
    assert identify(header(marked)).facts["quantisation"] == {"mixed": 1}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", '{"layers": []}', '{"layers": {"a": {"format": 3}}}', "null", "{"]
)
def test_hostile_declarations_change_nothing(text):
    found = identify(header(nvfp4(), {"_quantization_metadata": text}))
    assert verdict(found) == FLUX
    assert found.facts["quantisation"].keys() == {"nvfp4"}


def gguf(tensors: Layout, dtype: str) -> Header:
    packed = (
        (name, dtype if len(shape) == 2 and "blocks" in name else "F32", shape) for name, (_, shape) in tensors.items()
    )
    return Header.of(packed, {"general.architecture": "flux"})


@pytest.mark.parametrize("dtype", ["Q4_K", "Q8_0", "IQ4_XS"])
def test_blocks_of_gguf(dtype):
    found = identify(gguf(DEV, dtype), form="gguf")
    assert (*verdict(found), found.format) == (*FLUX, "gguf")
    assert found.facts["quantisation"] == {"gguf": dtype}
    assert found.parameters == PARAMETERS
    assert found.dtypes.keys() == {dtype, "F32"}
    assert not found.conflicts
    assert any(one.tensor == "general.architecture" for one in found.evidence)


def test_the_most_common_block_type_names_a_mixture():
    some = {name: entry for name, entry in DEV.items() if name.startswith("double")}
    mixed = Header.of(
        (name, ("F16" if len(shape) < 2 else "Q6_K" if "txt_mod" in name else "Q5_K"), shape)
        for name, (_, shape) in some.items()
    )
    assert identify(mixed, form="gguf").facts["quantisation"] == {"gguf": "Q5_K"}


def test_packed_matrices_of_absurd_shapes_get_an_answer():
    shapes = {
        "a.weight": (),
        "a.weight_scale": (),
        "a.weight_scale_2": (),
        "b.weight": (0, 2**60),
        "b.weight_scale_2": (),
    }
    tensors = {name: ("U8", shape) for name, shape in shapes.items()}
    assert identify(header(tensors)).kind == "unknown"
    assert identify(of_shapes({"scaled_fp8": (2,), "x.comfy_quant": (3,)})).kind == "unknown"
