"""What other programs stumble over, from headers alone: each oddity is found, and no honest file has one."""

from __future__ import annotations

import json

import pytest
from inspection_files import HOSTILE, gguf, layout, sparse

from modelhub.convert.inspect import Finding, Inspection, inspect
from modelhub.convert.inspect.report import LEVELS


def by_code(found: Inspection) -> dict[str, Finding]:
    return {one.code: one for one in found.findings}


@pytest.mark.parametrize("name", ["sd15", "sdxl", "clip-l", "flux-dev", "lora-sdxl-kohya", "vae-sd", "controlnet-sd15"])
def test_released_models_are_beyond_suspicion(tmp_path, name):
    found = inspect(sparse(tmp_path / "a.safetensors", layout(name), {"format": "pt"}))
    assert found.verdict == "safe"
    assert [one for one in found.findings if one.level != "note"] == []


def test_unaligned_data_is_found_and_named(tmp_path):
    entries = {"odd": ("BOOL", (3,)), "wide": ("F32", (2,)), "none": ("F32", (0,))}
    found = inspect(sparse(tmp_path / "a.safetensors", entries))
    assert by_code(found)["unaligned"].names == ("wide",)
    assert found.container["aligned"] is False
    assert found.verdict == "safe"


def test_alignment_counts_from_the_start_of_the_file(tmp_path):
    path = sparse(tmp_path / "a.safetensors", {"w": ("F32", (2,))}, pad=1)
    start = int.from_bytes(path.read_bytes()[:8], "little") + 8
    found = by_code(inspect(path))
    assert ("unaligned" in found) == (start % 4 != 0)
    assert ("unaligned" in found) or ("unpadded" in found) or start % 8 == 0


def test_header_padding_and_order_are_told(tmp_path, make_file):
    import numpy as np

    tensors = {"b": np.zeros(2, np.float32), "a": np.zeros(2, np.float16), "c": np.zeros(3, np.float32)}
    library = make_file("library.safetensors", tensors)
    raw = library.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    found = inspect(library).container
    assert found["header_bytes"] == 8 + length
    assert found["padding"] == len(raw[8 : 8 + length]) - len(raw[8 : 8 + length].rstrip(b" "))
    assert found["order"] == "dtype, name"
    assert inspect(sparse(tmp_path / "1.safetensors", dict.fromkeys("abc", ("F32", (1,))))).container["order"] == "name"
    assert (
        inspect(sparse(tmp_path / "2.safetensors", dict.fromkeys("acb", ("F32", (1,))))).container["order"] == "writer"
    )


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../../b", "/etc/passwd", "..\\x", "C:\\x", "~/x", "a/.."]
)  # fmt: skip
def test_names_that_look_like_paths_are_suspicious(tmp_path, name):
    found = inspect(sparse(tmp_path / "a.safetensors", {name: ("F32", (1,)), "good": ("F32", (1,))}))
    assert found.verdict == "suspicious"
    assert by_code(found)["path-names"].names == (name,)


@pytest.mark.parametrize("name", ["a/b.weight", "a..b", "time: 3", "x.0..y", "dense/kernel:0", "ab:c", "a.~b"])
def test_names_with_marks_of_paths_may_be_honest(tmp_path, name):
    assert inspect(sparse(tmp_path / "a.safetensors", {name: ("F32", (1,))})).verdict == "safe"


@pytest.mark.parametrize("name", [HOSTILE, "a\tb", "zero\u200bwidth", "left\u202eright", "del\x7f"])
def test_names_that_hide_something_are_suspicious(tmp_path, name):
    found = inspect(sparse(tmp_path / "a.safetensors", {name: ("F32", (1,))}))
    finding = by_code(found)["strange-names"]
    assert (found.verdict, finding.names) == ("suspicious", (name,))
    assert finding.message.isprintable()


def test_letters_of_any_language_are_honest(tmp_path):
    assert inspect(sparse(tmp_path / "a.safetensors", {"Gewicht.Schärfe.权重": ("F32", (1,))})).verdict == "safe"


def test_hostile_names_of_a_gguf_file_are_found(tmp_path):
    found = inspect(gguf(tmp_path / "a.gguf", [(HOSTILE, 0, (1,), 4)], {"general.name": HOSTILE}))
    assert by_code(found)["strange-names"].message.isprintable()


