"""Hashes, verifying, looking up and forgetting from the library: jobs that say what came of them."""

from __future__ import annotations

from modelhub.catalog.store import Catalog
from modelhub.errors import UnreachableError
from modelhub.fetch.lookup import sync as syncing
from modelhub.fetch.lookup.report import Known, SyncReport, Vanished
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.screens.dialogs import ConfirmDialog, ErrorDialog, ReportDialog

SIZE = (120, 40)


def stored(library, number=1):
    with Catalog.open(library.folder) as catalog:
        return catalog.get(number)


async def started(pilot, until, count=4):
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == count)
    return assets


async def test_marked_files_are_hashed(tiny, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        assets = await started(pilot, until)
        await pilot.press("space", "space", "H")
        await until(pilot, lambda: "Hashed 2 files." in text(it))
        hashed = [number for number in assets.ids if stored(tiny, number).hashes["crc32"]]
        assert sorted(hashed) == sorted(assets.targets)


async def test_rot_is_found_and_reported(tiny, models, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        assets = await started(pilot, until)
        await pilot.press("H")
        await until(pilot, lambda: "Hashed 1 file." in text(it))
        path = assets.current.path
        stat = path.stat()
        with path.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        import os

        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        await pilot.press("V")
        await until(pilot, lambda: isinstance(it.screen, ReportDialog))
        assert "1 rot" in text(it) and "has other bytes than when it was hashed" in " ".join(text(it).split())
        await pilot.press("escape")
        await until(pilot, lambda: assets.current.problem is not None)
        assert any("has other bytes" in line.text for line in it.jobs.records[-1].log)


async def test_looking_up_says_who_is_known(tiny, app, until, text, monkeypatch):
    asked = []

    def sync(catalog, query, net, job, *, hashing):
        asked.append(query)
        found = [Known(1, "/x", "ab", "T", None, None, None, None, None, "sha256")]
        return SyncReport(found=found, unknown=2, vanished=[Vanished(1, "/x", "[b]Lost", None, None, None)])

    monkeypatch.setattr(syncing, "sync", sync)
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        await started(pilot, until)
        await pilot.press("space", "space", "O")
        await until(pilot, lambda: isinstance(it.screen, ReportDialog))
        assert "1 known to Civitai, 2 unknown" in text(it) and "No longer on Civitai: [b]Lost" in text(it)
        assert len(asked) == 1 and asked[0].count("id:") == 2


async def test_what_stops_looking_up_is_explained(tiny, app, until, monkeypatch):
    error = UnreachableError("Civitai does not answer.", "Try later.")
    monkeypatch.setattr(syncing, "sync", lambda *_, **__: SyncReport(stopped=error))
    async with (it := app(tiny)).run_test(size=SIZE) as pilot:
        await started(pilot, until)
        await pilot.press("O")
        await until(pilot, lambda: isinstance(it.screen, ErrorDialog))
        assert it.screen.error.hint == "Try later."


async def test_missing_files_are_forgotten_when_asked(tiny, models, app, until, text):
    async with (it := app(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        assets = await started(pilot, until)
        await pilot.press("F")
        await until(pilot, lambda: "No file is missing" in text(it))
        assets.current.path.unlink()
        await pilot.press("F")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        assert "tiny-shapes-base" in text(it)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, ConfirmDialog))
        assert assets.count == 4
        await pilot.press("F")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: assets.count == 3)
        await pilot.press("u")
        await until(pilot, lambda: assets.count == 4)
