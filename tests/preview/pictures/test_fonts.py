"""Fonts for labels: Pillow's own where it will do, else one with more of the letters."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from modelhub.preview.pictures import fonts
from modelhub.preview.pictures.fonts import font_for


def test_plain_labels_have_the_font_that_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_system", lambda size: pytest.fail("no other font is looked for"))
    assert font_for("seed 1, DPM++ 2M …", 12).getname() == ImageFont.load_default(12).getname()


def test_a_font_of_the_system_has_more_letters() -> None:
    try:
        ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        pytest.skip("the system has no DejaVu")
    found = font_for("é ж λ", 12)
    assert found.getname() != ImageFont.load_default(12).getname()
    assert len({bytes(found.getmask(letter)) for letter in "éжλ"}) == 3


def test_without_fonts_of_the_system_labels_are_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_SYSTEM", ("no such font.ttf",))
    assert font_for("青い", 12).getname() == ImageFont.load_default(12).getname()