@pytest.mark.parametrize("name", ["", "n" * 501])
def test_names_of_no_or_very_many_characters_are_a_problem(tmp_path, name):
    found = inspect(sparse(tmp_path / "a.safetensors", {name: ("F32", (1,)), "x": ("F32", (1,))}))
    assert by_code(found)["name-lengths"].names == (name,)


@pytest.mark.parametrize(("dtype", "wrong"), [("I64", False), ("F32", True), ("F16", True), ("BF16", True)])
def test_position_ids_have_to_be_whole_numbers(tmp_path, dtype, wrong):
    name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    found = by_code(inspect(sparse(tmp_path / "a.safetensors", {name: (dtype, (1, 77))})))
    assert ("position-ids" in found) is wrong


def test_empty_tensors_that_are_no_markers_are_told(tmp_path):
    entries = {"v_pred": ("F32", (0,)), "nothing": ("F32", (0, 4)), "scalar": ("F32", ())}
    found = by_code(inspect(sparse(tmp_path / "a.safetensors", entries)))
    assert found["empty-tensors"].names == ("nothing",)
    assert found["prediction-markers"].names == ("v_pred",)


def test_dtypes_that_older_programs_lack_are_told(tmp_path):
    entries = {"a": ("F8_E4M3", (8,)), "b": ("U16", (4,)), "c": ("F16", (4,))}
    found = [one for one in inspect(sparse(tmp_path / "a.safetensors", entries)).findings if one.code == "new-dtypes"]
    assert [("F8_E4M3" in one.message, "U16" in one.message) for one in found] == [(True, False), (False, True)]
    assert "double-precision" in by_code(inspect(sparse(tmp_path / "b.safetensors", {"a": ("F64", (1,))})))


def test_metadata_has_to_be_what_its_key_says(tmp_path):
    good = {"ss_tag_frequency": json.dumps({"a": {"b": 1}}), "sd_merge_models": "{}", "ss_network_args": "None"}
    bad = {"sd_merge_recipe": "{nope", "workflow": "3", "ss_datasets": "[" * 5000, "prompt": '"text"'}
    found = by_code(inspect(sparse(tmp_path / "a.safetensors", {"a": ("F32", (1,))}, {**good, **bad, "note": "{"})))
    assert set(found["metadata-values"].names) == set(bad)
    assert "metadata-values" not in by_code(inspect(sparse(tmp_path / "b.safetensors", {"a": ("F32", (1,))}, good)))


def test_metadata_that_contradicts_the_tensors_is_told(tmp_path):
    said = {"modelspec.architecture": "flux-1-dev", "format": "pt"}
    found = by_code(inspect(sparse(tmp_path / "a.safetensors", layout("sd15"), said)))
    assert "flux-1-dev" in found["contradiction"].message
    assert "sd1" in found["contradiction"].message


def test_strange_keys_are_suspicious(tmp_path):
    found = inspect(sparse(tmp_path / "a.safetensors", {"a": ("F32", (1,))}, {HOSTILE: HOSTILE}))
    assert (found.verdict, by_code(found)["strange-keys"].names) == ("suspicious", (HOSTILE,))
    assert all(one.message.isprintable() and one.hint.isprintable() for one in found.findings)


@pytest.mark.parametrize(
    ("name", "metadata", "told"),
    [
        ("clip-l", {}, True),
        ("clip-l", {"format": "pt"}, False),
        ("clip-l", {"format": "np"}, True),
        ("lora-sdxl-kohya", {}, False),
    ],
)
def test_models_that_others_load_should_say_their_format(tmp_path, name, metadata, told):
    found = by_code(inspect(sparse(tmp_path / "a.safetensors", layout(name), metadata)))
    assert ("no-format" in found) is told


@pytest.mark.parametrize(("digest", "told"), [("0x" + "ab" * 32, True), ("", False), ("short", False)])
def test_a_declared_hash_is_told(tmp_path, digest, told):
    path = sparse(tmp_path / "a.safetensors", {"a": ("F32", (1,))}, {"modelspec.hash_sha256": digest})
    assert ("declared-hash" in by_code(inspect(path))) is told


def test_the_worst_finding_comes_first(tmp_path):
    entries = {"../x": ("F64", (1,)), "position_ids": ("F32", (1, 77)), "v_pred": ("F32", (0,))}
    found = [one.level for one in inspect(sparse(tmp_path / "a.safetensors", entries)).findings]
    assert found == sorted(found, key=LEVELS.index)
    assert {"suspicious", "problem", "note"} == set(found)
