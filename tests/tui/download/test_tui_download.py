"""From a pasted address to a verified file in its folder: the field, search, choice and plan, against real servers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from download_steps import place
from textual import events
from textual.widgets import Input
from world import World, samples

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError
from modelhub.text import human_size
from modelhub.tui.app import ModelhubApp
from modelhub.tui.download.bar import Steps
from modelhub.tui.download.offer_list import OfferFacts, OfferList
from modelhub.tui.download.plan_list import PlanList
from modelhub.tui.download.plan_page import PlanPage
from modelhub.tui.download.queue_list import QueueList
from modelhub.tui.library import Library
from modelhub.tui.pictures.picture import Picture
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog

SIZE = (120, 40)
LORA, OLD, CHECKPOINT = samples.lora(seed=1), samples.lora(seed=2), samples.model("sdxl")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder laid out like ComfyUI's."""
    folder = tmp_path / "ComfyUI" / "models"
    for kind in ("checkpoints", "loras", "vae", "embeddings"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def library(world: World, models: Path, home: Path) -> Library:
    """Remembers that folder, and nothing is in it."""
    with Catalog.open(home) as catalog:
        catalog.add_root(models)
    return Library(home)


@pytest.fixture
def offered(world: World) -> World:
    """A LoRA in two versions, of which the newer has more files; a checkpoint; a repository."""
    words = {"title": "Ink \x1b[31mLines [b]", "type": "LORA", "baseModel": "SD 1.5", "trainedWords": ["inklines"]}
    picture = {"url": world.add_file("p/width=512/a.png", samples.picture()).replace("width=512", "original=true")}
    world.add_version(1, 10, [{"data": OLD, "name": "ink_v1.safetensors"}], name="first", **words)
    files: list[dict[str, Any]] = [
        {"data": LORA, "name": "ink_v2.safetensors", "size": "pruned"},
        {"data": samples.lora(seed=3), "name": "ink_v2_full.safetensors", "fp": "fp32"},
        {"data": samples.embedding(), "name": "ink_v2.ckpt"},
    ]
    images = [{**picture, "type": "image", "nsfwLevel": 1}]
    description = "<p>Drawn with <i>ink</i>.</p>"
    world.add_version(1, 11, files, name="second", images=images, model_description=description, **words)
    world.add_version(2, 20, [{"data": CHECKPOINT, "name": "harbour.safetensors"}], title="Harbour XL")
    world.add_repo("mara/files", {"ink.safetensors": samples.lora(seed=7), "README.md": b"# Ink\n"})
    return world


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows(library: Library) -> list[tuple[str, str]]:
    """State and file name of every row of the queue."""
    with Catalog.open(library.folder) as catalog:
        return [(row.state, Path(row.goal).name) for row in downloads.glances(catalog)]


async def paste(app: ModelhubApp, text: str) -> None:
    """As a terminal hands over what is pasted."""
    app.post_message(events.Paste(text))


async def offer_for(app: ModelhubApp, pilot: Any, until: Callable[..., Any], text: str) -> OfferList:
    """Paste, and wait for the choice."""
    await paste(app, text)
    await until(pilot, lambda: app.here == "download" and place(app).page == "offer")
    return place(app).offer.files


async def plan_for(app: ModelhubApp, pilot: Any, until: Callable[..., Any], text: str) -> PlanList:
    """Paste, take the usual choice, and wait for the plan."""
    await offer_for(app, pilot, until, text)
    await pilot.press("enter")
    await until(pilot, lambda: place(app).page == "plan")
    return place(app).query_one(PlanList)


# -- the whole way -----------------------------------------------------------------------------------------------------


async def test_from_a_paste_in_the_library_to_a_verified_file(offered, library, models, app, until, text):
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: it.here == "browse")
        plan = await plan_for(it, pilot, until, "https://civitai.com/models/1/ink-lines")
        goal = models / "loras" / "ink_v2.safetensors"
        assert plan.rows[0][1].path == goal
        await until(pilot, lambda: "free, " in text(it))
        assert f"1 download, {human_size(len(LORA))} to come" in text(it)
        assert rows(library) == [] and not goal.exists() and offered.asked_of("storage", "GET", "/bucket") == []
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", goal.name)])
        assert sha256(goal) == hashlib.sha256(LORA).hexdigest()
        queue = place(it).query_one(QueueList)
        await until(pilot, lambda: queue.rows and queue.rows[0].state == "done" and "verified" in text(it))
        with Catalog.open(library.folder) as catalog:
            asset = catalog.by_path(goal)
        assert asset is not None and (asset.kind, asset.architecture, asset.sha256) == ("lora", "sd1", sha256(goal))
        await until(pilot, lambda: not it.jobs.open)
        await pilot.press("enter")
        await until(pilot, lambda: it.here == "browse" and "ink_v2.safetensors" in text(it))
        await until(pilot, lambda: it.screen.assets.current is not None)
        assert it.screen.assets.current.id == asset.id


