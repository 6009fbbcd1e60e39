"""Other files than LoRAs against models: every kind that the catalog knows, right ones and wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts_helper import header, layout, moved, narrow, of_shapes, only, reshaped, without

from modelhub.catalog.architectures import architectures, examples
from modelhub.catalog.identify import identify
from modelhub.catalog.kinds import KINDS
from modelhub.lora.checking.answer import VERDICTS, Answer
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.others import OTHERS, check_other

DENOISER = "model.diffusion_model."


def known(tensors: Any, name: str = "file.safetensors", metadata: dict[str, str] | None = None) -> Known:
    """What a file with these tensors is: shapes, or (dtype, shape) as layouts have them."""
    first = next(iter(tensors.values()))
    whole = header(tensors, metadata) if first and isinstance(first[0], str) else of_shapes(tensors, metadata)
    return Known.of_identity(identify(whole, name=name), name)


MODELS = {name: known(layout(name), name) for name in ("sd15", "sd21", "sdxl", "flux-dev", "sd3-medium")}
MODELS["tiny"] = known(narrow(layout("sd15"), 5), "tiny")
MODELS["sdxl unet"] = known(only(layout("sdxl"), DENOISER), "sdxl unet")
MODELS["refiner"] = Known(
    "refiner", "checkpoint", "sdxl-refiner", confidence="header", facts={"context": 1280, "model_channels": 384}
)
MODELS["ssd-1b"] = Known(
    "ssd-1b", "checkpoint", "sdxl", "ssd-1b", confidence="header", facts={"context": 2048, "model_channels": 320}
)
MODELS["nobody's"] = Known("strange.safetensors", "checkpoint")


def check(tensors: Any, model: str, name: str = "file.safetensors", metadata: dict[str, str] | None = None) -> Answer:
    return check_other(known(tensors, name, metadata), MODELS[model])


def ids(answer: Answer) -> set[str]:
    return {reason.id for reason in answer.reasons}


EMBEDDINGS: dict[str, dict[str, tuple[int, ...]]] = {
    "768": {"emb_params": (4, 768)},
    "768, a pickle's": {"string_to_param.*": (2, 768)},
    "1024": {"emb_params": (8, 1024)},
    "1280": {"emb_params": (2, 1280)},
    "clip_l": {"clip_l": (3, 768)},
    "clip_l and clip_g": {"clip_l": (2, 768), "clip_g": (2, 1280)},
    "t5 too": {"clip_l": (2, 768), "t5": (2, 4096)},
    "none": {"emb_params": (2, 333)},
}


@pytest.mark.parametrize(
    ("one", "model", "verdict"),
    [
        ("768", "sd15", "compatible"),
        ("768, a pickle's", "sd15", "compatible"),
        ("768", "sd21", "incompatible"),
        ("1024", "sd21", "compatible"),
        ("1024", "sd15", "incompatible"),
        ("1024", "sdxl", "incompatible"),
        ("clip_l and clip_g", "sdxl", "compatible"),
        ("clip_l and clip_g", "sdxl unet", "compatible"),
        ("768", "sdxl", "caution"),
        ("1280", "sdxl", "caution"),
        ("1280", "refiner", "caution"),
        ("1280", "sd15", "incompatible"),
        ("clip_l", "flux-dev", "caution"),
        ("t5 too", "flux-dev", "compatible"),
        ("clip_l", "sd15", "compatible"),
        ("1024", "flux-dev", "incompatible"),
        ("none", "sd15", "incompatible"),
        ("768", "nobody's", "unknown"),
        ("768", "tiny", "incompatible"),
    ],
)
def test_embeddings_need_the_width_of_the_encoder(one: str, model: str, verdict: str) -> None:
    answer = check(EMBEDDINGS[one], model)
    assert answer.verdict == verdict, answer
    assert bool(answer.mismatches) == (verdict == "incompatible")


def test_an_embedding_says_both_widths_and_its_tokens() -> None:
    wrong = check({"emb_params": (8, 1024)}, "sd15")
    assert "1024" in wrong.mismatches[0].say and "768" in wrong.mismatches[0].say
    right = check({"emb_params": (8, 768)}, "sd15")
    assert any("8 tokens" in reason.say for reason in right.reasons)
    assert right.counts == {"clip-l": {"ok": 1}}
    assert check({"emb_params": (76, 768)}, "sd15").verdict == "caution"
    partly = check(EMBEDDINGS["768"], "sdxl")
    assert partly.counts == {"clip-l": {"ok": 1}, "clip-g": {"missing-component": 1}}


def test_an_embedding_of_a_small_model_fits_that_model() -> None:
    width = MODELS["tiny"].facts["context"]
    assert width != 768
    assert check({"emb_params": (1, width)}, "tiny").verdict == "compatible"
    assert check({"emb_params": (1, width)}, "sd15").verdict == "incompatible"


CONTROL = layout("controlnet-sd15")
#: The names of the block of a ControlNet that sees the text first, and of SDXL's.
_TEXT = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("model", "verdict"),
    [("sd15", "compatible"), ("sd21", "incompatible"), ("sdxl", "incompatible"), ("flux-dev", "incompatible"),
     ("tiny", "incompatible"), ("nobody's", "unknown")],
)  # fmt: skip
def test_a_real_controlnet(model: str, verdict: str) -> None:
    answer = check(CONTROL, model)
    assert answer.verdict == verdict
    if verdict == "incompatible" and model != "tiny":
        assert any("Stable Diffusion 1.x" in one.say for one in answer.mismatches)


def test_a_controlnet_of_sd2_names_both_widths() -> None:
    tensors = {
        name: (kind, tuple(1024 if size == 768 else size for size in shape)) for name, (kind, shape) in CONTROL.items()
    }
    answer = check(tensors, "sd15")
    assert answer.verdict == "incompatible" and answer.base == ("sd2",)
    assert any("1024" in one.lora and "768" in one.checkpoint for one in answer.mismatches)
    assert check(tensors, "sd21").verdict == "compatible"


SMALL: dict[str, dict[str, tuple[int, ...]]] = {
    "SDXL ControlNet": {
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "conv_in.weight": (320, 4, 3, 3),
        "add_embedding.linear_1.weight": (1280, 2816),
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    },
    "union": {
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "add_embedding.linear_1.weight": (1280, 2816),
        "task_embedding": (6, 320),
        "control_add_embedding.linear_1.bias": (1280,),
    },
    "Control-LoRA": {"lora_controlnet": (0,), "input_blocks.4.1.transformer_blocks.0.attn2.to_k.down": (128, 2048)},
    "LLLite": {"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight": (16, 640)},
    "T2I-Adapter": {"conv_in.weight": (320, 192, 3, 3), "body.0.block2.weight": (320, 320, 3, 3)},
    "SDXL T2I-Adapter": {"conv_in.weight": (320, 768, 3, 3), "body.0.block2.weight": (320, 320, 3, 3)},
    "IP-Adapter": {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
    "SDXL IP-Adapter": {
        "image_proj.latents": (1, 16, 1280),
        "image_proj.proj_in.weight": (1280, 1280),
        "ip_adapter.1.to_k_ip.weight": (640, 2048),
    },
    "FaceID": {
        "image_proj.proj.0.weight": (1024, 512),
        "ip_adapter.0.to_q_lora.down.weight": (128, 320),
        "ip_adapter.1.to_k_ip.weight": (320, 768),
    },
    "Flux IP-Adapter": {
        "ip_adapter_proj_model.proj.weight": (16384, 768),
        "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight": (3072, 4096),
    },
    "hypernetwork": {"768.0.linear.0.weight": (1536, 768), "320.0.linear.0.weight": (640, 320)},
    "hypernetwork without text": {"320.0.linear.0.weight": (640, 320)},
    "SD 2 hypernetwork": {"1024.0.linear.0.weight": (2048, 1024), "320.0.linear.0.weight": (640, 320)},
    "motion": {
        "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe": (1, 24, 320),
        "up_blocks.3.motion_modules.0.temporal_transformer.norm.weight": (320,),
    },
    "Redux": {
        "redux_down.bias": (4096,), "redux_down.weight": (4096, 12288),
        "redux_up.bias": (12288,), "redux_up.weight": (12288, 1152),
    },
    "image encoder": {"vision_model.encoder.layers.31.layer_norm1.weight": (1280,), "vision_model.encoder.layers.0.layer_norm1.weight": (1280,)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "model", "verdict"),
    [
        ("SDXL ControlNet", "sdxl", "compatible"),
        ("SDXL ControlNet", "sdxl unet", "compatible"),
        ("SDXL ControlNet", "sd15", "incompatible"),
        ("SDXL ControlNet", "refiner", "incompatible"),
        ("SDXL ControlNet", "ssd-1b", "caution"),
        ("union", "sdxl", "compatible"),
        ("Control-LoRA", "sdxl", "compatible"),
        ("Control-LoRA", "sd15", "incompatible"),
        ("LLLite", "sdxl", "compatible"),
        ("LLLite", "sd15", "incompatible"),
        ("T2I-Adapter", "sd15", "compatible"),
        ("T2I-Adapter", "sdxl", "incompatible"),
        ("SDXL T2I-Adapter", "sdxl", "compatible"),
        ("IP-Adapter", "sd15", "compatible"),
        ("IP-Adapter", "sdxl", "incompatible"),
        ("SDXL IP-Adapter", "sdxl", "compatible"),
        ("SDXL IP-Adapter", "flux-dev", "incompatible"),
        ("FaceID", "sd15", "compatible"),
        ("Flux IP-Adapter", "flux-dev", "compatible"),
        ("Flux IP-Adapter", "sd3-medium", "incompatible"),
        ("hypernetwork", "sd15", "compatible"),
        ("hypernetwork", "sd21", "incompatible"),
        ("hypernetwork without text", "sd15", "caution"),
        ("SD 2 hypernetwork", "sd21", "compatible"),
        ("SD 2 hypernetwork", "sd15", "incompatible"),
        ("motion", "sd15", "compatible"),
        ("motion", "sdxl", "incompatible"),
        ("Redux", "flux-dev", "compatible"),
        ("Redux", "sd15", "incompatible"),
        ("image encoder", "sd15", "unknown"),
        ("SDXL ControlNet", "nobody's", "unknown"),
    ],
)
def test_small_kinds(one: str, model: str, verdict: str) -> None:
    answer = check(SMALL[one], model)
    assert answer.verdict == verdict, answer
    assert answer.headline and bool(answer.mismatches) == (verdict == "incompatible")


@pytest.mark.parametrize(
    ("one", "words"),
    [("IP-Adapter", "CLIP ViT-H (1024 wide)"), ("SDXL IP-Adapter", "CLIP ViT-H (1280 wide)"), ("FaceID", "InsightFace"),
     ("union", "union of several kinds"), ("Control-LoRA", "Control-LoRA"), ("motion", "24 frames")],
)  # fmt: skip
def test_what_more_is_needed_is_said(one: str, words: str) -> None:
    fitting = {"SDXL IP-Adapter": "sdxl", "union": "sdxl", "Control-LoRA": "sdxl"}
    answer = check(SMALL[one], fitting.get(one, "sd15"))
    assert any(words in reason.say for reason in answer.reasons), answer.reasons


@pytest.mark.parametrize(
    ("one", "model", "verdict"),
    [("clip-l", "sd15", "compatible"), ("clip-l", "sdxl", "compatible"), ("clip-l", "flux-dev", "compatible"),
     ("clip-l", "sd21", "incompatible"), ("t5xxl", "flux-dev", "compatible"), ("t5xxl", "sd3-medium", "compatible"),
     ("t5xxl", "sdxl", "incompatible"), ("t5xxl", "nobody's", "unknown")],
)  # fmt: skip
def test_text_encoders(one: str, model: str, verdict: str) -> None:
    assert check(layout(one), model).verdict == verdict


def test_umt5_is_not_t5_although_its_blocks_are_equal() -> None:
    umt5 = reshaped(layout("t5xxl"), "shared.weight", (256384, 4096))
    assert check(umt5, "flux-dev").verdict == "incompatible"


@pytest.mark.parametrize("model", sorted(MODELS))
def test_upscalers_go_with_everything(model: str) -> None:
    answer = check(layout("upscaler-realesrgan-x4plus"), model)
    assert answer.verdict == "compatible"
    assert any("4 times" in reason.say for reason in answer.reasons)


def test_what_no_rule_is_for_is_unknown_and_never_wrong() -> None:
    for kind in (kind for kind in KINDS if kind not in OTHERS):
        assert check_other(Known("a", kind), MODELS["sd15"]).verdict == "unknown"
    assert check_other(Known("a", "controlnet"), MODELS["sd15"]).verdict == "unknown"


def test_every_example_of_the_catalog_gets_an_answer_against_every_model() -> None:
    """Each small kind's own examples: the one architecture that an example is of never comes out as another family."""
    seen = set()
    for one in (each for each in architectures() if each.role in ("small", "vae", "text_encoder", "whole")):
        for example in examples(one.id):
            it = known({name: tuple(shape) for name, shape in example["tensors"].items()})
            for model in MODELS.values():
                answer = check_other(it, model)
                seen.add(answer.verdict)
                assert answer.verdict in VERDICTS
                own = it.kind in ("controlnet", "ip-adapter", "t2i-adapter", "motion-module", "other")
                if own and it.architecture and it.architecture == model.architecture and model.confidence == "header":
                    assert "other-family" not in ids(answer), (one.id, model.name)
    assert {"compatible", "incompatible", "unknown", "caution"} <= seen


