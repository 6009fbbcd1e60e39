"""Lineages: evidence is ranked, all of it is kept, and none of it changes what the shapes say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts_helper import header, layout

from modelhub.catalog.identify import identify
from modelhub.catalog.lineage import lineage, strongest

PONY = "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"
SDXL_BASE = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
LORA = layout("lora-sdxl-kohya")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("illustriousXL_v01.safetensors", "illustrious"), ("Illustrious-XL-v1.0", "illustrious"),
        ("ilxl_style", "illustrious"), ("my_IL_style", "illustrious"),
        ("ponyDiffusionV6XL_v6StartWithThisOne", "pony"), ("style_pdxl_v2", "pony"),
        ("noobaiXLNAIXL_vPred10Version", "noobai"), ("NoobAI-XL-v1.1", "noobai"), ("noob_xl_eps", "noobai"),
        ("animagine-xl-3.1", "animagine"),
        ("sd_xl_base_1.0.safetensors", "sdxl-base"), ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl-base"),
        ("ponytail_hair", None), ("oil_painting", None), ("pencil", None), ("noobie", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_sdxl_families(name, wanted):
    assert strongest(lineage({"ss_sd_model_name": name}, architecture="sdxl")) == wanted
    assert strongest(lineage({}, name=name, architecture="sdxl")) == wanted


@pytest.mark.parametrize(
    ("name", "architecture", "wanted"),
    [
        ("v1-5-pruned-emaonly.ckpt", "sd1", "sd1-base"), ("runwayml/stable-diffusion-v1-5", "sd1", "sd1-base"),
        ("animefull-final-pruned.ckpt", "sd1", "nai"), ("nai.ckpt", "sd1", "nai"), ("anything-v4.5", "sd1", "anything"),
        ("flux1-dev.safetensors", "flux1", "flux-dev"), ("black-forest-labs/FLUX.1-dev", "flux1", "flux-dev"),
        ("flux1-schnell", "flux1", "flux-schnell"), ("flux1-krea-dev", "flux1", "flux-krea"),
        ("flux1-dev-kontext_fp8", "flux1", "flux-kontext"), ("ponyDiffusionV6XL", "sd1", None),
    ],
)  # fmt: skip
def test_names_of_other_architectures(name, architecture, wanted):
    assert strongest(lineage({"ss_sd_model_name": name}, architecture=architecture)) == wanted


def test_the_strongest_evidence_comes_first_and_all_is_kept():
    merge = json.dumps({PONY: {"name": "ponyDiffusionV6XL.safetensors"}})
    metadata = {
        "ss_new_sd_model_hash": SDXL_BASE, "ss_sd_model_name": "noobaiXL.safetensors", "sd_merge_models": merge,
        "ss_tag_frequency": json.dumps({"1_x": {"masterpiece": 3, "best quality": 3, "score_9": 2}}),
    }  # fmt: skip
    found = lineage(metadata, declared="Illustrious", name="animagine_style.safetensors")
    assert [(one.rule, one.id) for one in found] == [
        ("hash", "sdxl-base"), ("base model", "noobai"), ("merge", "pony"), ("merge", "pony"),
        ("declared", "illustrious"), ("captions", "pony"), ("captions", "illustrious"), ("file name", "animagine"),
    ]  # fmt: skip
    strengths = [one.strength for one in found]
    assert strengths == sorted(strengths, reverse=True)
    assert strongest(found) == "sdxl-base"


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_new_sd_model_hash": "ab" * 32},
        {"ss_sd_model_hash": "abababab"},
        {"sd_merge_models": json.dumps({"ab" * 32: {}})},
    ],
)
def test_hashes_of_the_users_library(metadata):
    asked = []

    def known(digest: str) -> str | None:
        asked.append(digest)
        return "ponyDiffusionV6XL.safetensors"

    (first, *_) = lineage(metadata, known_hashes=known)
    assert (first.id, first.found) == ("pony", "ponyDiffusionV6XL.safetensors")
    assert asked == [next(iter(json.loads(value))) if value.startswith("{") else value for value in metadata.values()]


def test_a_known_file_of_no_lineage_is_worth_telling():
    (first,) = lineage({"ss_sd_model_hash": "abababab"}, known_hashes=lambda _: "my own mix.safetensors")
    assert (first.id, first.title, first.strength) == ("", "my own mix.safetensors", 6)
    assert strongest((first,)) is None
    (by_id,) = lineage({"ss_sd_model_hash": "abababab"}, known_hashes=lambda _: "illustrious")
    assert by_id.id == "illustrious"


@pytest.mark.parametrize("digest", ["", "none", "31e35c8", "31e35c80", "zz" * 32, "31e35c80fc" + "0" * 54])
def test_hashes_that_prove_nothing(digest):
    assert lineage({"ss_new_sd_model_hash": digest, "ss_sd_model_hash": digest}) == ()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Pony", "pony"),
        ("SDXL 1.0", "sdxl-base"),
        ("NoobAI", "noobai"),
        ("Flux.1 D", "flux-dev"),
        ("SD 1.5", "sd1-base"),
    ],
)
def test_words_of_model_pages(said, wanted):
    (found,) = lineage({}, declared=said)
    assert (found.id, found.rule, found.found) == (wanted, "declared", said)


def test_one_common_tag_is_no_caption_style():
    assert lineage({"ss_tag_frequency": json.dumps({"1_x": {"masterpiece": 5, "1girl": 3}})}) == ()


def test_names_inside_of_json():
    config = json.dumps({"concepts": [{"path": "/pony/pictures"}], "base_model_name": "OnomaAIResearch/Illustrious-XL"})
    (found,) = lineage({"ot_config": config})
    assert (found.id, found.key) == ("illustrious", "ot_config:base_model_name")


def test_a_lora_shows_its_lineage_and_stays_what_it_is():
    metadata = {"ss_sd_model_name": "illustriousXL_v01.safetensors", "ss_base_model_version": "sdxl_base_v1-0"}
    found = identify(header(LORA, metadata), name="pony_style.safetensors")
    assert (found.architecture, found.confidence, found.facts["lineage"]) == ("sdxl", "header", "illustrious")
    told = [(one.rule, one.tensor, one.found) for one in found.evidence if one.rule.startswith("lineage")]
    assert told == [
        ("lineage: illustrious (base model)", "ss_sd_model_name", "illustriousXL_v01.safetensors"),
        ("lineage: pony (file name)", "", "pony_style.safetensors"),
    ]
    plain = identify(header(LORA))
    assert "lineage" not in plain.facts
    assert (plain.fingerprint, plain.adapter) == (found.fingerprint, found.adapter)


def test_a_checkpoint_shows_what_it_was_merged_from():
    metadata = {"modelspec.merged_from": "ponyDiffusionV6XL, myMix", "modelspec.title": "My Mix"}
    assert identify(header(layout("sdxl"), metadata)).facts["lineage"] == "pony"
    assert "lineage" not in identify(header(layout("sd15"), metadata)).facts


def test_a_pony_of_another_architecture_is_none():
    assert "lineage" not in identify(header(layout("lora-sd15-kohya")), name="my_little_pony.safetensors").facts


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(
    st.sampled_from(["ss_sd_model_name", "ss_new_sd_model_hash", "sd_merge_models", "ss_tag_frequency", "ot_config"]),
    st.text(max_size=60).map(lambda text: text + "pony" + text * 50),
))  # fmt: skip
def test_any_text_is_shown_safely(metadata):
    for one in lineage(metadata, name="pony\x1b[2J\n", declared="\u202epony"):
        assert one.found.isprintable()
        assert len(one.found) <= 120
        assert one.id
