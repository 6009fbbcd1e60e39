"""Sidecars of every convention read: the words, whose word counts, and files that are broken or made to harm."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_time import at_most

from modelhub.formats.sidecars import read_sidecars
from modelhub.formats.sidecars.facts import FIELDS
from modelhub.formats.sidecars.text import from_html, is_html, line, prose, to_html

SHA = hashlib.sha256(b"tensors").hexdigest()
VERSION: dict[str, Any] = {
    "id": 128713, "modelId": 4384, "name": "v8", "baseModel": "Pony", "trainedWords": ["red hair, dress", "smile"],
    "description": "<p>Fixed hands</p>", "creator": {"username": "somebody"},
    "model": {
        "name": "Pony Style", "type": "LORA", "nsfw": True, "tags": ["style", "anime"],
        "description": "<p>Use &lt;lora:pony:1&gt;&nbsp;at <b>0.8</b></p><ul><li>one</li><li>two</li></ul>",
        "allowNoCredit": True, "allowCommercialUse": ["Image", "Rent"], "allowDerivatives": False,
    },
    "files": [
        {"name": "other.safetensors", "type": "Model", "hashes": {"SHA256": "CD" * 32}},
        {"name": "pony style.safetensors", "type": "Model", "hashes": {"SHA256": SHA.upper(), "AutoV3": "AB" * 6}},
    ],
}  # fmt: skip


def said(model: Path) -> dict[str, Any]:
    """What is said, without what nobody says and without the book-keeping."""
    facts = read_sidecars(model)
    assert facts.problems == ()
    values = {name: getattr(facts, name) for name in FIELDS}
    return {name: value for name, value in values.items() if value not in (None, (), {})}


def test_no_sidecars_say_nothing(model: Path):
    facts = read_sidecars(model)
    assert said(model) == {}
    assert facts.origin == {}


def test_civitai_info(model: Path, beside):
    beside(".civitai.info", VERSION)
    assert said(model) == {
        "name": "Pony Style", "version": "v8", "base_model": "Pony", "model_type": "LORA",
        "description": "Use <lora:pony:1> at 0.8\n\n- one\n- two", "trigger_words": ("red hair, dress", "smile"),
        "tags": ("style", "anime"), "creator": "somebody", "nsfw": True, "model_id": 4384, "version_id": 128713,
        "licence": "no credit needed; no derivatives; commercial use: Image, Rent",
        "source": "https://civitai.com/models/4384?modelVersionId=128713",
        "hashes": {"sha256": SHA, "autov3": "abababababab"},
    }  # fmt: skip
    assert read_sidecars(model).origin["name"] == "pony style.civitai.info"


def test_a_file_that_civitai_does_not_know(model: Path, beside):
    beside(".civitai.info", {**VERSION, "id": "", "modelId": "", "skeleton_file": True})
    assert said(model) == {"not_found": True, "hashes": {"sha256": SHA, "autov3": "abababababab"}}


def test_hashes_of_a_renamed_file_are_only_taken_where_there_is_one(model: Path, beside):
    files = [{"name": "a.safetensors", "hashes": {"SHA256": SHA}}, {"name": "b.safetensors", "hashes": {"SHA256": SHA}}]
    beside(".civitai.info", {"files": files})
    assert said(model) == {}
    beside(".civitai.info", {"files": [*files[:1], {"name": "t.zip", "type": "Training Data", "hashes": {}}]})
    assert said(model) == {"hashes": {"sha256": SHA}}


def test_hashes_of_the_other_model_of_a_stem_are_not_this_one_s(model: Path, beside):
    other = model.with_suffix(".ckpt")
    other.write_bytes(b"pickle")
    beside(".civitai.info", {"name": "v1", "files": [{"name": model.name, "hashes": {"SHA256": SHA}}]})
    beside(".metadata.json", {"sha256": SHA, "file_path": "C:\\models\\x.safetensors"})
    beside(".cm-info.json", {"RemoteFileName": "x.safetensors", "Hashes": {"SHA256": SHA}})
    assert said(model) == {"version": "v1", "hashes": {"sha256": SHA}}
    assert said(other) == {"version": "v1"}


def test_a1111(model: Path, beside):
    beside(".json", {
        "description": "my own <lora:x:1>", "sd version": "SDXL", "activation text": "red hair, dress,",
        "preferred weight": 0.75, "negative text": "blurry", "notes": "line 1\n  line 2", "extensions": {},
    })  # fmt: skip
    assert said(model) == {
        "description": "my own <lora:x:1>", "base_model": "SDXL", "trigger_words": ("red hair", "dress"),
        "weight": 0.75, "negative_words": ("blurry",), "notes": "line 1\nline 2",
    }  # fmt: skip


def test_lora_manager(model: Path, beside):
    beside(".metadata.json", {
        "file_name": "pony style", "model_name": "My name for it", "base_model": "Illustrious", "sha256": SHA,
        "notes": "mine", "tags": ["favourites"], "modelDescription": "<p>d</p>", "favorite": True, "civitai": VERSION,
        "usage_tips": '{"strength": 0.6, "clip_skip": 2}', "skip_metadata_refresh": True, "preview_url": "/etc/passwd",
    })  # fmt: skip
    found = said(model)
    assert found["name"], found["base_model"] == ("My name for it", "Illustrious")
    assert (found["notes"], found["tags"], found["weight"]) == ("mine", ("favourites",), 0.6)
    assert (found["favourite"], found["never_look_up"]) == (True, True)
    assert (found["version"], found["description"], found["version_id"]) == ("v8", "d", 128713)
    assert found["hashes"] == {"sha256": SHA, "autov3": "abababababab"}
    assert "preview" not in found


def test_lora_manager_without_a_provider(model: Path, beside):
    page = "https://huggingface.co/a/b"
    beside(".metadata.json", {"model_name": "pony style", "base_model": "Unknown", "hf_url": page, "civitai": {}})
    assert said(model) == {"source": page}, "its own file name is not a title"


def test_stability_matrix(model: Path, beside):
    beside(".cm-info.json", {
        "ModelId": 4384, "ModelName": "Pony Style", "UserTitle": "Mine", "ModelDescription": "<p>d</p>", "Nsfw": False,
        "Tags": ["a"], "ModelType": "LORA", "VersionId": 128713, "VersionName": "v8", "AuthorUsername": "somebody",
        "BaseModel": "Pony", "Hashes": {"SHA256": SHA.upper(), "BLAKE3": "EF" * 32}, "TrainedWords": ["x"],
        "Source": "Civitai",
    })  # fmt: skip
    assert said(model) == {
        "name": "Mine", "version": "v8", "base_model": "Pony", "model_type": "LORA", "description": "d", "nsfw": False,
        "tags": ("a",), "creator": "somebody", "trigger_words": ("x",), "model_id": 4384, "version_id": 128713,
        "source": "https://civitai.com/models/4384?modelVersionId=128713",
        "hashes": {"sha256": SHA, "blake3": "ef" * 32},
    }  # fmt: skip


def test_swarmui(model: Path, beside):
    beside(".swarm.json", {
        "modelspec.title": "T", "modelspec.author": "A", "modelspec.description": "<b>d</b>", "modelspec.license": "MIT",
        "modelspec.trigger_phrase": "x, y", "modelspec.tags": "p,q", "modelspec.lora_default_weight": "0.9",
        "modelspec.prediction_type": "v", "modelspec.hash": "0x" + SHA,
    })  # fmt: skip
    assert said(model) == {
        "name": "T", "creator": "A", "description": "d", "licence": "MIT", "trigger_words": ("x", "y"),
        "tags": ("p", "q"), "weight": 0.9, "prediction": "v", "hashes": {"autov3": SHA[:12]},
    }  # fmt: skip


def test_sha256sum_writes_what_we_read(model: Path, beside):
    out = subprocess.run(["sha256sum", model.name], cwd=model.parent, capture_output=True, text=True, check=True).stdout
    for text in (out, out.upper().split()[0], out.replace("  ", " *"), f"{'0' * 64}  other\n" + out, "\n" + out):
        beside(".sha256", text)
        assert said(model) == {"hashes": {"sha256": SHA}}, text
    out = subprocess.run(
        ["sha256sum", "--tag", model], cwd=model.parent, capture_output=True, text=True, check=True
    ).stdout
    beside(".sha256", out)
    assert said(model) == {"hashes": {"sha256": SHA}}
    beside(".sha256", f"{SHA}  another.safetensors\n")
    assert said(model) == {}


def test_names_that_sha256sum_escapes(tmp_path: Path):
    model = tmp_path / "a\\b\nc.ckpt"
    model.write_bytes(b"tensors")
    done = subprocess.run(["sha256sum", model.name], cwd=tmp_path, capture_output=True, text=True, check=True)
    model.with_suffix(".sha256").write_text(done.stdout)
    assert said(model) == {"hashes": {"sha256": SHA}}


def test_the_hash_of_nothing_is_none(model: Path, beside):
    beside(".sha256", hashlib.sha256().hexdigest())
    beside(".cm-info.json", {"Hashes": {"AutoV3": "e3b0c44298fc", "SHA256": "xyz", "CRC32": 5}})
    assert said(model) == {}


CONFIG = """model:
  target: {target}
  params:
    {line}
    first_stage_config:
      params: {{ddconfig: 1}}
    unet_config:
      target: x
      params:
        in_channels: 9 # with mask
        context_dim: 1024
    other_config:
        in_channels: 3
