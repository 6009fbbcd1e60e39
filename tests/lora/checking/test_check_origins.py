"""Where both sides come from: lineages, predictions, what metadata says. Advice that never makes a pair incompatible."""

from __future__ import annotations

import json
import tomllib

import pytest
from check_helper import check, having, ids, whole
from layouts_helper import header, layout

from modelhub.catalog.architectures import architectures
from modelhub.catalog.data import data_path
from modelhub.catalog.lineage import lineage_title
from modelhub.formats.header import Header
from modelhub.lora.checking.answer import VERDICTS

LORA, MODEL = "lora-sdxl-kohya", "sdxl"
ILLUSTRIOUS = {"ss_sd_model_name": "illustriousXL_v01.safetensors"}


def _lora(metadata: dict[str, str], name: str = LORA) -> Header:
    tensors = {
        tensor: entry
        for tensor, entry in layout(name).items()
        if "_attn1_to_q" in tensor or "double_blocks_1" in tensor
    }
    return header(tensors or layout(name), metadata)


def _model(metadata: dict[str, str], name: str = MODEL) -> Header:
    return header(layout(name), metadata)


def test_lineages_that_differ():
    answer = check(_lora(ILLUSTRIOUS), whole(MODEL), name="noobaiXL_v11.safetensors")
    assert (answer.verdict, "illustrious-noobai" in ids(answer)) == ("caution", True)
    assert (answer.lineage.lora, answer.lineage.checkpoint, answer.lineage.rule) == (
        "illustrious", "noobai", "illustrious-noobai"
    )  # fmt: skip
    assert answer.lineage.say == (
        'the LoRA: trained on "illustriousXL_v01.safetensors" (ss_sd_model_name); this checkpoint: NoobAI, by its file name'
    )
    assert "usually work" in answer.headline


@pytest.mark.parametrize(
    ("trained", "model", "rule"),
    [
        ("ponyDiffusionV6XL", "illustriousXL", "pony"), ("illustriousXL", "ponyDiffusionV6XL", "pony"),
        ("noobaiXL", "illustriousXL", "illustrious-noobai"), ("sd_xl_base_1.0", "illustriousXL", "from-sdxl-base"),
        ("illustriousXL", "sd_xl_base_1.0", "lineage-differs"), ("animagine-xl", "noobaiXL", "lineage-differs"),
        ("ponyDiffusionV6XL", "ponyRealism", "same-lineage"), ("myOwnMix", "noobaiXL", None), ("noobaiXL", "myOwnMix", None),
    ],
)  # fmt: skip
def test_rules_about_two_lineages(trained, model, rule):
    answer = check(_lora({"ss_sd_model_name": trained}), whole(MODEL), name=model + ".safetensors")
    told = {"pony", "illustrious-noobai", "from-sdxl-base", "lineage-differs", "same-lineage"} & ids(answer)
    assert told == ({rule} if rule else set())
    assert answer.verdict == ("compatible" if rule in (None, "same-lineage") else "caution")


@pytest.mark.parametrize(
    ("trained", "model", "rule"),
    [
        ("flux1-dev", "flux1-dev_fp8", "same-lineage"), ("flux1-dev", "flux1-schnell", "flux-schnell"),
        ("flux1-schnell", "flux1-dev", "flux-schnell"), ("flux1-dev", "flux1-krea-dev", "flux-krea"),
        ("black-forest-labs/FLUX.1-dev", "flux1-dev-kontext", "flux-kontext"),
    ],
)  # fmt: skip
def test_rules_about_the_lineages_of_flux(trained, model, rule):
    fixture = "flux-schnell" if "schnell" in model else "flux-dev"
    answer = check(_lora({"ss_sd_model_name": trained}, "lora-flux-kohya"), whole(fixture), name=model + ".safetensors")
    assert rule in ids(answer)
    assert answer.verdict == ("compatible" if rule == "same-lineage" else "caution")


def test_a_merge_of_the_family_that_a_lora_was_trained_on():
    parents = json.dumps({"ab" * 32: {"name": "illustriousXL_v01.safetensors"}, "cd" * 32: {"name": "ponyV6"}})
    answer = check(_lora(ILLUSTRIOUS), _model({"sd_merge_models": parents}))
    assert (answer.verdict, "same-lineage" in ids(answer)) == ("compatible", True)
    assert answer.lineage.say.endswith("this checkpoint: merged from Pony (sd_merge_models)")


def test_stronger_evidence_counts():
    lora = _lora({**ILLUSTRIOUS, "ss_tag_frequency": json.dumps({"1_x": {"score_9": 3, "score_8_up": 3}})})
    answer = check(lora, whole(MODEL), lora_name="pony_style.safetensors", name="illustriousXL.safetensors")
    assert (answer.verdict, answer.lineage.lora) == ("compatible", "illustrious")
    captions = check(
        _lora({"ss_tag_frequency": json.dumps({"1_x": {"score_9": 3}})}), whole(MODEL), name="il_mix.safetensors"
    )
    assert (captions.verdict, captions.lineage.lora) == ("caution", "pony")
    assert "captions as for Pony (ss_tag_frequency)" in captions.lineage.say


