"""Styles are read once, and again for other colours only."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet

from modelhub.tui.places import PLACES


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


def plain(node):
    """Which value each rule gives a node and the parts it is drawn of."""
    parts = {name: styles.get_rules() for name, styles in getattr(node, "_component_styles", {}).items()}
    return node.styles.base.get_rules(), parts


def differences(it):
    """Nodes that look otherwise if Textual matches all anew."""
    for node in it.screen.walk_children(with_self=True):
        before = plain(node)
        Stylesheet.apply(it.stylesheet, node)
        if plain(node) != before:
            yield node, before, plain(node)


async def test_what_is_known_is_what_textual_matches(few, app, until, monkeypatch):
    async with (it := app(few)).run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: it.here == "browse" and it.screen.assets.count)
        for _ in range(2):
            for place in PLACES:
                it.go(place.id)
                await until(pilot, lambda place=place: it.here == place.id and it.screen.is_mounted)
                for _ in range(3):
                    await pilot.press("tab")
                    await pilot.hover(it.screen.focused or it.screen)
                await until(pilot, lambda: not it.animator._animations)
                with monkeypatch.context() as patch:
                    patch.setattr(type(it.stylesheet), "apply", Stylesheet.apply)  # for the parts too
                    assert list(differences(it)) == [] and len(list(it.screen.walk_children())) > 5
            it.theme = "textual-light"
            await until(pilot, lambda: not it.current_theme.dark)
