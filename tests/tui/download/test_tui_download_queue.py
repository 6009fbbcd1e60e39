"""The queue as people use it: pauses, retries, failures with their next step, removal, order, restarts, real speed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from download_steps import place
from textual import events
from textual.message import Message
from world import World, faults, samples

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, GatedError, RateLimitedError
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.order import Order
from modelhub.fetch.queue import add
from modelhub.tui.app import ModelhubApp
from modelhub.tui.download.queue_list import QueueList
from modelhub.tui.download.queue_page import QueuePage
from modelhub.tui.download.removing import RemoveDialog
from modelhub.tui.download.rows import QueueRow
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ConfirmDialog
from modelhub.tui.work import WorkerJob

SIZE = (120, 40)
LARGE = samples.large(8)
#: Bytes a second: it takes 20 s, which no test waits for; SLOWER takes 40.
SLOW, SLOWER = 400_000, 200_000


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for kind in ("checkpoints", "loras"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def library(world: World, models: Path, home: Path) -> Library:
    with Catalog.open(home) as catalog:
        catalog.add_root(models)
    return Library(home)


@pytest.fixture
def offered(world: World) -> World:
    """A large checkpoint, and three small LoRAs."""
    world.add_version(
        9, 90, [{"data": LARGE, "name": "large.safetensors", "id": 900}], title="Large", baseModel="SD 1.5"
    )
    for n in (1, 2, 3):
        file = {"data": samples.lora(seed=n), "name": f"lora{n}.safetensors", "id": 700 + n}
        world.add_version(n, n * 10, [file], type="LORA", baseModel="SD 1.5", title=f"Lora {n}")
    return world


def rows(library: Library) -> dict[str, str]:
    """File name to state, in the order of the queue."""
    with Catalog.open(library.folder) as catalog:
        return {Path(row.goal).name: row.state for row in downloads.glances(catalog)}


def queue(app: ModelhubApp) -> QueueList:
    return place(app).query_one(QueueList)


def shown(app: ModelhubApp) -> list[tuple[str, str]]:
    """File name and state of each row of the list."""
    return [(Path(row.glance.goal).name, row.state) for row in queue(app).rows]


def row_of(app: ModelhubApp, name: str) -> QueueRow:
    return next(row for row in queue(app).rows if Path(row.glance.goal).name == name)


async def get(app: ModelhubApp, pilot: Any, until: Callable[..., Any], text: str) -> None:
    """Paste, take the usual choice and plan, and be at the queue."""
    app.post_message(events.Paste(text))
    await until(pilot, lambda: app.here == "download" and place(app).page == "offer")
    await pilot.press("enter")
    await until(pilot, lambda: place(app).page == "plan")
    await pilot.press("enter")
    await until(pilot, lambda: place(app).page == "queue" and queue(app).count)


def whole(path: Path, data: bytes) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()


# -- pause, resume, retry ----------------------------------------------------------------------------------------------


async def test_a_pause_rests_and_going_on_begins_where_it_was(offered, library, models, app, until):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOW), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 500_000)
        await pilot.press("p")
        await until(pilot, lambda: shown(it) == [("large.safetensors", "paused")] and not it.jobs.open)
        came = queue(it).rows[0].done
        assert 500_000 < came < len(LARGE) and not (models / "checkpoints" / "large.safetensors").exists()
        offered.clear_faults()
        before = len(offered.asked_of("storage", "GET"))
        await pilot.press("p")
        await until(pilot, lambda: shown(it) == [("large.safetensors", "done")])
        assert whole(models / "checkpoints" / "large.safetensors", LARGE)
        sent = sum(one.sent for one in offered.asked_of("storage", "GET")[before:])
        assert sent <= len(LARGE) - came + 500_000, "what had come did not come again"


async def test_the_speed_is_that_of_the_line_and_not_of_what_was_there(offered, library, app, until, text):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOW), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 800_000)
        await pilot.press("p")
        await until(pilot, lambda: not it.jobs.open and shown(it)[0][1] == "paused")
        await pilot.press("p")
        await until(pilot, lambda: queue(it).rows[0].rate is not None)
        assert 0.2 * SLOW < queue(it).rows[0].rate < 2 * SLOW
        assert "/s" in text(it) and "left" in text(it)
        offered.clear_faults()
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, RemoveDialog))
        await pilot.press("enter")
        await until(pilot, lambda: queue(it).count == 0 and not it.jobs.open)


async def test_a_lying_server_fails_with_a_sentence_and_a_retry_brings_it(offered, library, models, app, until, text):
    offered.fault("GET storage /bucket/civitai/701", faults.wrong_bytes(at=100), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:1\ncivitai:2")
        await until(pilot, lambda: dict(shown(it)) == {"lora1.safetensors": "failed", "lora2.safetensors": "done"})
        queue(it).cursor = 0
        await until(pilot, lambda: "SHA256" in text(it) and "r tries again" in text(it))
        assert not (models / "loras" / "lora1.safetensors").exists()
        offered.clear_faults()
        await until(pilot, lambda: not it.jobs.open)
        await pilot.press("r")
        await until(pilot, lambda: dict(shown(it))["lora1.safetensors"] == "done")
        assert whole(models / "loras" / "lora1.safetensors", samples.lora(seed=1))


def changes_are_told_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner takes rows up again before the page hears that they were changed."""
    post = WorkerJob.post

    def late(job: WorkerJob, message: Message) -> None:
        if isinstance(message, QueuePage.Changed):
            sleep(2)
        post(job, message)

    monkeypatch.setattr(WorkerJob, "post", late)


