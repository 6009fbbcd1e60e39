"""What the user does to assets: marks, tags, stars, notes, scans; and that no error takes the interface down."""

from __future__ import annotations

import io
import sqlite3
import time

import pytest
from textual.widgets import Input, SelectionList, TextArea

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError, UsageError
from modelhub.scan.report import ScanReport
from modelhub.settings import Settings
from modelhub.tui.actions import ACTIONS, SCOPES, bindings
from modelhub.tui.app import ModelhubApp, run
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse import scanning
from modelhub.tui.browse.tags import TagDialog
from modelhub.tui.finding.help import HelpScreen
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, ConfirmDialog, ErrorDialog, NoteDialog

SIZE = (120, 40)
HOSTILE = ("[red]x[/]", "esc\x1b[31mred\x07", "two\nlines", "bidi\u202egnp", "日本語 wide", "e\u0301 combining")


def stored(library):
    with Catalog.open(library.folder) as catalog:
        return {asset.id: asset for asset in catalog.find()}


async def started(pilot, until, count):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == count)
    return assets


async def test_marks_are_counted_and_survive_a_filter(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets = await started(pilot, until, 12)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "2 marked" in text(it))
        assert assets.targets == [1, 3]
        assert sum(line.count("● ") for line in text(it).splitlines()) == 2
        await pilot.press("slash", *"00009", "enter")
        await until(pilot, lambda: assets.count == 1)
        assert assets.targets == [1, 3]
        await pilot.press("escape")
        await until(pilot, lambda: not assets.marks)
        await pilot.press("ctrl+a")
        assert assets.targets == [9]
        await pilot.press("ctrl+a")
        assert not assets.marks


async def test_tags_are_put_on_all_marked_assets(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.tags)
        await pilot.press("space", "space", "t")
        await until(pilot, lambda: isinstance(it.screen, TagDialog))
        await pilot.press(*"new", "comma", *"two", "enter")
        await until(pilot, lambda: stored(few)[2].tags == ["anime", "new", "two"])
        assert stored(few)[1].tags == ["anime", "new", "two"]
        assert stored(few)[3].tags == ["anime"]
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.tags.get("new") == 2)


async def test_a_tag_is_taken_away_by_unticking(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.tags)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, TagDialog))
        assert it.screen.query_one(SelectionList).selected == ["anime"]
        await pilot.press("down", "space", "enter")
        await until(pilot, lambda: stored(few)[1].tags == [])
        assert stored(few)[2].tags == ["anime"]


async def test_a_tag_that_cannot_be_is_explained(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, TagDialog))
        it.screen.query_one(Input).value = "x" * 101
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "cannot be a tag" in it.screen.error.message
        await pilot.press("escape", "down")
        assert it.screen.query_one(AssetList).cursor == 1


async def test_digits_give_stars_and_escape_leaves_the_tag_dialog_unchanged(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await pilot.press("4")
        await until(pilot, lambda: stored(few)[1].rating == 4)
        await until(pilot, lambda: "★★★★☆" in text(it))
        await pilot.press("0")
        await until(pilot, lambda: stored(few)[1].rating == 0)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(it.screen, TagDialog))
        await pilot.press(*"no", "escape")
        await pilot.pause()
        assert stored(few)[1].tags == ["anime"]


async def test_a_note_of_two_lines_is_written_and_shown(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        for note in ("good\n[b]old[/] one", ""):
            await pilot.press("n")
            await until(pilot, lambda: isinstance(it.screen, NoteDialog))
            area = it.screen.query_one(TextArea)
            assert area.text == stored(few)[1].notes
            area.text = note
            await pilot.press("ctrl+s")
            await until(pilot, lambda note=note: stored(few)[1].notes == note)
            await until(pilot, lambda note=note: ("[b]old[/] one" in text(it)) == bool(note))


async def test_paths_are_copied_one_or_many(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        await started(pilot, until, 12)
        await pilot.press("y")
        assert it.clipboard == "/models/checkpoints/model-00001.safetensors"
        await pilot.press("space", "space", "y")
        assert it.clipboard.splitlines() == [
            "/models/checkpoints/model-00001.safetensors", "/models/loras/model-00002.safetensors",
        ]  # fmt: skip
        await until(pilot, lambda: "Copied 2 paths." in text(it))


@pytest.mark.parametrize("scope", ["browse", "detail", "compare", "dupes", "trash"])
def test_no_key_is_taken_twice(scope):
    over = ("app",) if scope == "detail" else ("list", "app")
    keys = [key for action in ACTIONS if action.scope in (scope, *over) for key in action.keys.split(",")]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice - ({"enter"} if scope == "detail" else set())


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24)])
async def test_hostile_names_are_shown_and_not_obeyed(home, app, until, text, size):
    with Catalog.open(home) as catalog:
        for number, name in enumerate(HOSTILE):
            why = Identity(
                kind="lora",
                evidence=(Evidence(name, name, name),),
                conflicts=(name,),
                trigger_words=(name,),
                confidence=name,
            )
            path = home / "lo[b]ras" / f"{name}.safetensors"
            row = catalog.record(path, FileStat(1, number, 5, 0), why, "1", title=name, problem=name)
            catalog.note(row, name)
        catalog.add_root(home / HOSTILE[0])
    async with (it := app(Library(home))).run_test(size=size) as pilot:
        await started(pilot, until, len(HOSTILE))
        seen = ""
        for _ in HOSTILE:
            await pilot.press("enter")
            await pilot.pause()
            seen += text(it)
            await pilot.press("escape", "t")
            await until(pilot, lambda: isinstance(it.screen, TagDialog))
            seen += text(it)
            await pilot.press("escape", "down")
            await pilot.pause()
        assert "[red]x[/]" in seen
        assert "esc\\x1b[31mred\\x07" in seen
        assert "two\\x0alines" in seen
        assert "日本語" in seen
        assert not {char for char in seen if not char.isprintable()} - {"\n"}


