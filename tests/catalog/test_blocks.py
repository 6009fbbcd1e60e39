"""Blocks: every tensor of a real denoiser is in one, both layouts agree, and broken tables are said to be broken."""

from __future__ import annotations

from collections import Counter

import pytest
from diffusers_helper import shapes
from layouts_helper import DENOISER, layout

from modelhub.catalog.architectures import architectures
from modelhub.catalog.blocks import all_blocks, block_lists, block_names, block_of, block_range, read_blocks, tables
from modelhub.catalog.keymaps import keymap
from modelhub.catalog.networks import network
from modelhub.errors import CorruptFileError

REAL = [
    ("sd1", "sd15"),
    ("sd2", "sd21"),
    ("sdxl", "sdxl"),
    ("flux1", "flux-dev"),
    ("flux1", "flux-schnell"),
    ("sd3", "sd3-medium"),
]
TEXT = {"BASE", "CLIP", "T5"}


def denoiser(name: str) -> list[str]:
    names = list(layout(name))
    below = [one.removeprefix(DENOISER) for one in names if one.startswith(DENOISER)]
    return below or names


def counted(letters: str, count: int) -> list[str]:
    return [f"{letters}{n:02}" for n in range(count)]


def test_the_names_are_those_of_merge_tools():
    sd = ["BASE", *counted("IN", 12), "M00", *counted("OUT", 12)]
    assert list(block_names("sd1")) == list(block_names("sd2")) == list(block_names("sdxl-refiner")) == sd
    assert list(block_names("sdxl")) == ["BASE", *counted("IN", 9), "M00", *counted("OUT", 9)]
    flux = ["CLIP", "T5", "IN", *counted("D", 19), *counted("S", 38), "OUT"]
    assert list(block_names("flux1")) == list(block_names("chroma")) == flux
    assert [len(block_names(one)) for one in ("sd1", "sdxl", "flux1")] == [26, 20, 61]
    assert block_names("wan") == block_names(None) == ()
    assert {count: len(names) for count, names in block_lists().items()} == {26: 26, 20: 20, 61: 61}


@pytest.mark.parametrize(("architecture", "name"), REAL)
def test_every_tensor_of_a_real_denoiser_has_a_block_and_every_block_a_tensor(architecture, name):
    found = Counter(block_of(architecture, "unet", one) for one in denoiser(name))
    assert None not in found
    missing = set(block_names(architecture)) - set(found) - TEXT
    assert missing == ({f"J{n}" for n in range(24, 38)} if architecture == "sd3" else set())


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux1"])
def test_every_tensor_of_the_released_network_has_a_block(architecture):
    assert None not in {block_of(architecture, "unet", name) for name in network(architecture)}


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux1"])
def test_both_layouts_agree_on_all_modules_of_the_key_map(architecture):
    modules = [one for one in set(keymap(architecture).values()) if one.component == "denoiser" and one.diffusers]
    assert len(modules) > 200
    for one in modules:
        own = block_of(architecture, "unet", one.tensor.removeprefix(DENOISER))
        assert own == block_of(architecture, "unet", one.diffusers + ".weight") is not None, one


SD = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8}
XL = {
    "block_out_channels": (320, 640, 1280), "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), "cross_attention_dim": 2048,
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
FLUX = {"num_layers": 19, "num_single_layers": 38, "guidance_embeds": True}


@pytest.mark.parametrize(
    ("architecture", "cls", "config", "name"),
    [("sd1", "UNet2DConditionModel", SD, "sd15"), ("sdxl", "UNet2DConditionModel", XL, "sdxl"), ("flux1", "FluxTransformer2DModel", FLUX, "flux-dev")],
)  # fmt: skip
def test_each_block_has_as_many_weights_in_diffusers(architecture, cls, config, name):
    """Numbers of weights, as Flux has other tensors there: a block must hold the same parameters in both layouts."""
    here, there = Counter(), Counter()
    original = {one.removeprefix(DENOISER): entry[1] for one, entry in layout(name).items()}
    for counter, tensors in ((here, {one: original[one] for one in denoiser(name)}), (there, shapes(cls, config))):
        for one, shape in tensors.items():
            size = 1
            for length in shape:
                size *= length
            counter[block_of(architecture, "unet", one)] += size
    assert here == there


REFINER = {
    **XL, "block_out_channels": (384, 768, 1536, 1536), "transformer_layers_per_block": 4, "attention_head_dim": (6, 12, 24, 24),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"), "cross_attention_dim": 1280,
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "projection_class_embeddings_input_dim": 2560,
}  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "cls", "config"),
    [
        ("chroma", "ChromaTransformer2DModel", {}),
        ("sd3", "SD3Transformer2DModel", {"num_layers": 38, "dual_attention_layers": (0, 1, 2), "qk_norm": "rms_norm"}),
        ("sdxl-refiner", "UNet2DConditionModel", REFINER),
    ],
)
def test_every_tensor_of_diffusers_has_a_block_and_every_block_a_tensor(architecture, cls, config):
    found = {block_of(architecture, "unet", name) for name in shapes(cls, config)}
    assert None not in found
    assert set(block_names(architecture)) - found <= TEXT


