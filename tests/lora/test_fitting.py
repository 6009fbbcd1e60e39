"""The fate of one module: its layer, its state, and the component that a name without a prefix means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from layouts_helper import header, layout, of_shapes, only

from modelhub.catalog.adapter_names import place
from modelhub.catalog.adapters import Module, read_adapter
from modelhub.catalog.identify import identify
from modelhub.lora.fitting import APPLIED, fate, meant
from modelhub.lora.layers import Layers
from modelhub.lora.vocabulary import is_known, pattern

sys.path.append(str(Path(__file__).parent / "checking"))
from check_helper import layers_of, whole


def one(name: str, out_size: int, in_size: int) -> Module:
    shapes = {f"{name}.lora_down.weight": (4, in_size), f"{name}.lora_up.weight": (out_size, 4)}
    adapter = read_adapter(shapes)
    assert adapter is not None
    return adapter.modules[0]


BARE = "text_model.encoder.layers.3.self_attn.q_proj"


@pytest.mark.parametrize(
    ("size", "label", "state"), [(768, "te1", "ok"), (1280, "te2", "ok"), (1024, "te1", "dim-mismatch")]
)
@pytest.mark.parametrize("prefix", ["", "lycoris_", "base_model.model."])
def test_a_name_of_two_encoders_is_that_of_the_one_whose_sizes_fit(prefix, size, label, state):
    name = prefix + (BARE.replace(".", "_") if prefix.endswith("_") else BARE)
    found = fate(one(name, size, size), layers_of(whole("sdxl")))
    assert (found.layer.label, found.state) == (label, state)


def test_a_layer_is_given_with_the_rows_that_are_changed():
    layers = layers_of(whole("flux-dev"))
    found = fate(one("transformer.single_transformer_blocks.0.attn.to_k", 3072, 3072), layers)
    (rows,) = found.layer.stretches
    assert (found.state, found.layer.tensor, rows.start, rows.count) == (
        "ok",
        "single_blocks.0.linear1.weight",
        3072,
        3072,
    )
    wrong = fate(one("transformer.single_transformer_blocks.0.attn.to_k", 9216, 3072), layers)
    assert (wrong.state, wrong.say) == ("dim-mismatch", "out 9216")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", "ok"),
        ("lora_unet_down_blocks_9_attentions_0_transformer_blocks_0_attn1_to_q", "missing-module"),
        ("lora_unet_double_blocks_0_img_attn_proj", "missing-module"),
        ("diffusion_model.blocks.0.self_attn.q", "missing-module"),
        ("lora_unet_nobodys_layer", "unknown-name"),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", "missing-component"),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", "missing-component"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", "missing-component"),
        ("lycoris_text_model_encoder_layers_0_self_attn_q_proj", "missing-component"),
        ("lycoris_nobodys_layer", "unknown-name"),
    ],
)
def test_why_there_is_no_layer(name, state):
    unet = header(only(layout("sd15"), "model.diffusion_model."))
    assert fate(one(name, 320, 320), Layers(unet, identify(unet))).state == state


def test_components_that_a_name_means():
    assert meant(place("lora_unet_down_blocks_0_resnets_0_conv1")) == ("denoiser",)
    assert meant(place("lora_te_text_model_encoder_layers_0_mlp_fc1")) == ("te",)
    assert meant(place("lycoris_down_blocks_0_resnets_0_conv1")) == ("denoiser",)
    assert meant(place("lycoris_text_model_encoder_layers_0_mlp_fc1")) == ("te", "te1", "te2", "te3")
    assert meant(place(BARE)) == ("te", "te1", "te2", "te3")


def test_patterns_of_names():
    assert pattern("down_blocks_0_attentions_12_attn1_to_q") == "down_blocks_#_attentions_#_attn1_to_q"
    assert pattern("to_out_0") == "to_out_#"
    assert is_known(place("lora_unet_input_blocks_77_1_proj_in"), layers_of(whole("flux-dev")))
    own = of_shapes(
        {
            "strange.0.weight": (8, 8),
            "cap_embedder.1.weight": (3840, 2560),
            "noise_refiner.0.attention.k_norm.weight": (128,),
        }
    )
    assert is_known(place("diffusion_model.strange.9"), Layers(own, identify(own)))
    assert not is_known(place("diffusion_model.stranger.9"), Layers(own, identify(own)))


def test_states_that_are_applied():
    assert {"ok", "reshape"} == APPLIED
