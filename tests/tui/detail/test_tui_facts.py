"""What the detail pane says: words of the user, of sidecars and of metadata, never as Python writes them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.detail.facts import _merge, sections
from modelhub.tui.detail.values import pairs, words

METADATA = {
    "ss_network_module": "networks.lora",
    "ss_network_dim": "4",
    "ss_sd_model_name": "ponyDiffusionV6XL.safetensors",
    "ss_tag_frequency": json.dumps({"5_hat": {"hat": 20, "solo": 9}}),
    "ss_training_comment": "[bold]loud[/bold] \x1b[31mred",
}


def lora():
    base = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn"
    found = {}
    for part, width in (("1_to_q", 320), ("1_to_k", 320), ("2_to_k", 768)):
        found[f"{base}{part}.lora_down.weight"] = np.zeros((4, width), "float16")
        found[f"{base}{part}.lora_up.weight"] = np.zeros((320, 4), "float16")
        found[f"{base}{part}.alpha"] = np.zeros((), "float16")
    return found


@pytest.fixture
def asset(home, make_file, tmp_path):
    path = make_file(tmp_path / "models" / "hat.safetensors", lora(), METADATA)
    about = {"description": "First line.\nSecond \x1b[31mline.", "sd version": "SD1", "preferred weight": 0.7}
    path.with_suffix(".json").write_text(json.dumps(about))
    (path.parent / "link.safetensors").symlink_to(path)
    with Catalog.open(home) as catalog:
        scan(catalog, [path.parent])
        catalog.override([1], {"kind": "vae"})
        return catalog.get(1)


def told(asset):
    return {section.title: {fact.label: fact.text for fact in section.facts} for section in sections(asset)}


def test_everything_is_said_in_words(asset):
    found = told(asset)
    assert found["Identity"]["kind"] == "vae, set by you; the file says lora"
    assert found["Training"]["tags"] == "hat 20, solo 9"
    assert found["Training"]["base model"] == "ponyDiffusionV6XL.safetensors"
    assert found["Adapter"]["rank"] == "4" and found["Adapter"]["modules"] == "3: 3 attention"
    assert found["Adapter"]["naming"] == "kohya"
    assert found["Beside it"]["declared base"] == "SD1" and found["Beside it"]["weight"] == "0.7"
    assert found["Beside it"]["description"].startswith("First line.\nSecond")
    assert found["Beside it"]["from"] == "hat.json"
    assert any("also at" in fact.text for section in sections(asset) for fact in section.facts)


def test_nothing_is_said_as_python_says_it_and_nothing_is_empty(asset):
    texts = [fact.text for section in sections(asset) for fact in section.facts]
    assert all(texts) and not [text for text in texts if re.search(r"[{}]|\bTrue\b|\bNone\b|\x1b", text)]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": {"b": 1}, "c": [True, None]}, "a b 1, c yes"),
        ([320, 4], "320 × 4"),
        ([{"a": 1}, {"b": 2.50}], "a 1, b 2.5"),
        (False, "no"),
        (None, ""),
        ({}, ""),
        (0, "0"),
    ],
)
def test_values(value, says):
    assert words(value) == says


def test_what_is_long_is_cut_and_what_is_empty_left_out():
    found = pairs({"many_words": ["word"] * 1000, "none": None, "empty": [], "a\nb": "x\x1b"})
    assert list(found) == ["many words", "a\\x0ab"] and found["a\\x0ab"] == "x\\x1b"
    assert len(found["many words"]) == 400


def test_a_merge_tells_its_parents_and_what_was_done():
    text = """
    [models]
    A = { ref = "/m/one.safetensors" }
    B = "two[red].safetensors"
    [[steps]]
    method = "weighted-sum"
    inputs = ["A", "B"]
    alpha = 0.3
    [output]
    dtype = "fp16"
    """
    facts = {fact.label: fact.text for fact in _merge(text)}
    assert facts == {
        "A": "one.safetensors",
        "B": "two[red].safetensors",
        "result": "weighted-sum A B  alpha 0.3",
        "": "stored as fp16",
    }
    assert not list(_merge(""))
    assert "cannot be read" in next(iter(_merge("[[steps"))).text


def test_a_merge_of_very_many_models_stays_short():
    many = "\n".join(f'M{n} = "m{n}.safetensors"' for n in range(50))
    inputs = ", ".join(f'"M{n}"' for n in range(50))
    facts = list(_merge(f'[models]\n{many}\n[[steps]]\nmethod = "average"\ninputs = [{inputs}]'))
    assert len(facts) == 14
    assert facts[12].text == "and 38 more models"


def test_what_a_provider_says_has_its_own_place(asset):
    said = {
        "provider": "civitai",
        "at": 1_760_000_000.0,
        "base_model": "Pony",
        "creator": "a\x1b[31mb",
        "description": "x" * 4100,
    }
    found = told(replace(asset, provided=said, sidecar={"creator": "mine"}))["On Civitai"]
    assert found["declared base"] == "Pony" and found["asked"].startswith("2025-10-")
    assert "creator" not in found, "a file beside it says it already"
    assert len(found["description"]) == 4001
    shown = told(replace(asset, provided={**said, "gone": 1_770_000_000.0, "matched_by": "autov3"}))["On Civitai"]
    assert "\x1b" not in "".join(shown.values()) and "2026-02" in shown["gone"] and "weights" in shown["known by"]
    assert (
        "not known"
        in told(replace(asset, provided={"provider": "civitai", "at": 5.0, "not_found": True}))["On Civitai"]["asked"]
    )
    assert told(replace(asset, never_look_up=True))["On the web"]["looked up"] == "never"