async def test_other_pastes_are_left_alone(offered, library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        for text in ("a note about\nhttps://civitai.com/models/1", "water color", "", "x" * 200_000):
            await paste(it, text)
        await pilot.pause(0.2)
        assert it.here == "browse" and it.place("download") is None
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(it.focused, Input))
        field = it.focused
        await paste(it, "civitai:1")
        await until(pilot, lambda: field.value == "civitai:1")
        assert it.here == "browse" and it.place("download") is None


async def test_several_lines_are_several_sources_and_one_that_is_nowhere(offered, library, models, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        files = await offer_for(it, pilot, until, "civitai:1\n# mine\nmara/files:ink.safetensors\ncivitai:999\n")
        assert [one.error is None for one in files.choosing.asked] == [True, True, False]
        assert "2 files marked" in text(it) and "civitai:999" in text(it)
        await pilot.press("end")
        await until(pilot, lambda: place(it).query_one(OfferFacts).error is not None)
        await pilot.press("enter")
        await until(pilot, lambda: place(it).page == "plan")
        await pilot.press("enter")
        await until(pilot, lambda: [state for state, _ in rows(library)] == ["done", "done"])
        assert sorted(path.name for path in (models / "loras").iterdir()) == ["ink.safetensors", "ink_v2.safetensors"]


async def test_a_source_that_leads_nowhere_is_explained_with_keys(offered, library, app, until):
    offered.add_repo("mara/private", {"x.safetensors": LORA}, private=True)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await paste(it, "mara/private")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "Settings (press ,)" in it.screen.error.hint and "modelhub login" not in it.screen.error.hint
        assert place(it).page == "queue"


# -- the field ---------------------------------------------------------------------------------------------------------


async def test_the_field_takes_addresses_words_and_pasted_lists(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "Nothing is queued." in text(it))
        await pilot.press("slash", *"civitai:2", "enter")
        await until(pilot, lambda: place(it).page == "offer" and "Harbour XL" in text(it))
        assert place(it).bar.input.value == ""
        await pilot.press("slash")
        await paste(it, "civitai:1\ncivitai:2")
        await until(pilot, lambda: len(place(it).offer.files.choosing.asked) == 2)
        await pilot.press("slash")
        await paste(it, "water color")
        await until(pilot, lambda: place(it).bar.input.value == "water color")
        await pilot.press("escape")
        assert place(it).bar.input.value == ""
        await pilot.press(*"https://civitai.com/user/x", "enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "not a model" in it.screen.error.message


async def test_what_looks_like_a_token_is_searched_nowhere(offered, library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D", "slash", *"hf_abcdefghijklmnopqrst", "enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "token" in it.screen.error.message and "abcdef" not in it.screen.error.message
        assert offered.asked == []


async def test_words_search_both_providers_and_adult_models_only_when_asked_for(offered, library, app, until, text):
    offered.add_version(3, 30, [{"data": OLD, "name": "n.safetensors"}], title="Ink night", type="LORA", nsfw=True)
    offered.add_repo("mara/ink-lora", {"ink.safetensors": LORA}, tags=["lora", "diffusers"], downloads=42)
    async with (it := app(library)).run_test(size=(150, 40)) as pilot:
        await pilot.press("D", "slash", *"ink", "enter")
        await until(pilot, lambda: place(it).page == "found" and place(it).found.table.count)
        shown = text(it)
        assert "[31mLines [b]" in shown and "ink-lora" in shown and "Ink night" not in shown
        assert "\x1b" not in shown and "without NSFW" in shown
        await pilot.press("n")
        await until(pilot, lambda: "Ink night" in text(it) and "NSFW" in text(it))
        assert place(it).remember() == {"adult": True}
        await pilot.press("slash", *"ink kind:lora on:civitai", "enter")
        await until(pilot, lambda: "ink-lora" not in text(it))
        await pilot.press("slash", *"ink kind:nonsense", "enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "no kind 'nonsense'" in it.screen.error.message


async def test_a_hit_opens_its_files_and_escape_goes_back(offered, library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D", "slash", *"harbour", "enter")
        await until(pilot, lambda: place(it).found.table.count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: place(it).page == "offer")
        for page in ("found", "queue"):
            await pilot.press("escape")
            assert place(it).page == page
        await pilot.press("escape")
        await until(pilot, lambda: it.here == "browse")


async def test_escape_stops_a_question(offered, library, app, until, text):
    from world.faults import stall

    offered.fault("GET civitai", stall(0, 30), times=None)
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await paste(it, "civitai:1")
        await until(pilot, lambda: it.here == "download" and "asking for 1 source" in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: "asking" not in text(it))
        assert place(it).page == "queue"


# -- the choice --------------------------------------------------------------------------------------------------------


async def test_the_choice_shows_versions_files_warnings_and_what_is_said(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=(120, 60)) as pilot:
        files = await offer_for(it, pilot, until, "civitai:1")
        await until(pilot, lambda: place(it).offer.query_one(Picture).pixels is not None)
        for words in ("second", "first", "[31mLines [b]", "fp16 pruned", "fp32 full", "pickle", "mara", "inklines"):
            await until(pilot, lambda words=words: words in text(it))
        for words in ("Drawn with ink.", "credit", f"1 file marked, {human_size(len(LORA))}"):
            await until(pilot, lambda words=words: words in text(it))
        assert "\x1b" not in text(it)
        marked = [
            files.choosing.file(line).name
            for line in files.rows
            if line.file is not None and files.choosing.is_marked(line)
        ]
        assert marked == ["ink_v2.safetensors"]


async def test_other_files_of_other_versions_are_marked(offered, library, models, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        files = await offer_for(it, pilot, until, "civitai:1")
        await pilot.press("space", "space")
        await until(pilot, lambda: "1 file marked" in text(it))
        assert "ink_v1" not in text(it)
        await pilot.press("end", "l", "down")
        await until(pilot, lambda: "ink_v1.safetensors" in text(it))
        await pilot.press("space", "enter")
        await until(pilot, lambda: place(it).page == "plan")
        names = {item.path.name for _, item in place(it).query_one(PlanList).rows}
        assert names == {"ink_v1.safetensors", "ink_v2_full.safetensors"}
        assert files.choosing.size() == len(OLD) + len(samples.lora(seed=3))
        await pilot.press("enter")
        await until(pilot, lambda: [state for state, _ in rows(library)] == ["done", "done"])
        assert sha256(models / "loras" / "ink_v1.safetensors") == hashlib.sha256(OLD).hexdigest()
        with Catalog.open(library.folder) as catalog:
            old = catalog.by_path(models / "loras" / "ink_v1.safetensors")
        assert "first" in str(old.provided), "what is said is said of its own version"


async def test_what_is_owned_is_told_before_it_is_planned(offered, library, models, app, until, text):
    (models / "loras" / "mine.safetensors").write_bytes(LORA)
    from modelhub.scan.run import scan

    with Catalog.open(library.folder) as catalog:
        scan(catalog, [models], hashes="fast")
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await offer_for(it, pilot, until, "civitai:1")
        assert "✓ yours" in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: place(it).page == "plan")
        assert "1 yours" in text(it) and "mine.safetensors" in text(it)
        await pilot.press("enter")
        await pilot.pause()
        assert rows(library) == [] and place(it).page == "plan"
        await pilot.press("w")
        await until(pilot, lambda: place(it).query_one(PlanList).rows[0][1].status == "new")
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", "ink_v2.safetensors")])


async def test_a_repository_is_chosen_as_a_whole(offered, library, models, app, until, text):
    offered.add_repo("mara/meadow", samples.diffusers())
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        plan = await plan_for(it, pilot, until, "mara/meadow")
        assert plan.count == 1 and plan.rows[0][1].order.whole
        await pilot.press("enter")
        await until(pilot, lambda: [state for state, _ in rows(library)] == ["done"])
        assert (plan_path := models / "checkpoints" / "meadow").is_dir() or next(models.rglob("model_index.json")), (
            plan_path
        )


# -- the plan ----------------------------------------------------------------------------------------------------------


async def typed(it: ModelhubApp, pilot: Any, until: Callable[..., Any], text: str) -> None:
    """The answer to a question."""
    await until(pilot, lambda: isinstance(it.screen, AskDialog))
    it.screen.query_one(Input).value = text
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(it.screen, AskDialog))


async def test_name_and_folder_are_changed_before_anything_is_fetched(offered, library, tmp_path, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        plan = await plan_for(it, pilot, until, "civitai:1")
        await pilot.press("n")
        await typed(it, pilot, until, "../my ink")
        await until(
            pilot, lambda: plan.rows[0][1].path.name == "_my ink.safetensors" or "my ink" in plan.rows[0][1].path.name
        )
        name = plan.rows[0][1].path.name
        assert name.endswith(".safetensors") and "/" not in name
        await pilot.press("f")
        await typed(it, pilot, until, str(tmp_path / "elsewhere" / "deep"))
        goal = tmp_path / "elsewhere" / "deep" / name
        await until(pilot, lambda: plan.rows[0][1].path == goal)
        assert not goal.parent.exists()
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", name)])
        assert sha256(goal) == hashlib.sha256(LORA).hexdigest()


async def test_what_is_in_the_way_is_told_and_stays(offered, library, models, app, until, text):
    there = models / "loras" / "ink_v2.safetensors"
    there.write_bytes(b"something else")
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        plan = await plan_for(it, pilot, until, "civitai:1")
        await until(
            pilot, lambda: "in the way" in text(it) and "Press n to name it otherwise, or w to replace it." in text(it)
        )
        await pilot.press("enter")
        await pilot.pause()
        assert rows(library) == []
        await pilot.press("n")
        await typed(it, pilot, until, "ink two")
        await until(pilot, lambda: plan.rows[0][1].status == "new")
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", "ink two.safetensors")])
        assert there.read_bytes() == b"something else"


async def test_items_are_left_out_and_two_do_not_go_to_one_place(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        plan = await plan_for(it, pilot, until, "civitai:1\ncivitai:2")
        await pilot.press("f")
        await typed(it, pilot, until, str(plan.rows[1][1].path.parent))
        await pilot.press("n")
        await typed(it, pilot, until, plan.rows[1][1].path.name)
        await until(pilot, lambda: plan.rows[1][1].status == "conflict")
        await pilot.press("end")
        await until(pilot, lambda: "Something before it is to become" in text(it))
        await pilot.press("x")
        await until(pilot, lambda: plan.count == 1)
        assert plan.rows[0][1].status == "new"


async def test_a_plan_for_later_waits_paused(offered, library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await plan_for(it, pilot, until, "civitai:1")
        await pilot.press("t")
        await until(pilot, lambda: rows(library) == [("paused", "ink_v2.safetensors")])
        await until(pilot, lambda: place(it).page == "queue")
        assert not it.jobs.open
        queue = place(it).query_one(QueueList)
        await until(pilot, lambda: [row.state for row in queue.rows] == ["paused"])
        await pilot.press("p")
        await until(pilot, lambda: rows(library) == [("done", "ink_v2.safetensors")])


async def test_too_little_space_is_told_before_the_first_byte(offered, library, app, until, text, monkeypatch):
    monkeypatch.setattr("modelhub.fetch.planning.space._free", lambda folder: 1000)
    async with (it := app(library)).run_test(size=(240, 40)) as pilot:
        await plan_for(it, pilot, until, "civitai:1")
        assert "not enough space" in text(it) and "only 1 kB free" in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "choose another folder with f" in it.screen.error.hint
        assert rows(library) == []


async def test_without_a_folder_it_says_where_to_name_one(offered, home, app, until):
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await offer_for(it, pilot, until, "civitai:1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "Settings (press ,)" in it.screen.error.hint and "--to" not in it.screen.error.hint


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_a_pasted_token_opens_the_file_and_is_kept_and_shown_nowhere(offered, library, models, app, until, text):
    offered.add_version(5, 50, [{"data": OLD, "name": "closed.safetensors"}], needs_login=True, type="LORA")
    token = offered.civitai.token
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        seen = []
        await plan_for(it, pilot, until, f"https://civitai.com/api/download/models/50?token={token}")
        seen.append(text(it))
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", "closed.safetensors")])
        await until(pilot, lambda: not it.jobs.open)
        seen.append(text(it))
        logs = [line.text for record in it.jobs.records for line in record.log]
        it._remember()
        assert not any(token in one for one in [*seen, *logs])
    for path in library.folder.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    assert {one.authorization for one in offered.asked_of("storage")} == {None}


async def test_a_password_in_an_address_is_used_once_and_kept_nowhere(offered, library, app, until, text):
    secret = offered.add_file("closed/ink.safetensors", LORA) + "?token=hunter2secret"
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await plan_for(it, pilot, until, secret)
        assert "hunter2secret" not in text(it)
        await pilot.press("enter")
        await until(pilot, lambda: rows(library) == [("done", "ink.safetensors")])
        assert "hunter2secret" not in text(it)
        asked = offered.asked_of("storage", "GET", "/closed")
        assert {one.query.get("token") for one in asked} == {"hunter2secret"}, "the last one, too, that of the queue"
        it._remember()
    for path in library.folder.rglob("*"):
        assert not path.is_file() or b"hunter2secret" not in path.read_bytes(), path


def test_errors_of_all_kinds_have_no_words_of_the_command_line():
    from modelhub.fetch.civitai import refusals as civitai
    from modelhub.fetch.huggingface import refusals as hub
    from modelhub.tui.download.words import explained, with_keys

    errors: list[ModelhubError] = [
        civitai.disabled("x"), civitai.archived("x"), civitai.early("x", None), hub.gated("page", "x", signed=False),
        ModelhubError("x", civitai.LOGIN_HINT), ModelhubError("x", f"Check it. If it is private: {hub.LOGIN}."),
    ]  # fmt: skip
    for error in errors:
        assert "modelhub " not in explained(error).hint, error.hint
    assert with_keys("Run `modelhub login civitai` with a token from your account there.") == (
        "Add a token from your account there in Settings (press ,)."
    )
    assert os.linesep not in with_keys("Try again.")


async def test_the_palette_runs_the_actions_of_the_page_at_hand(offered, library, app, until):
    from modelhub.tui.finding.palette import action_entries

    async with (it := app(library)).run_test(size=SIZE) as pilot:
        plan = await plan_for(it, pilot, until, "civitai:1")
        found = {one.label: one for one in action_entries(it, it.screen)}
        assert {"Leave out", "Get"} <= found.keys() and "Clear done" not in found
        found["Leave out"].run()
        await until(pilot, lambda: plan.count == 0)


async def test_who_types_while_an_answer_comes_goes_on_typing(offered, library, app, until):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D", "slash", *"ha")
        field = place(it).bar.input
        place(it).take(["civitai:1"])
        await until(pilot, lambda: place(it).page == "offer")
        await pilot.press("q")
        assert it.focused is field
        assert field.value == "haq"


async def test_a_change_goes_on_from_the_one_that_is_still_looked_into(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        await plan_for(it, pilot, until, "civitai:1\ncivitai:2")
        page = place(it).query_one(PlanPage)
        page.action_replace()
        page.table.cursor = 1
        page.action_replace()
        page.action_go()
        await until(pilot, lambda: "still being looked into" in text(it))
        await until(pilot, lambda: [order.replace for order in page.plan.orders] == [True, True])
        assert rows(library) == []


async def test_an_answer_for_who_is_elsewhere_is_no_dialog(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: it.here == "download")
        await pilot.press("B")
        place(it).offer.explain(ModelhubError("Nobody answers.", "Try later."))
        await until(pilot, lambda: "Nobody answers. Try later." in text(it))
        assert it.screen is it.place("browse")


async def test_a_narrow_terminal_tells_what_is_waited_for(offered, library, app, until):
    async with (it := app(library)).run_test(size=(80, 24)) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: it.here == "download")
        place(it).wait_for("searching Civitai and Hugging Face…")
        line = place(it).query_one(Steps).render().plain
        assert "esc stops" in line
        assert len(line) <= 80


async def test_a_search_tells_how_its_words_sort_it(offered, library, app, until, text):
    async with (it := app(library)).run_test(size=SIZE) as pilot:
        await pilot.press("D", "slash", *"harbour sort:rating", "enter")
        await until(pilot, lambda: "by rating" in text(it))