@pytest.mark.parametrize("order", [lambda _: None, changes_are_told_late], ids=["told first", "told late"])
async def test_without_a_token_it_says_where_to_add_one_and_then_goes_on(
    offered, library, models, app, until, text, monkeypatch, order
):
    offered.add_version(
        5, 50, [{"data": samples.lora(seed=5), "name": "closed.safetensors"}], needs_login=True, type="LORA"
    )
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOWER), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:5\ncivitai:9")
        await until(pilot, lambda: dict(shown(it)).get("closed.safetensors") == "failed")
        queue(it).cursor = 0
        await until(pilot, lambda: "Add a token for Civitai in Settings (press ,)" in text(it))
        assert "modelhub login" not in text(it)
        monkeypatch.setenv("CIVITAI_TOKEN", offered.civitai.token)
        order(monkeypatch)
        assert it.jobs.open, "the other one still runs: it is the same runner that must look for the token anew"
        await pilot.press("r")
        await until(pilot, lambda: dict(shown(it))["closed.safetensors"] == "done")
        assert offered.civitai.token not in text(it)
        offered.clear_faults()


def failed_row(library: Library, models: Path, error: Exception, provider: str = "huggingface") -> None:
    """A row that ended in this error."""
    file = RemoteFile("x.safetensors", "http://127.0.0.1:9/x", size=1000)
    order = Order("mara/x", "hf://mara/x", provider, "Gat\x1b[1med [b]", (file,), models / "x.safetensors")
    with Catalog.open(library.folder) as catalog:
        (number,) = add(catalog, [order])
        downloads.begin(catalog, number)
        downloads.fail(catalog, number, error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            GatedError("Only for those who accepted.", "Open the page, accept the terms."),
            ("accept the terms", "r tries again"),
        ),
        (
            RateLimitedError("Asked too often.", "Try again in 1 h 00 min.", 3600),
            ("Try again in 1 h 00 min", "It was said at"),
        ),
    ],
)
async def test_failures_say_their_next_step(library, models, app, until, text, error, words):
    failed_row(library, models, error)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        for word in (error.message, *words, "Gat\\x1b[1med [b]"):
            await until(pilot, lambda word=word: word in text(it))
        assert "\x1b" not in text(it)


