"""find as a command: both providers, filters, what is here, and one provider that fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import faults
from world.place import World

from modelhub.catalog import lookups
from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.lookups import Lookup
from modelhub.catalog.store import Catalog
from modelhub.formats.hashes import Hashes

Run = Callable[..., Any]
DATA = b"x" * 500


@pytest.fixture
def offered(world: World) -> World:
    """Two LoRAs and a checkpoint on Civitai, a LoRA on the hub."""
    file = {"data": DATA, "name": "a.safetensors"}
    world.add_version(
        1,
        10,
        [file],
        name="v1",
        baseModel="Pony",
        type="LORA",
        title="Ink \x1b[31mwash",
        stats={"downloadCount": 5, "thumbsUpCount": 9},
    )
    world.add_version(
        2,
        20,
        [file],
        name="v1",
        baseModel="SD 1.5",
        type="LORA",
        title="Ink lines",
        stats={"downloadCount": 70, "thumbsUpCount": 1},
    )
    world.add_version(3, 30, [file], name="v1", baseModel="SDXL 1.0", type="Checkpoint", title="Ink world", nsfw=True)
    tags = ["lora", "diffusers", "base_model:stabilityai/stable-diffusion-xl-base-1.0"]
    world.add_repo("someone/ink-lora", {"ink.safetensors": DATA}, tags=tags, pipeline_tag="text-to-image", downloads=42)
    return world


def addresses(told: Any) -> list[str]:
    return [one["address"] for one in told.json["hits"]]


def test_both_are_searched_and_the_table_has_what_get_takes(offered: World, run: Run) -> None:
    told = run("find", "ink")
    assert told.code == 0, told.err
    for words in ("civitai:1@10", "civitai:2@20", "hf://someone/ink-lora", "Ink lines  v1", "Pony", "lora", "500 B"):
        assert words in told.out, words
    assert "civitai:3@30" not in told.out and "\x1b" not in told.out
    assert "civitai:3@30" in run("find", "ink", "--nsfw").out


def test_filters_and_order(offered: World, run: Run) -> None:
    def found(*words: str) -> list[str]:
        return addresses(run("find", "ink", "--on", "civitai", "--json", *words))

    assert found("--sort", "downloads") == ["civitai:2@20", "civitai:1@10"]
    assert found("--sort", "rating") == ["civitai:1@10", "civitai:2@20"]
    assert found("--base", "pony") == ["civitai:1@10"], "in any case"
    assert found("--arch", "sd1") == ["civitai:2@20"]
    assert found("--arch", "sdxl") == ["civitai:1@10"], "Pony is SDXL"
    assert found("--kind", "checkpoint", "--nsfw") == ["civitai:3@30"]
    assert len(found("--limit", "1")) == 1
    assert addresses(run("find", "ink", "--on", "huggingface", "--json")) == ["hf://someone/ink-lora"]


def test_what_is_here_is_marked(offered: World, run: Run, home: Path) -> None:
    with Catalog.open(home) as catalog:
        numbers = []
        for at, (model, version, provider) in enumerate(
            (("1", "10", "civitai"), ("2", "19", "civitai"), ("someone/ink-lora", "c0", "huggingface"))
        ):
            digest = hashlib.sha256(str(at).encode()).hexdigest()
            numbers.append(
                catalog.record(Path(f"/m/{at}.safetensors"), FileStat(1, at, 1, 1), Identity(kind="lora"), "1")
            )
            catalog.set_hashes(numbers[-1], Hashes(sha256=digest))
            lookups.keep(catalog, [Lookup(digest, provider, True, {}, model, version)])
    hits = {one["address"]: (one["owned"], one["other_version"]) for one in run("find", "ink", "--json").json["hits"]}
    assert hits == {
        "civitai:1@10": (numbers[0], None), "civitai:2@20": (None, numbers[1]), "hf://someone/ink-lora": (numbers[2], None)
    }  # fmt: skip
    told = run("find", "ink").out
    assert f"✓ #{numbers[0]}" in told and f"other version #{numbers[1]}" in told


def test_one_that_fails_does_not_hide_the_other(offered: World, run: Run) -> None:
    offered.fault("GET civitai", faults.status(400, {"error": "no\x1b[31m"}), times=None)
    told = run("find", "ink")
    assert told.code == 0 and "hf://someone/ink-lora" in told.out and "Civitai did not answer" in told.err
    assert "\x1b" not in told.err
    data = run("find", "ink", "--json").json
    assert list(data["failed"]) == ["civitai"] and len(data["hits"]) == 1
    offered.fault("GET hub", faults.status(400), times=None)
    assert run("find", "ink").code == 5
    assert run("find", "ink", "--json").error["code"]


def test_words_that_nothing_can_be_found_by(offered: World, run: Run) -> None:
    assert run("find").code == 2
    assert "(did you mean 'lora'?)" in run("find", "x", "--kind", "lorra").err
    assert run("find", "x", "--arch", "nothing").code == 2
    assert run("find", "x", "--base", "Pony", "--on", "huggingface").code == 2
    assert run("find", "x", "--limit", "0").code == 2
    assert "Only Civitai is asked" in run("find", "ink", "--base", "Pony").err
    none = run("find", "nothingatall")
    assert none.code == 0 and "Nothing was found" in none.err and none.out == ""
