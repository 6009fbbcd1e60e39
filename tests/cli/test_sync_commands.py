"""sync and updates as commands: words, JSON, exit codes, marks, and what providers say in `show` and `ls`."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from world import faults
from world.place import World

Run = Callable[..., Any]


@pytest.fixture
def library(make_file: Callable[..., Path], tmp_path: Path, run: Run, world: World) -> dict[str, bytes]:
    """Three scanned LoRAs without hashes, and their bytes by name."""
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    made = {}
    for n, name in enumerate(("ink", "wash", "own")):
        rng = np.random.default_rng(n)
        weights = {
            f"{layer}.lora_down.weight": rng.random((4, 320), np.float32),
            f"{layer}.lora_up.weight": rng.random((320, 4), np.float32),
        }
        made[name] = make_file(f"models/{name}.safetensors", weights).read_bytes()
    assert run("scan", tmp_path / "models", "--hash", "none").code == 0
    return made


@pytest.fixture
def offered(library: dict[str, bytes], world: World) -> dict[str, bytes]:
    """The same, of which Civitai knows two."""
    words = {"type": "LORA", "creator": {"username": "pain\x1bter"}, "publishedAt": "2026-01-01T00:00:00.000Z"}
    world.add_version(1, 10, [{"data": library["ink"], "name": "ink.safetensors"}], name="v1", baseModel="Pony",
                      title="Wet \x1b[31mInk\x07", trainedWords=["inkwet"], **words)  # fmt: skip
    world.add_version(
        2, 20, [{"data": library["wash"], "name": "w.safetensors"}], name="v1", baseModel="SD 1.5", **words
    )
    return library


def test_sync_in_words(offered: dict[str, bytes], run: Run, world: World) -> None:
    bare = run("sync")
    assert bare.code == 0 and "3 assets without a hash" in bare.out and "sync --hash" in bare.out and not world.asked
    dry = run("sync", "--dry-run", "--hash")
    assert "would ask for 0 files" in dry.out and not world.asked
    done = run("sync", "--hash")
    assert done.code == 0, done.err
    assert "3 files asked for now, in 3 requests" in done.out and "2 known to Civitai, 1 unknown to it" in done.out
    again = run("sync")
    assert "0 files asked for" in again.out and "3 files asked for lately" in again.out
    assert "would ask for 3 files in 1 request" in run("sync", "--refresh", "--dry-run").out


def test_sync_in_json(offered: dict[str, bytes], run: Run) -> None:
    told = run("sync", "--hash", "--json").json
    assert {name: told[name] for name in ("assets", "asked", "requests", "unknown", "unhashed", "never", "models")} == {
        "assets": 3, "asked": 3, "requests": 3, "unknown": 1, "unhashed": 0, "never": 0, "models": 2
    }  # fmt: skip
    assert told["stopped"] is None and told["vanished"] == [] and told["dry_run"] is False
    one = next(found for found in told["found"] if found["path"].endswith("ink.safetensors"))
    assert (one["model_id"], one["version_id"], one["base_model"], one["matched_by"]) == ("1", "10", "Pony", "sha256")


def test_what_a_provider_says_is_shown_and_found(offered: dict[str, bytes], run: Run) -> None:
    run("sync", "--hash")
    shown = run("show", "ink")
    for words in (
        "inkwet",
        "declared base  Pony",
        "Civitai, asked 20",
        "https://civitai.com/models/1?modelVersionId=10",
    ):
        assert re.sub(r" +", " ", words) in re.sub(r" +", " ", shown.out), words
    assert not re.search("[\x00-\x09\x0b-\x1f]", shown.out), "nothing that a terminal obeys"
    assert "Civitai does not know it" in run("show", "own").out
    for query in ("base:pony", "lineage:pony", "inkwet", "trigger:inkwet", "provider:civitai base:pony"):
        assert [Path(one["path"]).stem for one in run("ls", query, "--json").json] == ["ink"], query
    asset = run("ls", "ink", "--json").json[0]
    assert asset["provided"]["provider"] == "civitai" and asset["never_look_up"] is False
    assert asset["title"] == "Wet [31mInk" and asset["trigger_words"] == ["inkwet"]


def test_never_and_again(offered: dict[str, bytes], run: Run, world: World) -> None:
    assert "would be: " in run("sync", "--never", "own", "--dry-run").out
    assert run("ls", "lookup:never", "--json").json == []
    told = run("sync", "--never", "own", "ink", "--json")
    assert [one["never_look_up"] for one in told.json] == [True, True] and not world.asked
    report = run("sync", "--hash")
    assert "1 file asked for" in report.out and "2 assets never looked up" in report.out
    hashes = {Path(one["path"]).stem: one["sha256"] for one in run("ls", "--json").json}
    sent = " ".join(one.body.decode() + one.target for one in world.asked).lower()
    assert hashes["own"] is None, "what is not to be looked up is not even hashed for it"
    run("hash", Path(run("ls", "own", "--json").json[0]["path"]))
    assert hashes["wash"] in sent and "looked up" in run("show", "own").out
    assert "own.safetensors may be looked up" in run("sync", "--again", "own").out
    assert "2 files asked for" not in run("sync", "--hash", "--dry-run").out
    assert "1 file asked for" in run("sync", "--hash").out
    assert run("sync", "--never", "own", "--hash").code == 2
    assert run("sync", "--never", "nobody").code == 2 == run("sync", "--never").code


def test_a_server_that_is_asked_too_often_is_an_error_with_what_is_known(
    offered: dict[str, bytes], run: Run, world: World
) -> None:
    world.fault("GET civitai /api/v1/models", faults.status(429, retry_after=3600), times=None)
    told = run("sync", "--hash", "--json")
    assert told.code == 5 and told.json["stopped"]["code"] == "rate-limited" and len(told.json["found"]) == 2
    words = run("sync")
    assert words.code == 5 and "2 known to Civitai" in words.out
    assert "next sync goes on" in words.err and "asked too often" in words.err


def test_ctrl_c_keeps_what_was_answered(
    offered: dict[str, bytes], run: Run, spawn: Callable[..., Any], world: World
) -> None:
    run("scan", "--hash", "fast")
    world.fault("GET civitai /api/v1/models", faults.stall(seconds=60), times=None)
    process = spawn("sync", "--json")
    deadline = time.monotonic() + 30
    while not world.asked_of("civitai", "GET") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {Path(one["path"]).stem for one in run("ls", "lookup:known", "--json").json} == {"ink", "wash"}


def test_vanished_models_are_listed(offered: dict[str, bytes], run: Run, world: World) -> None:
    run("sync", "--hash")
    del world.civitai.versions[10], world.civitai.models[1]
    told = run("sync", "--refresh")
    assert "no longer on Civitai: 1 asset" in told.out and "ink.safetensors" in told.out
    assert "inkwet" in run("show", "ink").out and "gone from there since" in run("show", "ink").out


# -- updates -----------------------------------------------------------------------------------------------------------


def test_updates_in_words_and_json(offered: dict[str, bytes], run: Run, world: World) -> None:
    run("sync", "--hash")
    none = run("updates")
    assert none.code == 0 and "2 models compared, 0 with something newer" in none.out
    assert "1 asset from nowhere that is known" in none.out
    new = {"data": b"new" * 100, "name": "n.safetensors"}
    early = {"availability": "EarlyAccess", "earlyAccessEndsAt": "2099-01-01T00:00:00.000Z"}
    world.add_version(1, 11, [new], name="v\x1b2", baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    world.add_version(1, 12, [new], name="for xl", baseModel="SDXL 1.0", publishedAt="2026-04-01T00:00:00.000Z")
    world.add_version(2, 21, [new], name="v9", baseModel="SD 1.5", publishedAt="2026-02-01T00:00:00.000Z", **early)
    told = run("updates", "--refresh")
    assert told.code == 0, told.err
    for words in (
        "civitai:1@11",
        "civitai:1@12",
        "(another base)",
        "2026-03-01",
        "300 B",
        "v\\x1b2",
        "civitai:2@21",
        "2099",
    ):
        assert words in told.out or words.replace("\\x1b", "") in told.out, words
    assert "\x1b" not in told.out and "2 models compared, 2 with something newer" in told.out
    world.asked.clear()
    data = run("updates", "kind:lora", "--json").json
    assert not world.asked, "kept for a day"
    assert [one["model"] for one in data["behind"]] == ["1", "2"] and data["stopped"] is None
    assert [new["same_base"] for new in data["behind"][0]["newer"]] == [True, False]


def test_the_newest_update_that_can_be_had_is_named(offered: dict[str, bytes], run: Run, world: World) -> None:
    run("sync", "--hash")
    early = {"availability": "EarlyAccess", "earlyAccessEndsAt": "2099-01-01T00:00:00.000Z"}
    for version, day, words in (11, 1, {}), (12, 2, early):
        published = f"2026-03-0{day}T00:00:00.000Z"
        world.add_version(1, version, [b"new" * 100], name=f"v{day}", baseModel="Pony", publishedAt=published, **words)
    told = run("updates", "--refresh").out
    assert [line.split()[-1] for line in told.splitlines() if "300 B" in line] == ["civitai:1@11"]
    assert "(+1)" in told and "✗ civitai:1@12" in told


def test_updates_that_cannot_be_asked_for(offered: dict[str, bytes], run: Run, world: World) -> None:
    run("sync", "--hash")
    world.fault("GET civitai /api/v1/models", faults.status(429, retry_after=3600), times=None)
    told = run("updates", "--refresh")
    assert told.code == 5 and "what is known so far" in told.err and "2 models compared" in told.out
    assert run("updates", "--refresh", "--json").json["stopped"]["code"] == "rate-limited"