async def test_an_empty_catalog_says_what_to_do_and_does_it(home, models, app, until, text):
    async with (it := app(Library(home))).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "modelhub scan FOLDER" in text(it))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = str(models)
        await pilot.press("enter")
        await until(pilot, lambda: "4 of 4" in text(it))
        assert "tiny-shapes-base" in text(it)
        (models / "tiny-shapes-base.safetensors").rename(models / "renamed.safetensors")
        await pilot.press("R")
        await until(pilot, lambda: "renamed" in text(it))


@pytest.mark.parametrize("keys", [["t"], ["space", "space", "equals_sign"]], ids=["tag", "compare"])
async def test_a_catalog_that_cannot_be_read_is_explained(few, app, until, monkeypatch, keys):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.pane.asset)

        def broken(ids):
            raise FileError("The catalog cannot be read.", "Try again.")

        await pilot.press(*keys[:-1])
        monkeypatch.setattr(few, "page", broken)
        await pilot.press(keys[-1])
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "cannot be read" in it.screen.error.message


async def test_the_name_of_a_folder_is_completed(home, models, app, until):
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        field = it.screen.query_one(Input)
        field.value = str(models)[:-2]
        field.action_end()
        await until(pilot, lambda: field._suggestion)
        await pilot.press("tab")
        assert field.value == f"{models}/"


async def test_a_folder_that_is_none_is_explained(home, app, until):
    async with (it := app(Library(home))).run_test(size=SIZE) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        it.screen.query_one(Input).value = str(home / "nowhere")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "nowhere is not a folder." in it.screen.error.message
        await pilot.press("enter", "a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))


async def test_escape_stops_a_scan(few, app, until, text, monkeypatch):
    stopped = []

    def slow(catalog, folders, *, hashes, job):
        try:
            with job.phase("indexing", 1000, "files") as advance:
                for number in range(1000):
                    advance(item=f"file {number}")
                    time.sleep(0.01)
        finally:
            stopped.append(job.cancelled)
        return ScanReport([])

    monkeypatch.setattr(scanning, "scan", slow)
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets = await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.folders)
        await pilot.press("R")
        await until(pilot, lambda: "indexing" in text(it) and "esc stops" in text(it))
        await pilot.press("down", "down")
        assert assets.cursor == 2
        await pilot.press("escape")
        await until(pilot, lambda: stopped == [True])
        await until(pilot, lambda: "esc stops" not in text(it))


async def test_quitting_stops_a_running_scan(few, app, until, text, monkeypatch):
    ended = []

    def endless(catalog, folders, *, hashes, job):
        try:
            with job.phase("walking") as advance:
                while True:
                    advance()
                    time.sleep(0.01)
        finally:
            ended.append(True)

    monkeypatch.setattr(scanning, "scan", endless)
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.folders)
        await pilot.press("R")
        await until(pilot, lambda: "walking" in text(it))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
    for _ in range(500):
        if ended:
            break
        time.sleep(0.01)
    assert ended


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ZeroDivisionError("by nothing"), "Something unexpected went wrong: ZeroDivisionError: by nothing"),
        (ModelhubError("A sentence with [red]markup[/].", "A hint."), "A sentence with [red]markup[/]."),
        (sqlite3.OperationalError("disk I/O error"), "could not be used: disk I/O error"),
    ],
)
async def test_whatever_a_worker_raises_ends_in_a_dialog(few, app, until, text, monkeypatch, raised, says):
    def broken(*_, **__):
        raise raised

    monkeypatch.setattr(scanning, "scan", broken)
    async with (it := app(few)).run_test(size=(200, 60)) as pilot:
        assets = await started(pilot, until, 12)
        await until(pilot, lambda: it.screen.query_one("#sidebar").survey.folders)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert says in it.screen.error.message
        assert all(word in text(it) for word in says.split())
        await pilot.press("enter", "down")
        assert assets.cursor == 1
        assert it.is_running


