"""Real layouts in many disguises keep their verdict, and what no rule knows stays unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts_helper import DENOISER, Layout, cast, header, layout, moved, names, of_shapes, only, without
from own_time import at_most

from modelhub.catalog.architectures import architecture, architectures, examples
from modelhub.catalog.identify import identify

#: Architecture and variant of the layouts that have a denoiser.
MODELS = {
    "sd15": ("sd1", None), "sd21": ("sd2", None), "sdxl": ("sdxl", None), "sd3-medium": ("sd3", "medium"),
    "flux-dev": ("flux1", "dev"), "flux-schnell": ("flux1", "schnell"),
}  # fmt: skip
VAES = {"none": {}, "sd": layout("vae-sd"), "flux": layout("vae-flux")}
PREFIXES = (DENOISER, "diffusion_model.", "net.", "transformer.", "unet.", "model.", "module.", "")
DTYPES = ("F16", "BF16", "F32", "F8_E4M3")
JUNK = {
    "keys of no meaning": {"something.else": ("F32", (3,)), "x\x1b[2J\n": ("F16", ()), "zz.weight": ("I64", (2, 2))},
    "half": {"alphas_cumprod": ("F32", (1000,)), "model_ema.half": ("F16", (1,)), "a.weight.half": ("F16", (2,))},
    "stray adapter": {f"lora_unet_x_{n}.lora_{m}.weight": ("F16", (8, 4)) for n in range(9) for m in ("up", "down")},
    "markers": {"state": ("I32", ()), "iteration": ("I64", (1,))},
}


def denoiser(name: str) -> Layout:
    tensors = layout(name)
    return moved(only(tensors, DENOISER), DENOISER, "") or tensors


def ema(tensors: Layout) -> Layout:
    """The copy that training keeps: names without dots."""
    return {"model_ema.diffusion_model" + name.replace(".", ""): entry for name, entry in tensors.items()}


def shuffled(tensors: Layout, seed: int) -> Layout:
    order = list(tensors)
    random.Random(seed).shuffle(order)
    return {name: tensors[name] for name in order}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)), st.sampled_from(PREFIXES), st.sampled_from(DTYPES), st.booleans(),
    st.sampled_from(sorted(VAES)), st.booleans(), st.sets(st.sampled_from(sorted(JUNK))),
    st.integers(0, 999),
)  # fmt: skip
def test_disguises(name, prefix, dtype, with_ema, vae, with_text, junk, seed):
    own = denoiser(name)
    tensors = cast(moved(own, "", prefix), dtype)
    tensors |= ema(own) if with_ema else {}
    tensors |= moved(VAES[vae], "", "first_stage_model.")
    tensors |= moved(layout("clip-l"), "", "text_encoders.clip_l.transformer.") if with_text else {}
    for one in junk:
        tensors |= JUNK[one]
    found = identify(header(shuffled(tensors, seed)))
    assert (found.architecture, found.variant, found.confidence) == (*MODELS[name], "header")
    assert found.kind == ("checkpoint" if with_text or vae != "none" else "diffusion-model")
    assert found.component("denoiser").prefix == prefix
    roles = {one.role: one.architecture for one in found.components if one.role != "denoiser"}
    assert roles.get("vae") == {"none": None, "sd": "kl-f8-4ch", "flux": "ae-16ch"}[vae]
    assert roles.get("text_encoder") == ("clip-l" if with_text else None)
    assert ("ema" in roles) == (with_ema or "half" in junk)
    assert found.adapter is None
    again = identify(header(shuffled(cast(tensors, "BF16"), seed + 1)))
    assert again.fingerprint == found.fingerprint


CASES = [(one.id, index) for one in architectures() for index in range(len(examples(one.id)))]
#: Kinds that are known by being small or alone in their file.
ALONE = ("embedding", "flux-redux", "aesthetic-predictor")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([case for case in CASES if case[0] not in ALONE]), st.sampled_from(DTYPES),
    st.sets(st.sampled_from(sorted(JUNK))), st.integers(0, 999),
)  # fmt: skip
def test_examples_in_disguise(case, dtype, junk, seed):
    tensors = {name: (dtype, tuple(shape)) for name, shape in examples(case[0])[case[1]]["tensors"].items()}
    plain = identify(header(tensors))
    # An example has few tensors; where there is no denoiser, most of a file decide whether it is an adapter.
    decided = architecture(case[0]).role in ("denoiser", "small")
    for one in junk if decided else junk - {"stray adapter"}:
        tensors |= JUNK[one]
    found = identify(header(shuffled(tensors, seed)))
    assert (found.kind, found.architecture, found.variant) == (plain.kind, plain.architecture, plain.variant)
    assert identify(header(cast(tensors, "F32"))).fingerprint == found.fingerprint


WORDS = (
    "encoder",
    "decoder",
    "layers",
    "blocks",
    "attn",
    "mlp",
    "proj",
    "conv",
    "0",
    "1",
    "norm",
    "weight",
    "bias",
    "gate",
    "emb",
)
NAMES = st.lists(st.sampled_from(WORDS), min_size=2, max_size=6).map(".".join)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, st.lists(st.integers(1, 77), max_size=4), max_size=30))
def test_names_that_sound_like_networks_are_unknown(shapes):
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.fingerprint is not None) == (None, True)
    assert found.kind in ("unknown", "vae", "text-encoder", "lora", "other")


@pytest.mark.parametrize(
    "name", [one for one in names() if not one.startswith(("lora", "loha", "lokr", "tiny", "upscaler"))]
)
def test_a_layout_of_norms_alone_is_nothing_certain(name):
    norms = {key: entry for key, entry in layout(name).items() if len(entry[1]) < 2}
    found = identify(header(norms))
    assert found.architecture is None
    assert found.confidence != "header"


#: Networks that are no models for pictures, and that modelhub has no rule for.
OTHERS = {
    "whisper": {"model.encoder.conv1.weight": (512, 80, 3), "model.decoder.layers.0.encoder_attn.k_proj.weight": (512, 512)},
    "megatron": {"layers.0.mlp.linear_fc2.weight": (4096, 11008), "layers.0.self_attention.linear_qkv.weight": (12288, 4096)},
    "gpt-2": {"h.0.attn.c_attn.weight": (768, 2304), "h.0.mlp.c_fc.weight": (768, 3072), "wte.weight": (50257, 768)},
    "bert": {"encoder.layer.0.attention.self.query.weight": (768, 768), "embeddings.word_embeddings.weight": (30522, 768)},
    "resnet": {"conv1.weight": (64, 3, 7, 7), "layer1.0.conv1.weight": (64, 64, 1, 1), "fc.weight": (1000, 2048)},
    "vits": {"enc_p.emb.weight": (178, 192), "dec.ups.0.weight_v": (512, 256, 16), "flow.flows.0.pre.weight": (192, 96, 1)},
    "rwkv": {"blocks.0.att.key.weight": (2048, 2048), "blocks.0.ffn.key.weight": (7168, 2048), "emb.weight": (65536, 2048)},
    "mamba": {"backbone.layers.0.mixer.in_proj.weight": (3072, 768), "backbone.embedding.weight": (50280, 768)},
    "optimizer": {"state.0.exp_avg": (320, 768), "state.0.exp_avg_sq": (320, 768), "param_groups.0.lr": ()},
    "yolo": {"model.0.conv.weight": (16, 3, 3, 3), "model.22.dfl.conv.weight": (1, 16, 1, 1)},
    "unet of another size": {"input_blocks.0.0.weight": (128, 3, 3, 3), "output_blocks.0.0.in_layers.0.weight": (512,)},
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_networks_that_no_rule_knows_are_unknown(what):
    found = identify(of_shapes(OTHERS[what]))
    assert (found.kind, found.architecture, found.confidence) == ("unknown", None, "none")
    assert len(found.fingerprint) == 32
    wrapped = identify(of_shapes({f"module.{name}": shape for name, shape in OTHERS[what].items()}))
    assert wrapped.kind == "unknown"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_checkpoint_without_its_denoiser_is_no_model(name):
    rest = without(layout(name), DENOISER)
    if rest != layout(name):
        found = identify(header(rest))
        assert found.kind not in ("checkpoint", "diffusion-model")
        assert found.architecture not in {one for one, _ in MODELS.values()}


@pytest.mark.parametrize(
    "pattern", ["text_encoders.{}.a", "te{}.a", "text_encoder_x{}.a", "conditioner.embedders.{}.b", "{}.a"]
)
def test_thousands_of_parts_cost_no_search_each(pattern):
    with at_most(5):
        found = identify(of_shapes({pattern.format(index): (2,) for index in range(20_000)}))
        assert found.architecture is None
        assert len(found.components) <= 32
