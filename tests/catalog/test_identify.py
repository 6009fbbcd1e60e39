"""Identification of real layouts, whole, partial, renamed, cast and shuffled."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts_helper import DENOISER, cast, header, layout, moved, names, of_shapes, only, without

from modelhub.catalog.architectures import architectures, examples
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.kinds import KINDS

#: Layout: kind, architecture, variant, naming.
EXPECTED = {
    "clip-l": ("text-encoder", "clip-l", None, "hf"),
    "controlnet-sd15": ("controlnet", "sd1", None, "ldm"),
    "flux-dev": ("diffusion-model", "flux1", "dev", "bfl"),
    "flux-schnell": ("diffusion-model", "flux1", "schnell", "bfl"),
    "loha-sd15": ("lora", "sd1", None, "kohya"),
    "lokr-sdxl": ("lora", "sdxl", None, "kohya"),
    "lora-flux-diffusers": ("lora", "flux1", None, "diffusers"),
    "lora-flux-kohya": ("lora", "flux1", None, "kohya"),
    "lora-sd15-kohya": ("lora", "sd1", None, "kohya"),
    "lora-sdxl-kohya": ("lora", "sdxl", None, "kohya"),
    "sd15": ("checkpoint", "sd1", None, "ldm"),
    "sd21": ("checkpoint", "sd2", None, "ldm"),
    "sd3-medium": ("checkpoint", "sd3", "medium", "mmdit"),
    "sdxl": ("checkpoint", "sdxl", None, "ldm"),
    "t5xxl": ("text-encoder", "t5xxl", None, "hf"),
    "tiny-shapes-base": ("checkpoint", "sd1", None, "ldm"),
    "tiny-shapes-framed-lora": ("lora", "sd1", None, "kohya"),
    "upscaler-compact-general-x4v3": ("upscaler", "realesrgan-compact", None, None),
    "upscaler-esrgan-old-x4": ("upscaler", "esrgan-old", None, None),
    "upscaler-realesrgan-x2plus": ("upscaler", "esrgan-new", None, None),
    "upscaler-realesrgan-x4plus": ("upscaler", "esrgan-new", None, None),
    "upscaler-realesrgan-x4plus-anime6b": ("upscaler", "esrgan-new", None, None),
    "vae-flux": ("vae", "ae-16ch", None, "ldm"),
    "vae-sd": ("vae", "kl-f8-4ch", None, "ldm"),
}
ARCHITECTURES = [one.id for one in architectures()]
FULL = ("sd15", "sd21", "sdxl", "sd3-medium")


#: Thousands of numbers for an example are drawn from one seed: hypothesis refuses to draw so many itself.
CHANCE = st.integers(0, 2**32).map(random.Random)


def verdict(identity: Identity) -> tuple[str, str | None, str | None, str | None]:
    return identity.kind, identity.architecture, identity.variant, identity.layout


@pytest.mark.parametrize("name", names())
def test_every_layout_is_what_it_is(name):
    found = identify(header(layout(name)))
    assert verdict(found) == EXPECTED[name]
    assert found.kind in KINDS
    assert found.confidence == ("structure" if name.startswith("tiny") else "header")
    assert found.evidence
    assert not found.conflicts


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sd15", {"denoiser": 859_520_964, "text_encoder": 123_060_480, "vae": 83_653_863}),
        ("sdxl", {"denoiser": 2_567_463_684, "vae": 83_653_863}),
        ("flux-dev", {"denoiser": 11_901_408_320}),
        ("vae-sd", {"vae": 83_653_863}),
        ("clip-l", {"text_encoder": 123_060_480}),
    ],
)
def test_components_have_the_parameters_of_the_released_networks(name, parts):
    found = identify(header(layout(name)))
    for role, parameters in parts.items():
        assert found.component(role).parameters == parameters


def test_components_say_where_they_are_and_what():
    found = identify(header(layout("sdxl")))
    assert [(one.role, one.architecture, one.prefix) for one in found.components] == [
        ("denoiser", "sdxl", "model.diffusion_model."),
        ("text_encoder", "clip-l", "conditioner.embedders.0.transformer."),
        ("text_encoder", "clip-g", "conditioner.embedders.1.model."),
        ("vae", "kl-f8-4ch", "first_stage_model."),
    ]
    assert sum(one.tensors for one in found.components) == 1680 + 197 + 390 + 248


def test_measured_facts():
    facts = identify(header(layout("sdxl"))).facts
    assert (facts["in_channels"], facts["context"], facts["adm"], facts["model_channels"]) == (4, 2048, 2816, 320)
    assert (facts["depth"], facts["depth_middle"]) == ([2, 2, 10, 10], 10)
    flux = identify(header(layout("flux-schnell"))).facts
    assert (flux["guidance"], flux["double_blocks"], flux["single_blocks"]) == (False, 19, 38)


@pytest.mark.parametrize(
    ("name", "scale", "features", "blocks"),
    [
        ("upscaler-compact-general-x4v3", 4, 64, None),
        ("upscaler-esrgan-old-x4", 4, 64, 23),
        ("upscaler-realesrgan-x2plus", 2, 64, 23),
        ("upscaler-realesrgan-x4plus", 4, 64, 23),
        ("upscaler-realesrgan-x4plus-anime6b", 4, 64, 6),
    ],
)
def test_upscalers_know_their_factor(name, scale, features, blocks):
    facts = identify(header(layout(name))).facts
    assert (facts["scale"], facts["features"], facts.get("blocks")) == (scale, features, blocks)


@pytest.mark.parametrize("last", [4, 7, 10, 13])
def test_original_esrgan_doubles_for_each_three_layers(last):
    shapes = {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}
    shapes[f"model.{last}.weight"] = (3, 64, 3, 3)
    assert identify(of_shapes(shapes)).facts["scale"] == 2 ** ((last - 4) // 3)


def with_ema(tensors):
    """With the U-Net's EMA, whose names have no dots."""
    copies = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): entry
        for name, entry in only(tensors, DENOISER).items()
    }
    return {**tensors, **copies, "model_ema.decay": ("F32", ()), "model_ema.num_updates": ("I32", ())}


