"""Newer versions of what is here: listed, looked up when nobody knows where a file came from, and fetched by a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from download_steps import place
from world import World, faults, samples

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.app import ModelhubApp
from modelhub.tui.download.updates_page import UpdateList
from modelhub.tui.library import Library

SIZE = (120, 40)
OLD, NEW = samples.lora(seed=1), samples.lora(seed=2)


@pytest.fixture
def library(world: World, tmp_path: Path, home: Path) -> Library:
    """A LoRA that is here, without hashes; Civitai has it, and a newer one of the same base and of another."""
    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    (folder / "ink.safetensors").write_bytes(OLD)
    words = {"type": "LORA", "title": "Ink \x1b[31mLines"}
    dates = {10: "2026-01-01", 11: "2026-02-01", 12: "2026-03-01"}
    for version, data, base in ((10, OLD, "SD 1.5"), (11, NEW, "SD 1.5"), (12, samples.lora(seed=3), "Pony")):
        file = {"data": data, "name": f"ink{version}.safetensors"}
        when = f"{dates[version]}T00:00:00.000Z"
        world.add_version(1, version, [file], name=f"v{version}", baseModel=base, publishedAt=when, **words)
    with Catalog.open(home) as catalog:
        scan(catalog, [folder.parent])
    return Library(home)


def newer(app: ModelhubApp) -> list[str]:
    return [row.newer.version for row in place(app).query_one(UpdateList).rows]


async def test_a_file_is_looked_up_and_its_newer_version_fetched(world, library, tmp_path, app, until, text):
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("D", "5")
        await until(pilot, lambda: "1 asset from nowhere that is known (s)" in text(it))
        await pilot.press("s")
        await until(pilot, lambda: "S hashes them first" in text(it) and not it.jobs.open)
        assert world.asked == [], "a file without a hash is nobody's business"
        await pilot.press("S")
        await until(pilot, lambda: newer(it) == ["v11", "v12"])
        await until(pilot, lambda: not it.jobs.open and "1 model compared, 1 with something newer" in text(it))
        assert "v10" in text(it) and "\x1b" not in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: place(it).page == "offer")
        chosen = place(it).offer.files.choosing
        assert [file.name for _, parts in chosen.marked() for _, files in parts for file in files] == [
            "ink11.safetensors"
        ]
        await pilot.press("enter")
        await until(pilot, lambda: place(it).page == "plan")
        await pilot.press("enter")
        goal = tmp_path / "models" / "loras" / "ink11.safetensors"
        await until(pilot, lambda: goal.exists() and not it.jobs.open)
        assert goal.read_bytes() == NEW
        await pilot.press("5", "r")
        await until(pilot, lambda: newer(it) == ["v12"])


async def test_answers_are_kept_and_asked_for_again_by_a_key(world, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D", "5", "S")
        await until(pilot, lambda: it.jobs.records and not it.jobs.open)
        await pilot.press("S")
        await until(pilot, lambda: newer(it) == ["v11", "v12"] and not it.jobs.open)
    world.asked.clear()
    async with (it := app(Library(library.folder))).run_test(size=SIZE) as pilot:
        await pilot.press("D", "5")
        await until(pilot, lambda: newer(it) == ["v11", "v12"] and not it.jobs.open)
        assert world.asked == []
        world.fault("GET civitai", faults.status(429, retry_after=3600), times=None)
        await pilot.press("r")
        await until(pilot, lambda: world.asked and not it.jobs.open)
        assert newer(it) == ["v11", "v12"], "what is known stays"