@pytest.mark.parametrize(
    ("architecture", "component", "name", "block"),
    [
        ("sd1", "unet", "time_embed.0.weight", "IN00"),
        ("sd1", "unet", "out.2.bias", "OUT11"),
        ("sdxl", "unet", "label_emb.0.0.weight", "IN00"),
        ("sdxl", "unet", "add_embedding.linear_1.weight", "IN00"),
        ("sdxl", "unet", "conv_norm_out.weight", "OUT08"),
        ("sd1", "unet", "down_blocks.2.downsamplers.0.conv.weight", "IN09"),
        ("sd1", "unet", "up_blocks.1.upsamplers.0.conv.weight", "OUT05"),
        ("sd1", "te1", "transformer.text_model.final_layer_norm.weight", "BASE"),
        ("sdxl", "te2", "model.ln_final.weight", "BASE"),
        ("flux1", "te1", "text_model.final_layer_norm.weight", "CLIP"),
        ("flux1", "t5", "encoder.final_layer_norm.weight", "T5"),
        ("flux1", "unet", "guidance_in.in_layer.weight", "IN"),
        ("chroma", "unet", "distilled_guidance_layer.in_proj.weight", "IN"),
        ("sd3", "unet", "pos_embed", "IN"),
        ("sd1", "vae", "decoder.conv_in.weight", None),
        ("sdxl", "vae", "conv_in.weight", None),
        ("sd1", "", "conv_in.weight", None),
        ("sd1", "unet", "input_blocks.12.0.weight", None),
        ("sdxl", "unet", "down_blocks.0.resnets.2.conv1.weight", None),
        ("sd1", "unet", "outer.weight", None),
        ("sd1", "unet", "input_blocks.01.0.weight", None),
        ("wan", "unet", "blocks.0.weight", None),
        (None, "unet", "input_blocks.0.0.weight", None),
    ],
)  # fmt: skip
def test_single_tensors(architecture, component, name, block):
    assert block_of(architecture, component, name) == block


def test_ranges():
    assert block_range("IN03", "IN06") == ("IN03", "IN04", "IN05", "IN06")
    assert block_range("IN11", "OUT01") == ("IN11", "M00", "OUT00", "OUT01")
    assert block_range("D17", "S01") == ("D17", "D18", "S00", "S01")
    assert block_range("OUT01", "IN11") == block_range("D00", "IN03") == block_range("X", "Y") == ()


def test_every_table_is_of_a_known_architecture_and_no_row_hides_another():
    assert set(tables()) <= {one.id for one in architectures()}
    for blocks in tables().values():
        assert len(set(blocks.names)) == len(blocks.names)
        places = list(blocks.places)
        assert not [(a, b) for a in places for b in places if a != b and b.startswith(a) and a.endswith(".")]
        assert set(blocks.places.values()) | set(blocks.components.values()) == set(blocks.names)
    assert len(all_blocks()) == len(set(all_blocks()))


@pytest.mark.parametrize(
    "text",
    [
        "names = ", "", 'architectures = ["x"]\nnames = ["A"]\n[components]\n[unet]\n"a." = "B"', 'names = 3\n[unet]',
        'architectures = ["x"]\nnames = ["A00"]\n[components]\n[unet]\n"a.{n<2}." = "A{n}"',
        'architectures = ["x"]\nnames = ["A00"]\n[components]\n[unet]\n"a.{n<1}." = "A{m}"',
    ],
)  # fmt: skip
def test_a_broken_table_is_named(tmp_path, text):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(CorruptFileError) as caught:
        read_blocks(path)
    assert str(path) in caught.value.message