# -- order, marks, removal ---------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(offered: World, library: Library, models: Path) -> Library:
    """Three rows that wait."""
    with Catalog.open(library.folder) as catalog:
        for n in (1, 2, 3):
            sha256 = hashlib.sha256(samples.lora(seed=n)).hexdigest()
            url = f"{offered.civitai.url}/api/download/models/{n * 10}"
            file = RemoteFile(f"lora{n}.safetensors", url, size=len(samples.lora(seed=n)), hashes={"sha256": sha256})
            goal = models / "loras" / file.name
            add(catalog, [Order(f"civitai:{n}", f"civitai:{n}@{n}0", "civitai", f"Lora {n}", (file,), goal)])
    return library


async def test_rows_change_places_and_run_in_that_order(offered, waiting, app, until):
    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(it).count == 3)
        await pilot.press("end", "minus")
        await until(
            pilot,
            lambda: [name for name, _ in shown(it)] == ["lora1.safetensors", "lora3.safetensors", "lora2.safetensors"],
        )
        assert queue(it).current.glance.title == "Lora 3"
        await pilot.press("minus")
        await until(pilot, lambda: next(iter(rows(waiting))) == "lora3.safetensors")
        await pilot.press("s")
        await until(pilot, lambda: {state for _, state in shown(it)} == {"done"})
        asked = [one.raw_path.rpartition("/")[2] for one in offered.asked_of("civitai", "GET", "/api/download")]
        assert set(asked[:2]) == {"30", "10"}, "two at once, and these were the first"


async def test_marked_rows_are_paused_all_go_on_and_done_ones_are_cleared(offered, waiting, app, until):
    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(it).count == 3)
        await pilot.press("space", "space", "p")
        await until(pilot, lambda: [state for _, state in shown(it)] == ["paused", "paused", "waiting"])
        await pilot.press("s")
        await until(pilot, lambda: [state for _, state in shown(it)] == ["paused", "paused", "done"])
        await pilot.press("P")
        await until(pilot, lambda: {state for _, state in shown(it)} == {"done"})
        await pilot.press("c")
        await until(pilot, lambda: queue(it).count == 0)


@pytest.mark.parametrize(("key", "kept"), [("enter", False), ("k", True), ("tab,enter", True)])
async def test_removal_asks_what_becomes_of_the_part(offered, library, models, app, until, text, key, kept):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOW), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 300_000)
        await pilot.press("p")
        await until(pilot, lambda: not it.jobs.open and shown(it)[0][1] == "paused")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, RemoveDialog) and "have come" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, RemoveDialog))
        assert rows(library) == {"large.safetensors": "paused"}
        await pilot.press("x")
        await until(pilot, lambda: isinstance(it.screen, RemoveDialog))
        await pilot.press(*key.split(","))
        await until(pilot, lambda: rows(library) == {} and queue(it).count == 0)
        parts = [path for path in models.rglob("*") if path.is_file()]
        assert (parts != []) is kept, parts


# -- going on beside other things --------------------------------------------------------------------------------------


async def test_it_goes_on_in_other_places_and_takes_what_is_added(offered, library, models, app, until):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOWER), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 0)
        await pilot.press("B")
        await until(pilot, lambda: it.here == "browse")
        assert len(it.jobs.open) == 1
        await get(it, pilot, until, "civitai:1\ncivitai:2\ncivitai:3")
        await until(pilot, lambda: [state for _, state in shown(it)].count("done") == 3)
        assert dict(shown(it))["large.safetensors"] == "running", "the small ones came beside it, by the same runner"
        assert len(it.jobs.open) == 1
        assert len(it.jobs.records) == 1
        offered.clear_faults()
        queue(it).cursor = 0
        for state in ("paused", "done"):
            await pilot.press("p")
            await until(pilot, lambda state=state: row_of(it, "large.safetensors").state == state)
        assert whole(models / "checkpoints" / "large.safetensors", LARGE)