"""


@pytest.mark.parametrize(
    ("target", "line", "prediction"),
    [
        ("ldm.models.diffusion.ddpm.LatentDiffusion", 'parameterization: "v"', "v"),
        ("ldm.models.diffusion.ddpm.LatentDiffusion", "parameterization: eps  # plain", "epsilon"),
        ("ldm.models.diffusion.ddpm.LatentInpaintDiffusion", "timesteps: 1000", "epsilon"),
        ("sgm.models.diffusion.DiffusionEngine", "target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling", "v"),
        ("something.else", "x: 1", None),
    ],
)
def test_ldm_configurations(model: Path, beside, target: str, line: str, prediction: str | None):
    beside(".yaml", CONFIG.format(target=target, line=line))
    expected = {"in_channels": 9, "context": 1024} | ({"prediction": prediction} if prediction else {})
    assert said(model) == expected


def test_whose_word_counts(model: Path, beside):
    beside(".txt", "from txt")
    beside(".swarm.json", {"modelspec.description": "from swarm", "modelspec.title": "swarm", "modelspec.author": "s"})
    beside(".cm-info.json", {"ModelDescription": "from cm", "ModelName": "cm", "VersionId": 3, "AuthorUsername": "c"})
    beside(".civitai.info", {**VERSION, "creator": None})
    facts = read_sidecars(model)
    assert (facts.name, facts.creator) == ("Pony Style", "c")
    assert facts.origin["creator"] == "pony style.cm-info.json"
    beside(".metadata.json", {"modelDescription": "from lm", "notes": "lm"})
    assert read_sidecars(model).description == "from lm"
    beside(".description.txt", "from description")
    assert read_sidecars(model).description == "from description"
    beside(".json", {"description": "by hand", "notes": "by hand", "sd version": "SD1"})
    facts = read_sidecars(model)
    assert (facts.description, facts.notes) == ("by hand", "by hand")
    assert facts.base_model == "Pony", "A1111 has four words for it, Civitai has more"
    assert facts.problems == ()


def test_version_and_address_are_of_one_file(model: Path, beside):
    beside(".metadata.json", {"civitai": {"id": 1, "modelId": 2}})
    beside(".civitai.info", VERSION)
    facts = read_sidecars(model)
    assert (facts.model_id, facts.version_id, facts.version) == (2, 1, None)
    assert facts.source == "https://civitai.com/models/2?modelVersionId=1"


@pytest.mark.parametrize(
    ("endings", "best"),
    [
        ((".preview.png", ".png", ".jpg"), ".png"),
        ((".preview.jpg", ".webp"), ".preview.jpg"),
        ((".example.10.png", ".example.2.jpg", ".mp4"), ".example.2.jpg"),
        ((".thumb.jpg", ".gif", ".example.0.png"), ".thumb.jpg"),
        ((".PNG", ".jpg"), ".PNG"),
        ((".mp4", ".avif", ".other.png"), None),
    ],
)
def test_the_preview(model: Path, beside, endings: tuple[str, ...], best: str | None):
    for ending in endings:
        beside(ending, b"")
    expected = None if best is None else model.with_name(model.stem + best)
    assert read_sidecars(model).preview == expected


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_codings(model: Path, beside, coding: str):
    mark = b"\xff\xfe" if coding == "utf-16-le" else b""
    beside(".json", mark + json.dumps({"notes": "héllo 例"}, ensure_ascii=False).encode(coding))
    assert said(model) == {"notes": "héllo 例"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[]", "no table"),
        (b"[" * 150_000, "nested too deeply"),
        (b'{"a":' * 150_000, "nested too deeply"),
        (b"[" * 5_000_000, "lists and tables"),
        (b'{"id":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"{" + b" " * 8_000_000 + b"}", "too many"),
    ],
)
def test_broken_files_are_said_and_the_others_are_read(model: Path, beside, content: bytes, says: str):
    beside(".civitai.info", content)
    beside(".json", {"notes": "fine"})
    with at_most(4):
        facts = read_sidecars(model)
    assert facts.notes == "fine"
    [problem] = facts.problems
    assert "pony style.civitai.info" in problem
    assert says in problem


@pytest.mark.parametrize(
    "text",
    ["<a " * 2_000_000, "<script>" * 900_000, "&" * 7_000_000, "&#" + "9" * 100_000, " \n" * 3_000_000, "<p>" * 900_000],
    ids=["unclosed", "scripts", "ampersands", "digits", "space", "paragraphs"],
)  # fmt: skip
def test_endless_descriptions_end(model: Path, beside, text: str):
    beside(".civitai.info", {"model": {"description": text}})
    with at_most(4):
        facts = read_sidecars(model)
    assert len(facts.description or "") <= 20_000


def test_what_is_not_a_file_is_said(model: Path, beside, tmp_path: Path):
    model.with_suffix(".json").symlink_to(model.parent / "pony style.json")
    assert read_sidecars(model).problems == (), "a link that leads nowhere is no sidecar"
    gone = read_sidecars(tmp_path / "gone" / "x.ckpt")
    assert "does not exist" in gone.problems[0]


def test_nothing_unprintable_passes(model: Path, beside):
    evil = "a\x1b[31m\u202e\x00\ud800b\u2028c\u200d"
    beside(".civitai.info", {"name": evil, "baseModel": evil, "trainedWords": [evil], "model": {"description": evil}})
    beside(".json", {"notes": evil})
    found = said(model)
    texts = [found["version"], found["base_model"], *found["trigger_words"], found["description"], found["notes"]]
    assert all(text == "a[31mb c" for text in texts)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_KEYS = (
    "id", "modelId", "name", "model", "files", "trainedWords", "creator", "description", "notes", "activation text",
    "preferred weight", "civitai", "usage_tips", "tags", "sha256", "hf_url", "favorite", "ModelId", "Hashes",
    "UserTitle", "SourceUrl", "modelspec.tags", "modelspec.hash", "modelspec.lora_default_weight",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(_KEYS), _json), st.sampled_from([".json", ".civitai.info", ".metadata.json"]))
def test_wrong_types_say_nothing(tmp_path_factory, table: dict[str, Any], ending: str):
    model = tmp_path_factory.mktemp("m") / "x.ckpt"
    model.touch()
    for one in (ending, ".cm-info.json", ".swarm.json"):
        model.with_suffix(one).write_text(json.dumps(table))
    facts = read_sidecars(model)
    assert facts.problems == ()
    assert facts.origin.keys() <= FIELDS
    json.dumps([facts.name, facts.hashes, facts.weight, *facts.tags], allow_nan=False).encode()


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str):
    assert line(line(text)) == line(text)
    assert prose(prose(text)) == prose(text)
    assert line(text).isprintable()
    assert from_html(to_html(prose(text))) == prose(text)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain & simple", "plain & simple"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("<h1>T</h1>\n\n<p>one\n  two</p>", "T\n\none two"),
        ("<script>alert(1)</script>x<style>p {}</style>", "x"),
        ("<script>never closed", ""),
        ('<a href="javascript:x">link</a> <img src=x onerror=y>', "link"),
        ("2 &lt; 3 &amp;&amp; <lora:x:1> <unknown>", "2 < 3 && <lora:x:1> <unknown>"),
        ("&lt;b&gt;", "<b>"),
    ],
)
def test_html(markup: str, text: str):
    assert from_html(markup) == text
    assert is_html(markup) is any(tag in markup.lower() for tag in ("<br", "<h1", "<script", "<a ", "<b>"))