CHANGES = {
    "ema": with_ema,
    "fp16": lambda tensors: cast(tensors, "F16"),
    "fp8": lambda tensors: cast(tensors, "F8_E4M3"),
    "unknown keys": lambda tensors: {**tensors, "something.else": ("F32", (3,)), "x\x1b[2J\n": ("F16", ())},
    "stray lora keys": lambda tensors: {**tensors, "lora_unet_x.lora_up.weight": ("F16", (8, 4))},
    "no position ids": lambda tensors: {name: entry for name, entry in tensors.items() if "position_ids" not in name},
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FULL), st.sets(st.sampled_from(sorted(CHANGES))), CHANCE)
def test_what_does_not_matter_changes_nothing(name, changes, chance: random.Random):
    tensors = layout(name)
    for change in sorted(changes):
        tensors = CHANGES[change](tensors)
    order = list(tensors)
    chance.shuffle(order)
    found = identify(header({key: tensors[key] for key in order}))
    assert verdict(found) == EXPECTED[name]
    assert found.confidence == "header"
    assert (found.component("ema") is not None) == ("ema" in changes)
    assert found.component("denoiser").prefix == DENOISER


@pytest.mark.parametrize("name", FULL)
def test_pruned_checkpoints(name):
    tensors = layout(name)
    texts = ("cond_stage_model.", "conditioner.")
    no_text = identify(header(without(tensors, *texts)))
    no_vae = identify(header(without(tensors, "first_stage_model.")))
    alone = identify(header(only(tensors, DENOISER)))
    assert (no_text.kind, no_text.architecture) == ("checkpoint", EXPECTED[name][1])
    assert no_vae.architecture == alone.architecture == EXPECTED[name][1]
    assert alone.kind == "diffusion-model"
    assert [one.role for one in alone.components] == ["denoiser"]
    assert identify(header(only(tensors, "first_stage_model."))).kind == "vae"


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "unet.", "net.", "transformer.", "model."])
@pytest.mark.parametrize("name", [*FULL, "flux-dev"])
def test_a_denoiser_under_any_usual_prefix(name, prefix):
    tensors = only(layout(name), DENOISER) or moved(layout(name), "", DENOISER)
    found = identify(header(moved(tensors, DENOISER, prefix)))
    assert found.architecture == EXPECTED[name][1]
    assert (found.kind, found.component("denoiser").prefix) == ("diffusion-model", prefix)


def test_text_encoders_together_are_a_bundle():
    both = only(layout("sdxl"), "conditioner.")
    found = identify(header(both))
    assert (found.kind, found.architecture) == ("text-encoder", None)
    assert found.facts["bundle"] == ["clip-l", "clip-g"]


def test_vae_and_text_encoder_without_denoiser_are_no_checkpoint():
    found = identify(header(without(layout("sd15"), DENOISER)))
    assert (found.kind, found.architecture) == ("other", None)
    assert {one.role for one in found.components} == {"vae", "text_encoder"}


def test_a_vae_names_all_it_could_belong_to():
    found = identify(header(layout("vae-sd")))
    assert found.facts["used_by"] == ["sd1", "sd2", "sdxl", "sdxl-refiner"]
    assert any("cannot be told apart" in one.found for one in found.evidence)


def test_unknown_stays_unknown_with_a_fingerprint():
    found = identify(of_shapes({"a.weight": (320, 768), "b.0.bias": (7,)}))
    assert (found.kind, found.architecture, found.confidence) == ("unknown", None, "none")
    assert len(found.fingerprint) == 32
    assert identify(of_shapes({})).kind == "unknown"


def test_a_new_denoiser_beside_a_known_vae_is_a_checkpoint_of_no_architecture():
    strange = {DENOISER + f"novel.{index}.weight": ("F16", (10, 10)) for index in range(10)}
    found = identify(header({**strange, **only(layout("sd15"), "first_stage_model.")}))
    assert (found.kind, found.architecture, found.confidence) == ("checkpoint", None, "none")
    assert found.component("denoiser").architecture is None


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=30) | st.sampled_from(["emb_params", "conv_first.weight", "lora_controlnet", "img_in.weight"]),
        st.lists(st.integers(0, 5000), max_size=5),
        max_size=12,
    ),
    st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5),
)
def test_any_header_gets_an_answer(shapes, metadata):
    found = identify(of_shapes(shapes, metadata), name="x" * 300)
    assert found.kind in KINDS
    assert found.as_dict()["fingerprint"]