@given(
    st.sampled_from([*KINDS, "rubbish"]),
    st.dictionaries(
        st.sampled_from(["context", "model_channels", "width", "vectors", "clip_l", "t5", "latent_channels",
                         "image_width", "frames", "scale"]),
        st.none() | st.integers(-3, 5000) | st.booleans() | st.text(max_size=5),
    ),
    st.sampled_from(sorted(MODELS)),
)  # fmt: skip
def test_facts_that_nobody_wrote_break_nothing(kind: str, facts: dict[str, Any], model: str) -> None:
    answer = check_other(Known("x\n[b]\x1b[31m", kind, facts=facts), MODELS[model])
    assert answer.verdict in VERDICTS and answer.as_dict()["verdict"] == answer.verdict


def test_a_prefix_or_a_wrapper_of_a_controlnet_changes_nothing() -> None:
    wrapped = moved(CONTROL, "", "control_model.") if not next(iter(CONTROL)).startswith("control_model.") else CONTROL
    bare = {name.removeprefix("control_model."): entry for name, entry in CONTROL.items()}
    assert check(wrapped, "sd15").verdict == check(bare, "sd15").verdict == "compatible"
    assert without(bare, _TEXT).keys() != bare.keys()


def test_sentences_have_names_that_people_use() -> None:
    both = check(EMBEDDINGS["clip_l and clip_g"], "sdxl")
    assert both.headline == "compatible: Its vectors have the width that CLIP-L and CLIP-G of the model take."
    none = check(EMBEDDINGS["768"], "sd3-medium")
    assert "CLIP-G and T5-XXL get nothing" in none.headline
    assert "Stable Diffusion XL" in check(CONTROL, "sdxl").headline
    assert "OpenCLIP-H" in check(layout("clip-l"), "sd21").headline
    assert "knows" in check({"strange.weight": (3, 3)}, "sd15").headline


def test_t5_has_more_room_than_clip() -> None:
    answer = check({"emb_params": (100, 4096)}, "flux-dev")
    assert not ids(answer) & {"long", "vectors"}


def test_an_upscaler_has_no_base() -> None:
    assert check(layout("upscaler-esrgan-old-x4"), "sdxl").base == ()