async def test_a_page_that_cannot_be_read_ends_in_a_dialog(few, app, until, monkeypatch):
    def broken(self, ids):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Catalog, "assets", broken)
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert "disk I/O error" in it.screen.error.message
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, ErrorDialog))
        assert it.screen.query_one(AssetList).count == 12


def test_the_table_of_actions_is_sound():
    ids = [action.id for action in ACTIONS]
    assert len(set(ids)) == len(ids)
    assert {action.scope for action in ACTIONS} == set(SCOPES)
    assert all(action.help.endswith(".") and action.label for action in ACTIONS)
    assert all(binding.id in ids for scope in SCOPES for binding in bindings(scope))


@pytest.mark.parametrize("scope", ["browse", "lab", "fits", "compare", "dupes", "trash"])
def test_the_footer_has_at_most_eight_keys(scope):
    assert 0 < sum(action.footer for action in ACTIONS if action.scope in (scope, "app")) <= 8


async def test_every_action_of_the_table_can_be_run(few, app):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await pilot.pause()
        nodes = {"app": it, "browse": it.screen, "list": it.screen.query_one(AssetList)}
        for action in ACTIONS:
            name = action.call.split("(")[0]
            node = nodes.get(action.scope)
            assert node is None or hasattr(node, f"action_{name}"), action.id


async def test_the_help_names_every_action_of_the_screen(few, app, until, text):
    async with (it := app(few)).run_test(size=(120, 160)) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(it.screen, HelpScreen))
        await pilot.pause(0.1)
        seen = text(it)
        assert [
            action.id for action in ACTIONS if action.scope in ("browse", "list", "app") and action.help not in seen
        ] == []
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, HelpScreen))


async def test_the_palette_runs_an_action(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Type a query; the list follows." in text(it))
        await pilot.press(*"reverse")
        await until(pilot, lambda: "Turn the order of the list round." in text(it))
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: "by name ▼" in text(it))


async def test_keys_can_be_mapped(few, until, text):
    it = ModelhubApp(few, Settings(), {"browse.sort": "z", "browse.detail": "Z"})
    async with it.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        await until(pilot, lambda: "Z Detail" in text(it))
        await pilot.press("z", "Z")
        await until(pilot, lambda: "by kind ▲" in text(it) and not it.screen.pane.display)


async def test_a_theme_that_is_none_is_replaced(few, until, text):
    it = ModelhubApp(few, Settings(theme="no such [b]theme"))
    async with it.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "no such [b]theme" in text(it))
        assert it.theme == "modelhub"


async def test_every_theme_can_be_worn(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        for name in it.available_themes:
            it.theme = name
            await pilot.pause()
        assert "12 of 12" in text(it)


def test_without_a_terminal_there_is_a_sentence(home, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UsageError, match="needs a terminal"):
        run(home)
    assert not home.exists()


async def test_a_slash_in_a_field_is_a_slash(few, app, until):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        assets = await started(pilot, until, 12)
        await pilot.press("slash", "slash", "m", "slash")
        assert it.screen.finder.bar.text == "/m/"
        await pilot.press("escape")
        await until(pilot, lambda: it.focused is assets)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(it.screen, AskDialog))
        await pilot.press("slash", "x")
        assert it.screen.query_one(Input).value == "/x"


async def test_another_theme_is_chosen_by_key(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        await pilot.press("f2")
        await until(pilot, lambda: "nord" in text(it))
        await pilot.press(*"dracula")
        await until(pilot, lambda: "nord" not in text(it))
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: it.theme == "dracula")


async def test_one_note_is_written_on_all_that_are_marked(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE) as pilot:
        await started(pilot, until, 12)
        await pilot.press("space", "space", "n")
        await until(pilot, lambda: isinstance(it.screen, NoteDialog))
        assert "2 assets" in text(it)
        it.screen.query_one(TextArea).text = "both"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: [stored(few)[number].notes for number in (1, 2, 3)] == ["both", "both", ""])
        await pilot.press("u")
        await until(pilot, lambda: stored(few)[1].notes == stored(few)[2].notes == "")
