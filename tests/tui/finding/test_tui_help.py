"""The help: the keys of where the user is come first, remapped keys are shown, typing finds, fields of queries are all told."""

from __future__ import annotations

import pytest
from textual.containers import VerticalScroll
from textual.widgets import Input

from modelhub.catalog.fields import FIELDS
from modelhub.settings import Settings
from modelhub.tui.actions import actions
from modelhub.tui.app import ModelhubApp
from modelhub.tui.finding.help import HelpScreen
from modelhub.tui.finding.help_texts import filtered, help_sections
from modelhub.tui.keys.key_names import keys_in_words

SIZES = [(120, 40), (80, 24), (200, 60)]


def test_all_actions_of_a_place_and_all_fields_are_in_it():
    sections = help_sections("browse", None, {"browse.tag": "f9"})
    assert sections[0].title == "Library"
    assert [line.right for line in sections[0].lines] == [one.help for one in actions("browse")]
    assert next(line.left for line in sections[0].lines if "tags of what" in line.right) == "f9"
    lefts = " ".join(line.left for section in sections for line in section.lines)
    assert all(f"{field}:" in lefts for field in FIELDS)
    assert "set-clipboard on" in str(sections)


def test_typing_keeps_the_lines_with_every_word():
    sections = help_sections("browse", None, {})
    found = filtered(sections, "QUERY follows")
    assert [line.right for section in found for line in section.lines] == ["Type a query; the list follows."]
    assert filtered(sections, "no such words at all") == []
    assert filtered(sections, "") == sections


def test_keys_are_called_as_on_a_keyboard():
    assert keys_in_words("question_mark,f1") == "? f1"
    assert keys_in_words("ctrl+p,shift+left,alt+less_than_sign") == "^p shift-← alt-<"
    assert keys_in_words("none") == "no key"


@pytest.mark.parametrize("size", SIZES)
async def test_it_opens_over_a_place_finds_and_closes(few, app, until, text, size):
    async with (it := app(few)).run_test(size=size) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        place = it.screen
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(it.screen, HelpScreen) and "LIBRARY" in text(it))
        await pilot.press(*"osc 52")
        await until(pilot, lambda: "LIBRARY" not in text(it) and "OSC 52" in text(it))
        await pilot.press("escape")
        assert it.screen.query_one(Input).value == ""
        await until(pilot, lambda: "LIBRARY" in text(it))
        await pilot.press("down", "down", "pagedown")
        await until(pilot, lambda: it.screen.query_one(VerticalScroll).scroll_offset.y > 2)
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is place)


async def test_the_widget_with_the_focus_is_told(few, app, until, text):
    async with (it := app(few)).run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("slash", "f1")
        await until(pilot, lambda: isinstance(it.screen, HelpScreen) and it.screen.query("HelpBody"))
        titles = [section.title for section in it.screen.query_one("HelpBody").sections]
        assert titles[0] == "Library" and "Text field (has the focus)" in titles and "Filter bar" in titles
        assert titles.index("Filter bar") < titles.index("Lists")


async def test_the_keys_of_keys_toml_are_shown(few, until, text):
    it = ModelhubApp(few, Settings(), {"browse.tag": "f9", "filter.clear": "f8"})
    async with it.run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: it.screen.assets.count == 12)
        await pilot.press("slash", "f1")
        await until(pilot, lambda: isinstance(it.screen, HelpScreen) and it.screen.query("HelpBody"))
        lines = {line for section in it.screen.query_one("HelpBody").sections for line in section.lines}
        assert {line.left for line in lines} >= {"f9", "f8"}