def test_a_file_of_the_library_that_a_lora_was_trained_on():
    answer = check(_lora(ILLUSTRIOUS), whole(MODEL), name="noobaiXL.safetensors", trained_on="my own mix.safetensors")
    assert any('trained on "my own mix.safetensors"' in one.say for one in answer.reasons)
    here = check(_lora(ILLUSTRIOUS), whole(MODEL), name="noobaiXL.safetensors", trained_on="noobaiXL.safetensors")
    assert (here.verdict, any("trained on this checkpoint" in one.say for one in here.reasons)) == ("compatible", True)


V = {"modelspec.prediction_type": "v"}
EPSILON = {"modelspec.prediction_type": "epsilon"}


@pytest.mark.parametrize(
    ("mine", "theirs", "verdict", "rule"),
    [
        (V, {}, "caution", "prediction-v-epsilon"), ({"ss_zero_terminal_snr": "True"}, {}, "caution", "prediction-v-epsilon"),
        ({"ss_v_parameterization": "True"}, EPSILON, "caution", "prediction-v-epsilon"),
        (EPSILON, V, "caution", "prediction-epsilon-v"), ({}, V, "compatible", "prediction-unknown-v"),
        (V, V, "compatible", "same-prediction"), ({}, {}, "compatible", None), (EPSILON, {}, "compatible", None),
    ],
)  # fmt: skip
def test_predictions(mine, theirs, verdict, rule):
    answer = check(_lora(mine), _model(theirs))
    assert answer.verdict == verdict
    assert {one for one in ids(answer) if "prediction" in one} == ({rule} if rule else set())


def test_marker_tensors_and_names_that_tell_the_prediction():
    marked = header({**layout(MODEL), "v_pred": ("F32", (0,)), "ztsnr": ("F32", (0,))})
    assert "prediction-unknown-v" in ids(check(_lora({}), marked))
    assert "prediction-v-epsilon" not in ids(check(_lora(V), marked))
    assert "same-prediction" in ids(check(_lora(V), whole(MODEL), name="noobaiXL_vPred10.safetensors"))


def test_sd2_predicts_either_and_nothing_is_assumed():
    lora = header(
        {n: e for n, e in layout("lora-sd15-kohya").items() if "_attn1_" in n}, {"ss_base_model_version": "sd_v2_v"}
    )
    answer = check(lora, whole("sd21"))
    assert (answer.verdict, answer.base) == ("compatible", ("sd1", "sd2"))
    assert not any("prediction" in one for one in ids(answer))


def test_shapes_win_over_metadata_and_the_contradiction_is_shown():
    lora = header(layout("lora-sd15-kohya"), {"ss_base_model_version": "sdxl_base_v1-0"})
    for name, verdict in (("sd15", "compatible"), ("sdxl", "incompatible")):
        answer = check(lora, whole(name))
        assert (answer.verdict, answer.base) == (verdict, ("sd1",))
        (said,) = [one.say for one in answer.reasons if one.id == "metadata-contradicts"]
        assert "says sdxl_base_v1-0" in said


def test_what_metadata_alone_says_proves_nothing():
    odd = header({"diffusion_model.strange.lora_A.weight": ("F16", (4, 9)), "diffusion_model.strange.lora_B.weight": ("F16", (9, 4))},
                 {"ss_base_model_version": "sdxl_base_v1-0"})  # fmt: skip
    answer = check(odd, whole("sdxl"))
    assert (answer.verdict, answer.base) == ("unknown", ("sdxl",))
    assert "which no tensor proves" in answer.headline


def test_names_that_a_file_chose_are_shown_safely():
    hostile = "pony\x1b[2J\n[red]\u202e"
    answer = check(
        _lora({"ss_sd_model_name": hostile}), _model({}), lora_name=hostile, name=hostile, trained_on=hostile
    )
    assert all(one.say.isprintable() for one in answer.reasons)
    assert answer.lineage.say.isprintable()
    assert answer.headline.isprintable()


def test_advice_is_left_out_where_nothing_fits():
    answer = check(_lora(ILLUSTRIOUS), _model({}, "sd15"), name="noobaiXL_vpred.safetensors")
    assert answer.verdict == "incompatible"
    assert not any("prediction" in one or "illustrious" in one for one in ids(answer))
    assert check(having("lora-flux-kohya", "img_attn"), whole("sd3-medium")).verdict == "incompatible"


def test_every_row_of_the_relations_is_whole():
    table = tomllib.loads(data_path("relations.toml").read_text(encoding="utf-8"))
    pairs = [*table["lineages"]["pair"], table["lineages"]["other"]]
    rows = [*table["related"], *table["variant"], *table["missing"], *pairs]
    assert len({row["id"] for row in rows}) == len(rows)
    known = {one.id for one in architectures()}
    variants = {found.variant for one in architectures() for found in one.variants} | {
        one.variant for one in architectures()
    }
    for row in (*rows, *table["prediction"]):
        assert row["verdict"] in VERDICTS[:4]
        assert row["say"].endswith(".")
        assert row["say"].isascii()
    for row in table["variant"]:
        assert set(row["architecture"]) <= known
        assert set(row["variant"]) <= variants, row["id"]
        assert row.get("without", "input") in {*table["marks"], "input"}
    assert {one for row in table["related"] for one in row["between"]} <= known
    assert {row["mark"] for row in table["missing"]} <= {*table["marks"]}
    named = {one for row in pairs for one in (*row.get("between", ()), row.get("from", "*"), row.get("to", "*"))}
    assert all(lineage_title(one) != one for one in named - {"*"})
