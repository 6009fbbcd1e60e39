"""identify, hash, tag, rate, note."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.catalog.store import Catalog
from modelhub.demo.library import Library

Run = Callable[..., Any]
HASH_KEYS = {"path", "size", "sha256", "blake3", "crc32", "autov1", "autov2", "autov3"}


def test_identify_needs_no_catalog(run: Run, demo_library: Library, home: Path) -> None:
    found = run("identify", demo_library.lora, "--json").json
    assert (found["path"], found["kind"], found["architecture"]) == (str(demo_library.lora), "lora", "sd1")
    assert found["evidence"] and found["confidence"] == "structure"
    told = run("identify", demo_library.lora)
    assert (
        "kind" in told.out and "why:" in told.out and "{" not in told.out and "[" not in told.out.partition("why:")[0]
    )
    assert not home.exists()


def test_several_files_are_answered_one_by_one(run: Run, demo_library: Library, tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("not a model")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(demo_library.base.read_bytes()[:-1])
    found = run("identify", demo_library.lora, text, cut, demo_library.embedding, "--json")
    assert found.code == 3 and [one.get("kind") for one in found.json] == ["lora", None, None, "embedding"]
    assert {one["path"]: one["error"]["code"] for one in found.json if "error" in one} == {
        str(text): "not-a-model",
        str(cut): "corrupt-file",
    }
    told = run("identify", text, demo_library.embedding)
    assert told.code == 3 and "error: " in told.out and "embedding" in told.out
    assert told.out.startswith(str(text)) and "no model format" in told.out, "the hint is told, too"
    assert run("identify", cut, "--json").error["code"] == "corrupt-file"
    assert "is cut short" in run("identify", cut).err


def test_what_is_unknown_says_why_and_how_to_name_it(run: Run, make_file: Callable[..., Path]) -> None:
    path = make_file("models/strange.safetensors", {"strange.a": np.ones((2, 3)), "strange.b": np.ones(1)})
    found = run("identify", path, "--json")
    assert found.json["kind"] == "unknown" and len(found.json["fingerprint"]) == 32 and not found.err
    assert list(found.json["evidence"][0].values()) == ["no rule fits", "strange.a", "[2, 3] and 1 other tensor"]
    assert "modelhub set REF --kind" in run("identify", path).err
    run("scan", path.parent)
    told = run("show", "strange")
    assert "no rule fits: strange.a  [2, 3]" in told.out and "modelhub set '#1' --kind" in told.err
    assert run("set", "#1", "--kind", "lora", "--architecture", "sdlx").err.startswith(
        "no architecture that modelhub knows is called 'sdlx' (did you mean 'sdxl'?)"
    )
    assert "modelhub set" not in run("show", "strange").err


def test_the_facts_of_a_training_are_words(run: Run, make_file: Callable[..., Path]) -> None:
    names = [f"lora_unet_down_blocks_{n}_attentions_0_proj_in" for n in range(3)]
    tensors = {f"{name}.lora_{end}.weight": np.ones(shape) for name in names for end, shape in
               (("down", (4, 64)), ("up", (64, 4)))}  # fmt: skip
    comment = "a comment that is rather long, with many words, {and} more of them"
    frequency = {"10_dog": {"1girl": 120, "long hair, blonde": 30}}
    metadata = {
        "ss_network_module": "networks.lora", "ss_network_dim": "4", "ss_training_comment": comment,
        "ss_tag_frequency": json.dumps(frequency),
    }  # fmt: skip
    path = make_file("models/dog.safetensors", tensors, metadata)
    run("scan", path.parent)
    for words in (("identify", path), ("show", "dog")):
        rows = dict(line.split("  ", 1) for line in run(*words).out.splitlines() if "  " in line.strip())
        assert rows["adapter"].strip().startswith("lora of rank 4; 3 modules: ")
        assert rows["training"].strip() == "trainer sd-scripts, network module networks.lora, dim 4"
        assert rows["training tags"].strip() == "1girl (120), long hair, blonde (30)"
        assert rows["comment"].strip() == comment


def test_the_index_of_shards_is_the_whole_model(run: Run, make_file: Callable[..., Path]) -> None:
    for number in (1, 2):
        shard = make_file(f"models/big-0000{number}-of-00002.safetensors", {f"t{number}": np.ones(3)})
    weight_map = {f"t{number}": f"big-0000{number}-of-00002.safetensors" for number in (1, 2)}
    index = shard.parent / "big.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    found, whole = run("identify", index, "--json").json, run("identify", shard, "--json").json
    assert found["parameters"] == 6 and {**found, "path": ""} == {**whole, "path": ""}


def test_hash(run: Run, demo_library: Library) -> None:
    content = demo_library.base.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    sha256 = hashlib.sha256(content).hexdigest()
    found = run("hash", demo_library.base, "--json").json
    assert set(found) == HASH_KEYS
    assert found == {
        "path": str(demo_library.base),
        "size": len(content),
        "sha256": sha256,
        "blake3": found["blake3"],
        "crc32": f"{zlib.crc32(content):08x}",
        "autov1": hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8],
        "autov2": sha256[:10],
        "autov3": hashlib.sha256(content[start:]).hexdigest()[:12],
    }
    from blake3 import blake3

    assert found["blake3"] == blake3(content).hexdigest()
    assert sha256 in run("hash", demo_library.base).out
    small = run("hash", demo_library.folder / "modelhub-demo.txt", demo_library.embedding, "--json").json
    assert [(one["autov1"], one["autov3"] is None) for one in small] == [(None, True), (None, False)]


def test_a_stopped_hash_stops_all_files(run: Run, demo_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelhub.cli import asset_commands
    from modelhub.errors import CancelledError

    seen = []

    def stopped(path: Path, *_: object) -> None:
        seen.append(path)
        raise CancelledError

    monkeypatch.setattr(asset_commands, "hash_file", stopped)
    found = run("hash", demo_library.base, demo_library.lora, "--json")
    assert found.code == 130 and found.error["code"] == "cancelled" and seen == [demo_library.base]


@pytest.mark.usefixtures("library")
def test_what_a_user_says_is_kept(run: Run) -> None:
    told = run("tag", "tiny-shapes-base", "--add", "Shapes", "--add", "two words", "#2", "--json")
    assert told.code == 0 and [set(one) for one in told.json] == [{"id", "path", "tags"}] * 2
    assert run("tag", "#2", "--remove", "Shapes", "--json").json[0]["tags"] == ["two words"]
    assert run("rate", "#1", "5", "--json").json["rating"] == 5
    assert run("note", "#1", "-0.7 is\nenough", "--json").json["notes"] == "-0.7 is\nenough"
    shown = run("show", "#1", "--json").json
    assert (shown["tags"], shown["rating"], shown["notes"]) == (["Shapes", "two words"], 5, "-0.7 is\nenough")
    assert "★★★★★" in run("show", "#1").out and "notes         -0.7 is\n              enough\n" in run("show", "#1").out
    assert len(run("ls", "rating:>=5", "tag:shapes", "--json").json) == 1
    assert run("rate", "#1", "0").code == 0 and run("note", "#1", "").out.endswith(": (none)\n")
    shown = run("show", "#1", "--json").json
    assert (shown["rating"], shown["notes"]) == (None, "")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["tag", "#1", "--add", "x", "--dry-run"], "tags", ["x"]),
        (["rate", "#1", "3", "--dry-run"], "rating", 3),
        (["note", "#1", "hello", "--dry-run"], "notes", "hello"),
    ],
)
def test_a_dry_run_says_what_would_be_and_leaves_it(words: list[str], key: str, value: Any, run: Run) -> None:
    with Catalog.open() as catalog:
        before = list(catalog._connection.iterdump())
    found = run(*words, "--json")
    assert found.code == 0 and (found.json[0] if key == "tags" else found.json)[key] == value
    with Catalog.open() as catalog:
        assert list(catalog._connection.iterdump()) == before
    assert run("rate", "#1", "9", "--dry-run").code == 2
    assert run("tag", "#1", "--add", "\n", "--dry-run").code == 2


def test_hashing_tells_of_its_progress(run: Run, demo_library: Library) -> None:
    found = run("hash", demo_library.base, "--json")
    events = [json.loads(line) for line in found.err.splitlines()]
    assert {event["job"] for event in events} == {"hash"} and {event["phase"] for event in events} == {"hashing"}
    assert events[-1]["done"] == events[-1]["total"] == demo_library.base.stat().st_size
    assert [event["done"] for event in events] == sorted(event["done"] for event in events)
    assert run("hash", demo_library.base).err == "", "no bar where stderr is no terminal"


def test_identify_tells_the_metadata_safely(run: Run, make_file: Callable[..., Path]) -> None:
    path = make_file("x.safetensors", {"emb_params": np.zeros((1, 768), np.float32)}, {"name": "\x1b[31mred\n"})
    assert run("identify", path).code == 0 and "\x1b" not in run("identify", path).out
