"""Styles are read once, and again for other colours only."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


async def test_a_new_screen_reads_no_styles_and_another_theme_does(few, app, until, text, monkeypatch):
    read = []
    parse = Stylesheet.reparse
    monkeypatch.setattr(Stylesheet, "reparse", lambda self: read.append(self) or parse(self))
    async with (it := app(few)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "12 of 12" in text(it))
        it.go("jobs")
        await until(pilot, lambda: it.here == "jobs" and it.screen.is_mounted)
        assert read == []
        before = it.screen.styles.background
        it.theme = "textual-light"
        await until(pilot, lambda: it.screen.styles.background != before)
        assert len(read) == 1
        it.go("browse")
        await until(pilot, lambda: "12 of 12" in text(it))
        assert it.screen.styles.background != before
