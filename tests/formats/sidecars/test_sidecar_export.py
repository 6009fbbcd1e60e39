"""Sidecars written: what one convention can hold comes back from it, and nothing that stood there is lost."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import CorruptFileError, FileExistsAlreadyError, ModelhubError, UsageError
from modelhub.formats.sidecars import SidecarFacts, export_sidecar, read_sidecars, sidecar_path
from modelhub.formats.sidecars.table import WRITABLE
from modelhub.formats.sidecars.text import line, prose
from modelhub.formats.sidecars.values import HASH_DIGITS

_line = st.text(min_size=1, max_size=30).map(line).filter(bool)
_word = _line.map(lambda text: line(text.replace(",", " "))).filter(bool)
_text = st.one_of(st.text(max_size=60), st.sampled_from(["<b>x</b>", "&amp;", "a\n\nb", "<p>", "1 < 2"])).map(prose)
_words = st.lists(_word, max_size=3, unique=True).map(tuple)
_vague = {"unknown", "none"}


def _hex(name: str) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=HASH_DIGITS[name], max_size=HASH_DIGITS[name]).filter(
        lambda digits: not digits.startswith("e3b0")
    )


@st.composite
def _facts(draw: st.DrawFn) -> SidecarFacts:
    model_id, version_id = draw(st.none() | st.integers(1, 2**40)), draw(st.none() | st.integers(1, 2**40))
    return SidecarFacts(
        name=draw(st.none() | _line.filter(lambda name: name != "x")),
        version=draw(st.none() | _line),
        base_model=draw(st.none() | st.just("SDXL") | _line.filter(lambda word: word.lower() not in _vague)),
        model_type=draw(st.none() | _line),
        description=draw(_text) or None,
        notes=draw(_text) or None,
        trigger_words=draw(_words),
        negative_words=draw(_words),
        tags=draw(_words),
        creator=draw(st.none() | _line),
        licence=draw(st.none() | _line),
        nsfw=draw(st.none() | st.booleans()),
        model_id=model_id,
        version_id=version_id,
        weight=draw(st.none() | st.floats(0.01, 2)),
        hashes=draw(st.fixed_dictionaries({}, optional={name: _hex(name) for name in HASH_DIGITS})),
        favourite=draw(st.none() | st.booleans()),
        never_look_up=draw(st.none() | st.booleans()),
        prediction=draw(st.sampled_from([None, "epsilon", "v"])),
    )


#: Hashes that a convention has a place for, where it has not one for all.
_HASHES = {"lora-manager": ("sha256", "autov3"), "sha256": ("sha256",)}
#: A1111's only words for base models.
_A1111_BASES = ("SD1", "SD2", "SDXL", "Flux")


def _expected(facts: SidecarFacts, convention: str) -> dict[str, Any]:
    fields = WRITABLE[convention].fields - {"not_found", "source"}
    wanted = {name: getattr(facts, name) for name in fields}
    if "hashes" in wanted:
        known = _HASHES.get(convention, tuple(HASH_DIGITS))
        wanted["hashes"] = {name: digits for name, digits in facts.hashes.items() if name in known}
    if convention == "a1111" and wanted["base_model"] not in _A1111_BASES:
        wanted["base_model"] = None
    return wanted


@pytest.mark.parametrize("convention", WRITABLE)
@settings(max_examples=40)
@given(facts=_facts(), before=_facts())
def test_what_is_written_is_read(tmp_path_factory, convention: str, facts: SidecarFacts, before: SidecarFacts):
    model = tmp_path_factory.mktemp("m") / "x.safetensors"
    model.touch()
    expected = _expected(facts, convention)
    try:
        path = export_sidecar(facts, model, convention)
    except UsageError:
        assert not any(expected.values()), "there was something to write"
        return
    assert path == sidecar_path(model, convention)
    found = read_sidecars(model)
    assert found.problems == ()
    for name, value in expected.items():
        if value is not None or name != "nsfw":
            assert getattr(found, name) == value, name
    # and over whatever stood there
    export_sidecar(before, model, convention, force=True)
    export_sidecar(facts, model, convention, force=True)
    found = read_sidecars(model)
    for name, value in expected.items():
        if value not in (None, (), {}) and name != "hashes":
            assert getattr(found, name) == value, name
    assert expected.get("hashes", {}).items() <= found.hashes.items()


JSON = [name for name in WRITABLE if name != "sha256"]
FULL = SidecarFacts(
    name="Pony", version="v1", description="d", notes="n", trigger_words=("a", "b"), tags=("t",), creator="c",
    model_id=1, version_id=2, weight=0.5, hashes={"sha256": "ab" * 32, "autov3": "ab" * 6}, base_model="SDXL",
)  # fmt: skip


@pytest.mark.parametrize("convention", JSON)
def test_unknown_keys_stay(model: Path, convention: str):
    goal = sidecar_path(model, convention)
    goal.write_text(json.dumps({"their own": {"deep": [1, None]}, "civitai": {"x": 1}, "ünï": "\ud800"}))
    export_sidecar(FULL, model, convention, force=True)
    after = json.loads(goal.read_text())
    assert after["their own"] == {"deep": [1, None]}
    assert after["civitai"]["x"] == 1
    assert "ünï" in after


def test_what_is_said_already_stays_as_it_is_written(model: Path, beside):
    html = '<p class="x">d <i>e</i></p>'
    path = beside(".civitai.info", {"model": {"description": html, "name": "Pony"}, "trainedWords": [" a ", "a", "b"]})
    before = path.read_text()
    export_sidecar(read_sidecars(model), model, "civitai-info", force=True)
    assert json.loads(path.read_text()) == json.loads(before)
    export_sidecar(replace(read_sidecars(model), name="Other"), model, "civitai-info", force=True)
    assert json.loads(path.read_text())["model"] == {"description": html, "name": "Other"}


def test_facts_that_say_nothing_take_nothing_away(model: Path):
    export_sidecar(FULL, model, "a1111")
    export_sidecar(SidecarFacts(notes="new"), model, "a1111", force=True)
    found = read_sidecars(model)
    assert (found.notes, found.trigger_words, found.weight) == ("new", ("a", "b"), 0.5)


def test_keys_are_spelled_as_the_tools_read_them(model: Path):
    paths = {name: export_sidecar(FULL, model, name) for name in JSON}
    written = {name: json.loads(path.read_text()) for name, path in paths.items()}
    civitai, lora_manager, matrix = written["civitai-info"], written["lora-manager"], written["stability-matrix"]
    assert written["a1111"] == {
        "description": "d", "sd version": "SDXL", "activation text": "a, b", "preferred weight": 0.5, "notes": "n",
    }  # fmt: skip
    assert (civitai["id"], civitai["modelId"], civitai["files"][0]["hashes"]["SHA256"]) == (2, 1, "AB" * 32)
    assert lora_manager["file_path"] == model.as_posix()
    assert (lora_manager["file_name"], lora_manager["size"]) == (model.stem, 7)
    assert (lora_manager["sha256"], lora_manager["from_civitai"]) == ("ab" * 32, True)
    assert json.loads(lora_manager["usage_tips"]) == {"strength": 0.5}
    assert (matrix["ModelId"], matrix["TrainedWords"], matrix["Hashes"]["SHA256"]) == (1, ["a", "b"], "AB" * 32)
    assert all(key.startswith("modelspec.") for key in written["swarm"])


def test_extra_keys_are_written(model: Path):
    path = export_sidecar(FULL, model, "swarm", extra={"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"})
    assert json.loads(path.read_text())["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"


def test_sha256sum_agrees(model: Path):
    import hashlib

    facts = SidecarFacts(hashes={"sha256": hashlib.sha256(b"tensors").hexdigest()})
    for name in (model.name, "a\\b\nc.safetensors"):
        model = model.rename(model.with_name(name))
        path = export_sidecar(facts, model, "sha256")
        done = subprocess.run(["sha256sum", "--strict", "-c", path], cwd=model.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_lines_of_other_files_stay(model: Path, beside):
    path = beside(".sha256", f"{'1' * 64}  other.ckpt\n{'2' * 64}  {model.name}\n")
    export_sidecar(FULL, model, "sha256", force=True)
    assert path.read_text() == f"{'1' * 64}  other.ckpt\n{'ab' * 32}  {model.name}\n"


def test_a_file_that_a_provider_does_not_know(model: Path):
    export_sidecar(SidecarFacts(not_found=True), model, "civitai-info")
    assert read_sidecars(model).not_found is True


@pytest.mark.parametrize("convention", WRITABLE)
def test_nothing_is_replaced_without_force(model: Path, convention: str):
    goal = sidecar_path(model, convention)
    goal.write_text("mine")
    with pytest.raises(FileExistsAlreadyError):
        export_sidecar(FULL, model, convention)
    assert goal.read_text() == "mine"


@pytest.mark.parametrize("convention", JSON)
@pytest.mark.parametrize("content", [b"not json", b"[1]", b'{"a":' * 100_000])
def test_what_cannot_be_read_is_not_written_over(model: Path, convention: str, content: bytes):
    goal = sidecar_path(model, convention)
    goal.write_bytes(content)
    with pytest.raises(CorruptFileError):
        export_sidecar(FULL, model, convention, force=True)
    assert goal.read_bytes() == content
    assert set(model.parent.iterdir()) == {model, goal}


def test_wrong_words_are_said(model: Path):
    with pytest.raises(UsageError, match="no kind of sidecar"):
        export_sidecar(FULL, model, "yaml")
    with pytest.raises(UsageError, match="Nothing is known"):
        export_sidecar(SidecarFacts(), model, "a1111")
    with pytest.raises(ModelhubError, match="is not a folder"):
        export_sidecar(FULL, model.parent / "gone" / "x.ckpt", "a1111")


def test_beside_a_folder(tmp_path: Path):
    folder = tmp_path / "pipe.v1"
    folder.mkdir()
    assert export_sidecar(FULL, folder, "a1111") == tmp_path / "pipe.v1.json"
    assert read_sidecars(folder).notes == "n"


def test_the_address_follows_the_ids(model: Path):
    page = "https://civitai.com/models/{}?modelVersionId={}"
    export_sidecar(replace(FULL, source=page.format(1, 2)), model, "stability-matrix")
    assert read_sidecars(model).source == page.format(1, 2)
    path = export_sidecar(replace(FULL, version_id=3, source=page.format(1, 3)), model, "stability-matrix", force=True)
    assert "SourceUrl" not in json.loads(path.read_text()), "two places for one thing would come to differ"
    assert read_sidecars(model).source == page.format(1, 3)
    export_sidecar(SidecarFacts(source="https://openmodeldb.info/models/x"), model, "stability-matrix", force=True)
    assert read_sidecars(model).source == "https://openmodeldb.info/models/x"