def test_fingerprints_follow_the_layout_and_not_dtype_order_or_rank():
    tensors = layout("sd15")
    same = identify(header(cast(dict(reversed(tensors.items())), "BF16"))).fingerprint
    assert identify(header(tensors)).fingerprint == same
    assert identify(header(without(tensors, "first_stage_model."))).fingerprint != same
    lora = layout("lora-sd15-kohya")
    larger = {
        name: (dtype, tuple(32 if size == 8 else size for size in shape)) for name, (dtype, shape) in lora.items()
    }
    assert identify(header(lora)).fingerprint == identify(header(larger)).fingerprint


def test_dtypes_count_elements_and_packing_is_told():
    found = identify(header(cast(layout("sdxl"), "F8_E4M3")))
    assert found.dtypes["F8_E4M3"] == found.parameters
    assert "fp8" in found.facts["quantisation"]
    scaled = {**layout("flux-dev"), "scaled_fp8": ("F8_E4M3", (2,))}
    assert identify(header(scaled)).facts["quantisation"] == {"scaled-fp8": 1}
    assert "quantisation" not in identify(header(layout("sd15"))).facts


def test_bitsandbytes_flux_is_still_flux():
    packed = {}
    for name, (_, shape) in layout("flux-dev").items():
        if len(shape) == 2 and "blocks" in name:
            packed[name] = ("U8", (shape[0] * shape[1] // 2, 1))
            packed[name + ".quant_state.bitsandbytes__nf4"] = ("U8", (200,))
            packed[name + ".absmax"] = ("F32", (shape[0] * shape[1] // 64,))
        else:
            packed[name] = ("BF16", shape)
    found = identify(header(packed))
    assert verdict(found) == ("diffusion-model", "flux1", "dev", "bfl")
    assert "nf4" in found.facts["quantisation"]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(names()), st.integers(0, 4), st.integers(0, 3), CHANCE)
def test_real_names_with_absurd_shapes_get_an_answer(name, most_dims, most_size, chance: random.Random):
    absurd = {
        key: [chance.randint(0, most_size) for _ in range(chance.randint(0, most_dims))]
        for key in layout(name)
        if chance.random() < 0.9
    }
    assert identify(of_shapes(absurd)).kind in KINDS


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ARCHITECTURES), CHANCE)
def test_every_known_name_with_absurd_shapes_gets_an_answer(wanted, chance: random.Random):
    for example in examples(wanted):
        absurd = {key: [chance.randint(0, 5) for _ in range(chance.randint(0, 5))] for key in example["tensors"]}
        assert identify(of_shapes(absurd)).kind in KINDS


@pytest.mark.parametrize("number", ["9" * 5000, "999999", "99999999999999"])
def test_absurd_numbers_in_names(number):
    shapes = {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}
    assert identify(of_shapes({**shapes, f"model.{number}.weight": (3, 64, 3, 3)})).facts.get("scale", 1) <= 64
    unet = layout("sd15")
    unet[f"{DENOISER}input_blocks.{number}.1.transformer_blocks.{number}.attn2.to_k.weight"] = ("F16", (1, 1))
    assert identify(header(unet)).architecture == "sd1"


def test_a_diffusers_folder_read_as_one_header():
    parts = {
        "unet.conv_in.weight": (320, 4, 3, 3),
        "unet.down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768),
        "vae.decoder.conv_in.weight": (512, 4, 3, 3),
        "vae.decoder.mid_block.resnets.0.conv1.weight": (512, 512, 3, 3),
    }
    found = identify(of_shapes(parts))
    assert verdict(found) == ("checkpoint", "sd1", None, "diffusers")
    assert {(one.role, one.architecture, one.prefix) for one in found.components} == {
        ("denoiser", "sd1", "unet."),
        ("text_encoder", "clip-l", "text_encoder."),
        ("vae", "kl-f8-4ch", "vae."),
    }


def test_flux_with_its_text_encoders():
    clip = moved(layout("clip-l"), "", "text_encoders.clip_l.transformer.")
    t5 = moved(layout("t5xxl"), "", "text_encoders.t5xxl.transformer.")
    vae = moved(layout("vae-flux"), "", "vae.")
    found = identify(header({**moved(layout("flux-dev"), "", DENOISER), **clip, **t5, **vae}))
    assert (found.kind, found.architecture, found.variant) == ("checkpoint", "flux1", "dev")
    assert [one.architecture for one in found.components if one.role == "text_encoder"] == ["clip-l", "t5xxl"]


def test_clip_names_without_text_model_are_sd1_too():
    old = "cond_stage_model.transformer."
    found = identify(header(moved(layout("sd15"), old + "text_model.", old)))
    assert (found.architecture, found.component("text_encoder").architecture) == ("sd1", "clip-l")
