"""Browsing fifty thousand rows: only pages are fetched, the list follows the typing, the panes follow the list."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.assets.filter_bar import FilterBar
from modelhub.tui.browse.sidebar import Sidebar
from modelhub.tui.detail.pane import Detail
from modelhub.tui.screens.dialogs import ErrorDialog

WIDE, NORMAL, NARROW = (200, 60), (120, 40), (80, 24)


class Counted:
    """A library whose page fetches are recorded by size."""

    def __init__(self, library, monkeypatch):
        self.sizes: list[int] = []
        page = library.page

        def counted(ids):
            self.sizes.append(len(ids))
            return page(ids)

        monkeypatch.setattr(library, "page", counted)


def parts(app):
    return app.screen.query_one(AssetList), app.screen.query_one(FilterBar)


async def typed(pilot, query):
    for char in query:
        await pilot.press({":": "colon", " ": "space", "(": "left_parenthesis"}.get(char, char))


async def test_the_first_list_appears_and_fetches_one_page(many, app, until, text, monkeypatch):
    counted = Counted(many, monkeypatch)
    async with (it := app(many)).run_test(size=NORMAL) as pilot:
        await until(pilot, lambda: "50,000 of 50,000" in text(it))
        assert "model-00001" in text(it)
        assert counted.sizes == [64]


async def test_moving_fetches_pages_only(many, app, until, text, monkeypatch):
    counted = Counted(many, monkeypatch)
    async with (it := app(many)).run_test(size=NORMAL) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 50_000)
        await pilot.press("end")
        await until(pilot, lambda: "model-50000" in text(it))
        assert assets.cursor == 49_999
        await pilot.press("home")
        await until(pilot, lambda: "model-00001" in text(it))
        await pilot.press("pagedown", "pagedown", "j", "down", "k", "up", "pageup")
        assert assets.cursor == assets.rows_seen - 1
        await pilot.press("G", "g")
        await pilot.pause()
        assert assets.cursor == 0
        assert max(counted.sizes) == 64
        assert len(counted.sizes) <= 6


async def test_walking_through_hundreds_of_rows_keeps_few_pages(many, app, until, monkeypatch):
    counted = Counted(many, monkeypatch)
    async with (it := app(many)).run_test(size=NARROW) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 50_000)
        for _ in range(40):
            await pilot.press("pagedown")
        rows = assets.cursor
        assert rows > 700
        assert len(counted.sizes) <= rows // 64 + 3
        assert len(assets._pages._pages) <= 16


def kinds_of(assets: AssetList) -> list[str]:
    """The kinds of the first dozen rows, as far as they are there."""
    return [asset.kind for row in range(12) if (asset := assets._pages.get(row)) is not None]


async def test_sorting_is_done_by_the_catalog(many, app, until, monkeypatch):
    counted = Counted(many, monkeypatch)
    async with (it := app(many)).run_test(size=WIDE) as pilot:
        assets, bar = parts(it)
        await until(pilot, lambda: assets.count == 50_000)
        it.screen.finder.sort_by("size")
        await until(pilot, lambda: assets.ids[0] != 1)
        assert assets._pages.get(0).size == max(n * 7919 % 50_000 for n in range(1, 50_001)) * 100_000
        assert "by size ▼" in str(bar.summary)
        await pilot.press("S")
        await until(pilot, lambda: assets._pages.get(0) and assets._pages.get(0).size < 1_000_000)
        assert "by size ▲" in str(bar.summary)
        assert sum(counted.sizes) <= 8 * 64


async def test_s_sorts_by_the_next_column_and_stays_on_the_asset(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, bar = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.press("down", "down")
        here, kinds = assets.current.id, kinds_of(assets)
        assert kinds != sorted(kinds)
        await pilot.press("s")
        await until(pilot, lambda: len(kinds := kinds_of(assets)) == 12 and kinds == sorted(kinds))
        assert "by kind ▲" in str(bar.summary)
        await until(pilot, lambda: assets.current is not None and assets.current.id == here)


async def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(few, app, until, text):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, bar = parts(it)
        await until(pilot, lambda: assets.count == 12)
        heading = next(line for line in text(it).splitlines() if "Name" in line)
        at = heading.index("Kind") - assets.region.x
        await pilot.click(assets, offset=(at, 0))
        await until(pilot, lambda: "by kind ▲" in str(bar.summary))
        await pilot.click(assets, offset=(at, 0))
        await until(pilot, lambda: "by kind ▼" in str(bar.summary))


async def test_the_list_follows_what_is_typed(many, app, until, text, monkeypatch):
    counted = Counted(many, monkeypatch)
    async with (it := app(many)).run_test(size=NORMAL) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 50_000)
        await pilot.press("slash")
        await typed(pilot, "kind:lora 4999")
        await until(pilot, lambda: "2 of 50,000" in text(it))
        assert all("4999" in assets._pages.get(row).name for row in range(assets.count))
        assert max(counted.sizes) <= 64
        await pilot.press("escape")
        await until(pilot, lambda: assets.count == 50_000)
        assert it.focused is assets


async def test_a_bad_query_says_so_and_keeps_the_last_good_list(few, app, until, text):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, bar = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.press("slash")
        await typed(pilot, "kind:vae")
        await until(pilot, lambda: assets.count == 2)
        await typed(pilot, " (")
        await until(pilot, lambda: "his parenthesis is never closed" in text(it))
        assert assets.count == 2
        assert bar.has_class("-bad")
        await pilot.press(*["backspace"] * len(" ("), "enter")
        await until(pilot, lambda: not bar.problem)
        assert it.focused is assets
        assert not isinstance(it.screen, ErrorDialog)


async def test_nothing_found_says_how_to_go_on(few, app, until, text):
    async with (it := app(few)).run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        await pilot.press("slash")
        await typed(pilot, "zzz")
        await until(pilot, lambda: "Nothing fits this query." in text(it))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: "12 of 12" in text(it))


async def test_the_sidebar_narrows_the_query_in_sight(few, app, until, text):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, bar = parts(it)
        side = it.screen.query_one(Sidebar)
        await until(pilot, lambda: side.count > 5 and assets.count == 12)
        kinds = [entry.label for entry in side.entries]
        side.focus()
        side.cursor = kinds.index("checkpoint")
        await pilot.press("enter")
        await until(pilot, lambda: assets.count == 5)
        assert bar.text == "kind:checkpoint"
        side.cursor = [entry.label for entry in side.entries].index("sdxl")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "kind:checkpoint arch:sdxl")
        await until(pilot, lambda: {assets._pages.get(row).architecture for row in range(assets.count)} == {"sdxl"})
        side.cursor = [entry.label for entry in side.entries].index("models")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "kind:checkpoint arch:sdxl path:/models/")
        side.cursor = 0
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "" and assets.count == 12)


async def test_the_sidebar_folds_by_key_and_mouse(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        side = it.screen.query_one(Sidebar)
        await until(pilot, lambda: side.count > 5)
        side.focus()
        row = [entry.label for entry in side.entries].index("checkpoint")
        side.cursor = row
        before = side.count
        await pilot.press("right")
        assert side.count == before + 2
        await pilot.press("left")
        assert side.count == before
        await pilot.click(side, offset=(1, row + side.header))
        assert side.count == before + 2
        assert it.screen.finder.bar.text == ""


async def test_the_detail_shows_identity_and_evidence(few, app, until, text):
    async with (it := app(few)).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "EVIDENCE" in text(it))
        seen = text(it)
        assert "sd1 in the ldm layout" in seen
        assert "model.diffusion_model.input_blocks.0.0.weight" in seen
        assert "[320, 4, 3, 3]" in seen
        await pilot.press("down")
        await until(pilot, lambda: it.screen.query_one(Detail).asset.name == "model-00002.safetensors")


@pytest.mark.parametrize(("size", "side", "detail"), [(WIDE, True, True), (NORMAL, True, True), (NARROW, False, False)])
async def test_panes_for_every_width(few, app, until, text, size, side, detail):
    async with (it := app(few)).run_test(size=size) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        assert it.screen.query_one(Sidebar).display is side
        assert it.screen.query_one(Detail).display is detail
        assert all(len(line) == size[0] for line in text(it).splitlines())


async def test_a_narrow_terminal_shows_one_pane_at_a_time(few, app, until, text):
    async with (it := app(few)).run_test(size=NARROW) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.press("enter")
        await until(pilot, lambda: "IDENTITY" in text(it))
        assert not it.screen.finder.display
        await pilot.press("escape")
        await until(pilot, lambda: it.screen.finder.display)
        assert it.focused is assets
        await pilot.press("d")
        await until(pilot, lambda: "IDENTITY" in text(it))
        await pilot.press("d")
        await until(pilot, lambda: it.focused is assets)
        await pilot.press("b")
        await until(pilot, lambda: "KINDS" in text(it))
        assert it.screen.finder.display
        await pilot.press("escape")
        await until(pilot, lambda: "KINDS" not in text(it))


async def test_resizing_keeps_the_cursor_in_sight(many, app, until, text):
    async with (it := app(many)).run_test(size=WIDE) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 50_000)
        assets.cursor = 1000
        for size in (NARROW, NORMAL, NARROW):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "model-01001" in text(it))


async def test_a_double_click_opens_the_detail(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.click(assets, offset=(4, 5), times=2)
        await until(pilot, lambda: it.focused is it.screen.query_one(Detail))
        assert assets.cursor == 4


async def test_typing_in_the_bar_is_not_taken_for_actions(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        await until(pilot, lambda: parts(it)[0].count == 12)
        await pilot.press("slash", *"mtq05dR")
        assert it.screen.query_one(Input).value == "mtq05dR"
        assert it.is_running


async def test_the_detail_follows_a_cursor_that_an_action_moved(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        detail = it.screen.query_one(Detail)
        await until(pilot, lambda: detail.asset is not None and detail.asset.id == 1)
        await pilot.press("space")
        await until(pilot, lambda: detail.asset.id == 2)
        it.screen.finder.reverse()
        await until(pilot, lambda: it.screen.finder.assets.ids[0] == 12)
        await until(pilot, lambda: detail.asset.id == 2)
        it.screen.finder.bar.put("00007")
        await until(pilot, lambda: detail.asset.id == 7)
        it.screen.finder.bar.put("nothing at all")
        await until(pilot, lambda: detail.asset is None)


async def test_the_sidebar_steps_over_blank_lines(few, app, until):
    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        side = it.screen.query_one(Sidebar)
        await until(pilot, lambda: side.count > 5)
        side.focus()
        seen = []
        for _ in range(side.count):
            seen.append(side.entries[side.cursor].label)
            await pilot.press("down")
        assert list(dict.fromkeys(seen)) == [entry.label for entry in side.entries if entry.label]
        await pilot.press(*["up"] * side.count)
        assert side.cursor == 0


@pytest.mark.parametrize(
    ("size", "query", "under"),
    [
        (NORMAL, "kind:vae rating:x", "x"),
        (NORMAL, "foo:1", "foo"),
        (NORMAL, "模型 foo:1", "foo"),
        (NARROW, "kind:vae (tag:anime", "("),
        (NARROW, "word " * 30 + "foo:1", "foo"),
    ],
)
async def test_the_caret_stands_under_the_mistake(few, app, until, text, size, query, under):
    async with (it := app(few)).run_test(size=size) as pilot:
        assets, bar = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.press("slash")
        bar.put(query)
        await until(pilot, lambda: bar.problem)
        await until(pilot, lambda: "^" in columns(it, bar.region.y + 1))
        await pilot.press("home", "end")
        await pilot.pause(0.1)
        typed, line = (columns(it, bar.region.y + row) for row in (0, 1))
        at = line.index("^")
        assert typed[at:].startswith(under) and bar.problem in text(it)
        bar.put("kind:vae")
        await until(pilot, lambda: assets.count == 2 and not bar.problem)
        assert bar.size.height == 2


def columns(app, y):
    """A line of the screen with one character for each column."""
    from rich.cells import cell_len

    line = app.screen._compositor.render_strips()[y].text
    return "".join(char if cell_len(char) == 1 else f"{char}\0" for char in line)


async def test_what_another_process_writes_shows_up(few, app, until, text):
    from modelhub.catalog.store import Catalog

    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 12)
        await pilot.press("down")
        with Catalog.open(few.folder) as other:
            other.remove([5, 6])
            other.tag([2], ["brandnew"])
        await until(pilot, lambda: assets.count == 10 and "#brandnew" in text(it) and it.screen.survey.total == 10)
        assert assets.cursor == 1


async def test_the_cursor_stays_on_its_line_when_its_asset_goes(few, app, until):
    from modelhub.catalog.store import Catalog

    async with (it := app(few)).run_test(size=NORMAL) as pilot:
        assets, _ = parts(it)
        await until(pilot, lambda: assets.count == 12)
        for row, gone in ((7, 8), (10, 12)):
            assets.cursor = row
            with Catalog.open(few.folder) as other:
                other.remove([gone])
            before = assets.count
            it.screen.refresh_all()
            await until(pilot, lambda before=before: assets.count == before - 1)
            assert assets.cursor == min(row, assets.count - 1)


def test_a_scan_is_told_in_words():
    from modelhub.scan.report import Problem, ScanReport
    from modelhub.tui.browse.scanning import scan_words

    report = ScanReport([])
    report.files = report.unchanged = 3
    assert scan_words(report) == "3 files: nothing new."
    report.added, report.moved, report.links, report.hashed = 1, 2, 1, 4
    assert scan_words(report) == "3 files: 1 new, 2 moved, 4 hashed, 1 link to the same contents."
    report.problems.append(Problem("x", "corrupt", "a\nb"))
    assert scan_words(report).endswith("; 1 file could not be read (problem:yes).\na\\x0ab")
