"""Metadata refines and never overrules; hostile metadata changes nothing."""

from __future__ import annotations

import json

import pytest
from layouts_helper import header, layout, of_shapes

from modelhub.catalog.identify import identify

SDXL, SD15 = layout("sdxl"), layout("sd15")


def test_shapes_win_and_the_contradiction_is_shown():
    found = identify(header(SD15, {"modelspec.architecture": "stable-diffusion-xl-v1-base"}))
    assert found.architecture == "sd1"
    assert found.conflicts == (
        "The metadata (modelspec.architecture) says stable-diffusion-xl-v1-base, the tensors say sd1.",
    )


def test_agreement_is_evidence():
    found = identify(header(SD15, {"modelspec.architecture": "Stable-Diffusion-V1/lora"}))
    assert not found.conflicts
    assert any(one.rule == "metadata" and one.tensor == "modelspec.architecture" for one in found.evidence)


@pytest.mark.parametrize(
    ("name", "claim", "variant"),
    [
        ("flux-dev", "Flux.1-dev/kontext", "kontext"),
        ("flux-dev", "flux-1-dev", "dev"),
        ("sdxl", "stable-diffusion-xl-turbo-v1", "turbo"),
    ],
)
def test_what_no_shape_can_tell_comes_from_metadata(name, claim, variant):
    found = identify(header(layout(name), {"modelspec.architecture": claim}))
    assert (found.variant, found.conflicts) == (variant, ())


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("flux-dev", "flux-1-schnell"),
        ("sd15", "stable-diffusion-v1-inpainting"),
        ("flux-schnell", "flux.1-dev/kontext"),
    ],
)
def test_variants_that_shapes_exclude_are_conflicts(name, claim):
    before = identify(header(layout(name))).variant
    found = identify(header(layout(name), {"modelspec.architecture": claim}))
    assert found.variant == before
    assert len(found.conflicts) == 1


def test_prediction():
    declared = {"modelspec.prediction_type": "v"}
    assert identify(header(SDXL, declared)).prediction == "v"
    assert identify(header(SD15, {"ss_base_model_version": "sd_v1_v"})).prediction == "v"
    marked = identify(header({**SDXL, "v_pred": ("F32", (0,))}, {"modelspec.prediction_type": "epsilon"}))
    assert marked.prediction == "v"
    assert marked.conflicts


def test_an_ambiguous_lora_is_settled_by_metadata_within_its_bases():
    both = {name: entry for name, entry in layout("lora-sd15-kohya").items() if "_attn1_" in name and "unet" in name}
    settled = identify(header(both, {"ss_base_model_version": "sd_v2"}))
    assert (settled.architecture, settled.confidence, settled.adapter["bases"]) == ("sd2", "metadata", ["sd1", "sd2"])
    refused = identify(header(both, {"ss_base_model_version": "flux1"}))
    assert (refused.architecture, len(refused.conflicts)) == (None, 1)


def test_metadata_does_not_make_a_model():
    found = identify(of_shapes({"a": (1,)}, {"modelspec.architecture": "flux-1-dev"}))
    assert (found.kind, found.architecture) == ("unknown", None)


def test_a_vae_may_be_called_by_any_of_its_models():
    assert not identify(
        header(layout("vae-sd"), {"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"})
    ).conflicts
    assert identify(header(layout("vae-sd"), {"modelspec.architecture": "flux-1-dev/vae"})).conflicts


def test_trigger_words():
    tags = {"10_ohwx man": {"ohwx": 20, "1girl": 3}, "1_img": {"blue": 2}}
    found = identify(
        of_shapes({"a": (1,)}, {"modelspec.trigger_phrase": "sks dog, ", "ss_tag_frequency": json.dumps(tags)})
    )
    assert found.trigger_words == ("sks dog", "ohwx man", "ohwx", "blue")


@pytest.mark.parametrize(
    "tags",
    [
        "[" * 200_000, "{" * 100, "null", "3", '"x"', '{"a": 1}', '{"a": {"b": "c"}}', '{"1_": {"": 1}}',
        '{"10_x": [1]}',
        '{"a": {"b": NaN}}', '{"a": {"b": 1e999}}', '{"a":{"b":' + "9" * 10_000 + "}}", "x" * 5_000_000,
        json.dumps({f"1_{index}": {f"t{index}": index} for index in range(5000)}),
        json.dumps({"1_\x1b[31mred\n": {"\u202eevil" * 1000: 1}}),
    ],
)  # fmt: skip
def test_hostile_statistics(tags):
    found = identify(of_shapes({"a": (1,)}, {"ss_tag_frequency": tags}))
    assert len(found.trigger_words) <= 12
    assert all(word.isprintable() and len(word) <= 100 for word in found.trigger_words)


@pytest.mark.parametrize(
    "value", ["", " ", "x" * 10_000_000, "/" * 100_000, "\x00\x1b[2J", "flux-1-dev/" * 1000, "\ud800"]
)
def test_hostile_claims(value):
    keys = ("modelspec.architecture", "modelspec.prediction_type", "ss_base_model_version", "modelspec.trigger_phrase")
    found = identify(header(SD15, dict.fromkeys(keys, value)))
    assert (found.kind, found.architecture) == ("checkpoint", "sd1")
    assert all(text.isprintable() for text in (*found.conflicts, *found.trigger_words))


def test_a_chroma_lora_has_the_modules_of_flux_and_only_metadata_tells():
    lora = {name: entry for name, entry in layout("lora-flux-kohya").items() if "mod" not in name}
    assert identify(header(lora)).architecture == "flux1"
    told = identify(header(lora, {"modelspec.architecture": "chroma/lora"}))
    assert (told.architecture, told.confidence, told.conflicts) == ("chroma", "metadata", ())
    assert identify(header(layout("flux-dev"), {"modelspec.architecture": "chroma"})).architecture == "flux1"
