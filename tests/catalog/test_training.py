"""What trainers write into metadata: settings as values, trigger words, embedded hashes; all of it untrusted."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts_helper import header, layout, of_shapes

from modelhub.catalog.identify import identify
from modelhub.catalog.training import embedded_hash, learn, trigger_words

KOHYA = {
    "ss_network_module": "networks.lora", "ss_network_dim": "32", "ss_network_alpha": "16.0",
    "ss_sd_model_name": "illustriousXL_v01.safetensors", "ss_new_sd_model_hash": "ab" * 32, "ss_sd_model_hash": "abababab",
    "ss_num_train_images": "120", "ss_epoch": "8", "ss_num_epochs": "10", "ss_steps": "960", "ss_max_train_steps": "1200",
    "ss_resolution": "(1024, 1024)", "ss_clip_skip": "2", "ss_training_finished_at": "1717200000.5",
    "ss_output_name": "my_style", "ss_vae_name": "None", "ss_training_comment": "second try",
}  # fmt: skip


def test_sd_scripts():
    assert learn(KOHYA).training == {
        "trainer": "sd-scripts", "network_module": "networks.lora", "base_model": "illustriousXL_v01.safetensors",
        "base_hash": "ab" * 32, "resolution": "(1024, 1024)", "title": "my_style", "comment": "second try",
        "dim": 32, "alpha": 16, "images": 120, "epochs": 8, "steps": 960, "clip_skip": 2, "date": "2024-06-01",
    }  # fmt: skip


def test_modelspec():
    told = learn({
        "modelspec.title": "Ink", "modelspec.author": "somebody", "modelspec.license": "CC0", "modelspec.date": "2024-05-31",
        "modelspec.usage_hint": "weight 0.8", "modelspec.resolution": "1024x1024", "modelspec.lora_default_weight": "0.8",
    }).training  # fmt: skip
    assert told == {
        "title": "Ink", "author": "somebody", "license": "CC0", "date": "2024-05-31", "usage_hint": "weight 0.8",
        "resolution": "1024x1024", "default_weight": 0.8,
    }  # fmt: skip


@pytest.mark.parametrize("software", ['{"name": "ai-toolkit", "version": "0.1.0"}', "ai-toolkit 0.1.0"])
def test_ai_toolkit(software):
    learned = learn({
        "software": software, "training_info": '{"step": 2000, "epoch": 12}', "name": "bird_lora",
        "ss_base_model_version": "flux1", "ss_tag_frequency": '{"1_[trigger]": {"[trigger]": 1}, "1_b1rd": {"b1rd": 1}}',
    })  # fmt: skip
    assert learned.training == {
        "trainer": "ai-toolkit 0.1.0", "title": "bird_lora", "steps": 2000, "epochs": 12, "tags": {"b1rd": 1}
    }  # fmt: skip
    assert learned.trigger_words == ("b1rd",)


def test_onetrainer():
    config = {
        "base_model_name": "stabilityai/sdxl", "epochs": 100, "resolution": "1024", "lora_rank": 16, "lora_alpha": 1.0,
        "concepts": [{"name": "red fox"}, {"name": None}, 3],
    }  # fmt: skip
    learned = learn({"ot_branch": "master", "ot_config": json.dumps(config), "modelspec.architecture": ""})
    assert learned.training == {
        "trainer": "OneTrainer", "base_model": "stabilityai/sdxl", "epochs": 100, "resolution": "1024", "dim": 16, "alpha": 1
    }  # fmt: skip
    assert learned.trigger_words == ("red fox",)


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_peft(prefix):
    config = {prefix + "r": 8, prefix + "lora_alpha": 12.5, prefix + "target_modules": ["to_q"]}
    told = learn({"lora_adapter_metadata": json.dumps(config)}).training
    assert told == {"trainer": "PEFT", "dim": 8, "alpha": 12.5}


def test_only_what_is_there():
    nothing = {"format": "pt", "ss_network_dim": "None", "modelspec.title": " ", "ss_optimizer": "none"}
    assert learn(nothing).training == {}
    found = identify(header(layout("sd15"), {"format": "pt"}))
    assert "training" not in found.facts
    assert "embedded_hash" not in found.facts


def test_trigger_words_of_data_sets():
    sets = [{"subsets": [{"class_tokens": 'sks "dog"', "image_dir": "x"}, {"class_tokens": None}]}]
    tags = {"10_ohwx man": {"ohwx": 20, "1girl": 3}, "1_img": {"blue": 2}}
    words = trigger_words({
        "modelspec.trigger_phrase": "one, two", "ss_datasets": json.dumps(sets), "ss_tag_frequency": json.dumps(tags)
    })  # fmt: skip
    assert words == ("one", "two", 'sks "dog"', "ohwx man", "ohwx", "blue")


def test_the_most_frequent_tags_of_all_sets():
    tags = {"1_a": {"red": 3, "blue": 2}, "1_b": {"blue": 2, " ": 9, "bad": -1, "worse": 1.5, "yes": True}}
    assert learn({"ss_tag_frequency": json.dumps(tags)}).training["tags"] == {"blue": 4, "red": 3}


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({"sshs_model_hash": "AB" * 32}, "ab" * 32),
        ({"modelspec.hash_sha256": "0x" + "cd" * 32}, "cd" * 32),
        ({"sshs_model_hash": "ab" * 32, "modelspec.hash_sha256": "0x" + "cd" * 32}, "ab" * 32),
        ({"sshs_model_hash": sha256(b"").hexdigest(), "modelspec.hash_sha256": "0x" + "cd" * 32}, "cd" * 32),
        ({"modelspec.hash_sha256": "0x" + sha256(b"").hexdigest()}, None),
        ({"sshs_model_hash": "ab" * 31}, None),
        ({"sshs_model_hash": "ab" * 33}, None),
        ({}, None),
    ],
)
def test_embedded_hashes(metadata, wanted):
    assert embedded_hash(metadata) == wanted
    assert identify(of_shapes({"a": (1,)}, metadata)).facts.get("embedded_hash") == wanted


@pytest.mark.parametrize(
    ("metadata", "prediction"),
    [
        ({"ss_v_parameterization": "True"}, "v"), ({"ss_v_parameterization": "true"}, "v"),
        ({"ss_v_parameterization": "False"}, None), ({"modelspec.prediction_type": "v"}, "v"), ({}, None),
    ],
)  # fmt: skip
def test_traces_of_v_prediction(metadata, prediction):
    found = identify(header(layout("lora-sdxl-kohya"), metadata))
    assert found.prediction == prediction
    keys = {one.tensor for one in found.evidence if one.rule == "metadata"}
    assert keys == (set(metadata) if prediction else set())


def test_zero_terminal_snr_is_a_fact():
    found = identify(header(layout("lora-sdxl-kohya"), {"ss_zero_terminal_snr": "True"}))
    assert found.facts["zero_terminal_snr"] is True


_KEYS = sorted({*KOHYA, "software", "training_info", "ot_config", "lora_adapter_metadata", "ss_tag_frequency",
                "ss_datasets", "modelspec.trigger_phrase", "modelspec.date", "modelspec.lora_default_weight"})  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "r", "step", "epochs", "concepts", "1_x", "lora_alpha", "x.r"]) | st.text(max_size=5), inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_KEYS), st.text(max_size=40) | _JSON.map(json.dumps)))
def test_anything_gives_clean_values(metadata):
    learned = learn(metadata)
    json.dumps(learned.training, allow_nan=False)
    for value in (*learned.training.values(), *learned.trigger_words, *learned.training.get("tags", {})):
        assert isinstance(value, int | float | dict) or (value.isprintable() and 0 < len(value) <= 200)
    assert len(learned.trigger_words) <= 12


@pytest.mark.parametrize(
    "value",
    ["9" * 5000, "1e999", "-1", "nan", "[" * 100_000, '{"r": 1e999}', '{"r": NaN}', '{"step": ' + "9" * 5000 + "}",
     "\x1b[31m" * 1000, "\ud800", '{"name": "\\ud800"}', "x" * 5_000_000, '"class_tokens": "' + "\\" * 100_000],
)  # fmt: skip
def test_hostile_values(value):
    learned = learn(dict.fromkeys(_KEYS, value))
    json.dumps(learned.training, allow_nan=False)
    shown = [*learned.trigger_words, *(one for one in learned.training.values() if isinstance(one, str))]
    assert all(one.isprintable() and len(one) <= 200 for one in shown)