async def test_escape_asks_before_it_stops_all_and_s_goes_on(offered, library, models, app, until):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOW), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 300_000)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, ConfirmDialog))
        assert it.jobs.open
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: not it.jobs.open and shown(it) == [("large.safetensors", "waiting")])
        offered.clear_faults()
        await pilot.press("s")
        await until(pilot, lambda: shown(it) == [("large.safetensors", "done")])
        assert whole(models / "checkpoints" / "large.safetensors", LARGE)


async def test_what_a_dead_program_left_running_is_offered_to_go_on(offered, waiting, models, app, until, text):
    with Catalog.open(waiting.folder) as catalog:
        downloads.begin(catalog, 1)
        catalog.rows("UPDATE downloads SET changed = changed - 60, done = 1000 WHERE id = 1")
    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: [state for _, state in shown(it)] == ["broken off", "waiting", "waiting"])
        await until(
            pilot, lambda: "s goes on with what waits" in text(it) and "The program that ran it is gone" in text(it)
        )
        assert not it.jobs.open, "nothing begins by itself"
        await pilot.press("s")
        await until(pilot, lambda: {state for _, state in shown(it)} == {"done"})
        assert whole(models / "loras" / "lora1.safetensors", samples.lora(seed=1))


async def test_leaving_while_it_runs_and_coming_back_loses_nothing(offered, library, models, app, until):
    offered.fault("GET storage /bucket/civitai/900", faults.slow(SLOW), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await get(it, pilot, until, "civitai:9")
        await until(pilot, lambda: queue(it).rows[0].done > 300_000)
    assert rows(library)["large.safetensors"] in ("waiting", "running")
    offered.clear_faults()
    async with (again := app(Library(library.folder))).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(again).count == 1)
        await pilot.press("s")
        await until(pilot, lambda: shown(again) == [("large.safetensors", "done")])
        assert whole(models / "checkpoints" / "large.safetensors", LARGE)


async def test_what_another_process_does_is_seen(offered, waiting, app, until, text):
    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(it).count == 3)
        with Catalog.open(waiting.folder) as other:
            downloads.begin(other, 2)
            downloads.progress(other, {2: 100_000})
            downloads.pause(other, [3])
        await until(pilot, lambda: [state for _, state in shown(it)] == ["waiting", "running", "paused"])
        assert row_of(it, "lora2.safetensors").done == 100_000
        assert "1 running, 1 waiting, 1 paused" in text(it)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_size_shows_the_keys_and_the_rows(offered, waiting, app, until, text, size):
    async with (it := app(waiting)).run_test(size=size) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "Lora 3" in text(it) and "q Quit" in text(it))
        for page, words in (
            ("2", "Nothing was searched yet."),
            ("3", "Nothing was asked for yet."),
            ("4", "Nothing is planned."),
        ):
            await pilot.press(page)
            await until(pilot, lambda words=words: words in text(it))
            assert "q Quit" in text(it)


async def test_a_catalog_that_cannot_be_read_is_told_in_a_line(waiting, app, until, text, monkeypatch):
    def broken(catalog):
        raise FileError("The catalog is locked.", "Close the other program.")

    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(it).count == 3)
        monkeypatch.setattr(downloads, "glances", broken)
        await until(pilot, lambda: "The catalog is locked. Close the other program." in text(it))
        assert it.screen is place(it), "no dialog"


async def test_a_queue_that_stands_still_is_not_drawn_again(waiting, app, until, monkeypatch):
    async with (it := app(waiting)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: queue(it).count == 3)
        shows, looks = [], []
        monkeypatch.setattr(QueueList, "show", lambda self, rows: shows.append(rows))
        place(it).queue.post_message(QueuePage.Glanced([row.glance for row in queue(it).rows]))
        place(it).queue.call_later(looks.append, 1)
        await until(pilot, lambda: looks)
        assert shows == []
