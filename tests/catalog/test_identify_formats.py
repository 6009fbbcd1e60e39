"""What other containers say beside tensors: GGUF's keys, a pickle's numbers, a diffusers folder's configuration."""

from __future__ import annotations

import pytest
from layouts_helper import Layout, header, layout, moved, of_shapes, only, without

from modelhub.catalog.architectures import examples
from modelhub.catalog.identify import identify

SD21 = layout("sd21")


def example(wanted: str, variant: str | None = None) -> dict[str, list[int]]:
    return next(one["tensors"] for one in examples(wanted) if one.get("variant") == variant)


@pytest.mark.parametrize(
    ("word", "wanted", "variant"),
    [
        ("flux", "flux1", "dev"), ("flux", "flux2", "dev"), ("flux", "chroma", None), ("aura", "auraflow", None),
        ("sd3", "sd3", "medium"), ("hidream", "hidream-i1", None), ("cosmos", "cosmos-predict2", "2b-t2i"),
        ("cosmos", "cosmos1", "7b-t2w"), ("ltxv", "ltx-video", None), ("hyvid", "hunyuan-video", "t2v"),
        ("wan", "wan", "t2v-14b"), ("lumina2", "lumina2", None), ("lumina2", "z-image", None),
        ("qwen_image", "qwen-image", None), ("sdxl", "sdxl", None), ("sd1", "sd1", None),
    ],
)  # fmt: skip
def test_the_architecture_of_a_gguf_confirms_what_shapes_say(word, wanted, variant):
    found = identify(of_shapes(example(wanted, variant), {"general.architecture": word}), form="gguf")
    assert (found.architecture, found.format, found.conflicts) == (wanted, "gguf", ())
    assert any((one.tensor, one.found) == ("general.architecture", word) for one in found.evidence)


@pytest.mark.parametrize("word", ["pig", "", "sd.cpp"])
def test_without_an_architecture_names_decide(word):
    found = identify(of_shapes(example("flux1", "dev"), {"general.architecture": word}), form="gguf")
    assert (found.architecture, found.conflicts) == ("flux1", ())


def test_a_gguf_that_says_another_architecture_is_in_conflict():
    found = identify(of_shapes(example("wan", "t2v-14b"), {"general.architecture": "flux"}), form="gguf")
    assert (found.architecture, len(found.conflicts)) == ("wan", 1)


def blocks(width: int, **extra: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The first layers of a language model under llama.cpp's names."""
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (152_064, width)}
    for index in range(3):
        shapes[f"blk.{index}.attn_norm.weight"] = (width,)
        shapes[f"blk.{index}.attn_q.weight"] = (width, width)
        shapes[f"blk.{index}.ffn_down.weight"] = (width, 4 * width)
        shapes |= {f"blk.{index}.{name.replace('__', '.')}": shape for name, shape in extra.items()}
    return shapes


@pytest.mark.parametrize(
    ("word", "shapes", "variant"),
    [
        ("qwen2vl", blocks(3584, attn_k__bias=(512,)), "qwen2.5-7b"),
        ("qwen3", blocks(2560, attn_q_norm__weight=(128,)), "qwen3-4b"),
        ("gemma2", blocks(2304, post_ffw_norm__weight=(2304,)), "gemma"),
        ("llama", blocks(4096, attn_k__weight=(1024, 4096)), "llama-3.1-8b"),
        ("llama", blocks(5120), "mistral-small"),
    ],
)
def test_text_encoders_of_gguf(word, shapes, variant):
    found = identify(of_shapes(shapes, {"general.architecture": word}), form="gguf")
    assert (found.kind, found.architecture, found.variant) == ("text-encoder", "llm", variant)
    assert (found.layout, found.facts["layers"], found.conflicts) == ("llama.cpp", 3, ())


@pytest.mark.parametrize(("vocabulary", "variant"), [(32_128, None), (256_384, "umt5")])
def test_t5_of_gguf(vocabulary, variant):
    shapes = {"token_embd.weight": (vocabulary, 4096)}
    shapes |= {f"enc.blk.{index}.ffn_up.weight": (10_240, 4096) for index in range(24)}
    shapes |= {f"enc.blk.{index}.attn_q.weight": (4096, 4096) for index in range(24)}
    for word in ("t5", "t5encoder"):
        found = identify(of_shapes(shapes, {"general.architecture": word}), form="gguf")
        assert (found.kind, found.architecture, found.variant, found.conflicts) == (
            "text-encoder",
            "t5xxl",
            variant,
            (),
        )


@pytest.mark.parametrize(
    ("steps", "prediction"), [("220000", "epsilon"), ("110000", "v"), ("840000", None), ("x", None)]
)
def test_the_steps_of_a_pickle_tell_the_prediction_of_sd2(steps, prediction):
    found = identify(header(SD21, {"pickle.global_step": steps, "pickle.epoch": "3"}), form="pickle")
    assert (found.architecture, found.prediction, found.format) == ("sd2", prediction, "pickle")
    assert found.facts["pickle"]["epoch"] == 3
    one = identify(header(layout("sd15"), {"pickle.global_step": steps}), form="pickle")
    assert one.prediction is None


def test_what_a_pickle_says_is_cleaned():
    metadata = {
        "pickle.name": "\x1b[31mred\n" * 1000,
        "pickle.global_step": "9" * 4000,
        "pickle.sd_checkpoint_name": "v1",
    }
    facts = identify(of_shapes({"emb_params": (2, 768)}, metadata), form="pickle").facts["pickle"]
    assert facts["trained_on"] == "v1"
    assert all(text.isprintable() and len(text) <= 200 for text in facts.values())


@pytest.mark.parametrize("wrapper", ["module.", "netG.", "params_ema."])
def test_wrapped_upscalers(wrapper):
    wrapped = moved(layout("upscaler-realesrgan-x4plus"), "", wrapper)
    assert identify(header(wrapped)).architecture == "esrgan-new"


@pytest.mark.parametrize(
    ("name", "architecture"), [("flux-dev", "flux1"), ("vae-sd", "kl-f8-4ch"), ("clip-l", "clip-l")]
)
def test_wrapped_models(name, architecture):
    assert identify(header(moved(layout(name), "", "module."))).architecture == architecture


@pytest.mark.parametrize(
    ("widths", "architecture"), [((320, 640, 768, 1280), "sd1"), ((320, 640, 1024, 1280), "sd2"), ((320, 640), None)]
)
def test_hypernetworks(widths, architecture):
    shapes = {f"{width}.{half}.linear.0.weight": (2 * width, width) for width in widths for half in (0, 1)}
    found = identify(of_shapes(shapes, {"pickle.layer_structure": "[1, 2, 1]"}), form="pickle")
    assert (found.kind, found.architecture) == ("hypernetwork", architecture)
    assert found.facts["pickle"]["layer_structure"] == "[1, 2, 1]"


@pytest.mark.parametrize(("width", "architecture"), [(768, "sd1"), (1024, "sd2"), (1280, "sdxl"), (64, None)])
def test_pickled_embeddings(width, architecture):
    found = identify(of_shapes({"string_to_param.*": (3, width)}, {"pickle.name": "cat", "pickle.step": "500"}))
    assert (found.kind, found.architecture) == ("embedding", architecture)
    assert (found.facts["vectors"], found.facts["pickle"]) == (3, {"name": "cat", "step": 500})


def pipeline(**parts: Layout) -> Layout:
    return {name: entry for part, tensors in parts.items() for name, entry in moved(tensors, "", f"{part}.").items()}


def unet(context: int) -> Layout:
    shapes = {
        "conv_in.weight": (320, 4, 3, 3),
        "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, context),
    }
    return {name: ("F16", shape) for name, shape in shapes.items()}


SCHEDULER = {"diffusers.class": "StableDiffusionPipeline", "diffusers.prediction_type": "v_prediction"}


def test_a_diffusers_folder_is_a_checkpoint_whose_scheduler_tells_the_prediction():
    parts = pipeline(unet=unet(1024), text_encoder=layout("clip-l"), vae=only(layout("vae-sd"), "decoder."))
    found = identify(header(parts, {**SCHEDULER, "diffusers.rescale_betas_zero_snr": "True"}), form="diffusers")
    assert (found.kind, found.architecture, found.layout, found.format) == (
        "checkpoint",
        "sd2",
        "diffusers",
        "diffusers",
    )
    assert (found.prediction, found.facts["zero_terminal_snr"]) == ("v", True)
    assert any((one.rule, one.tensor) == ("metadata", "diffusers.prediction_type") for one in found.evidence)
    assert {one.prefix for one in found.components} == {"unet.", "text_encoder.", "vae."}


def test_a_scheduler_never_overrules_a_marker():
    marked = {**pipeline(unet=unet(768)), "v_pred": ("F32", (0,))}
    found = identify(header(marked, {"diffusers.prediction_type": "epsilon"}), form="diffusers")
    assert (found.prediction, len(found.conflicts)) == ("v", 1)


def test_a_flux_folder_has_two_text_encoders():
    parts = pipeline(
        transformer={name: ("BF16", tuple(shape)) for name, shape in example("flux1", "fill").items()},
        text_encoder=layout("clip-l"),
        text_encoder_2=layout("t5xxl"),
        vae=layout("vae-flux"),
    )
    found = identify(header(parts), form="diffusers")
    assert (found.kind, found.architecture, found.variant, found.layout) == ("checkpoint", "flux1", "fill", "diffusers")
    assert [one.architecture for one in found.components] == ["flux1", "clip-l", "t5xxl", "ae-16ch"]


def test_a_folder_with_an_unknown_network_is_a_checkpoint_of_no_architecture():
    strange = {f"novel.{index}.weight": ("F16", (10, 10)) for index in range(10)}
    parts = pipeline(transformer=strange, vae=layout("vae-sd"), image_encoder={"a.weight": ("F16", (4, 4))})
    found = identify(header(parts), form="diffusers")
    assert (found.kind, found.architecture, found.confidence, found.layout) == ("checkpoint", None, "none", "diffusers")
    assert {one.role for one in found.components} == {"denoiser", "vae", "other"}
    bare = identify(header(without(parts, "image_encoder.")), form="safetensors")
    assert bare.architecture != "flux1"


def test_of_two_experts_the_first_is_the_denoiser():
    wan = {name: ("BF16", tuple(shape)) for name, shape in example("wan", "t2v-14b").items()}
    found = identify(header(pipeline(transformer=wan, transformer_2=wan)), form="diffusers")
    assert (found.architecture, found.component("denoiser").prefix) == ("wan", "transformer.")
    assert found.component("other").prefix == "transformer_2."
