"""Fonts for labels: Pillow's own knows little beyond ASCII, and gives way to one of the system that knows more."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
#: File names of common fonts; Pillow knows where each system keeps them. Those for Chinese, Japanese and Korean first.
_SYSTEM = (
    "NotoSansCJK-Regular.ttc", "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "Hiragino Sans GB.ttc", "Arial Unicode.ttf",
    "wqy-microhei.ttc", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf",
)  # fmt: skip
#: No font has a letter for this; what is drawn instead stands for all that it lacks.
_NO_LETTER = "\uffff"


def font_for(text: str, size: int) -> Font:
    """The first font that has the most letters of `text`, `size` pixels high; Pillow's own if none has more."""
    own = ImageFont.load_default(size)
    if not _lacking(own, text):
        return own
    return min((own, *_system(size)), key=lambda font: _lacking(font, text))


def _system(size: int) -> Iterator[Font]:
    for name in _SYSTEM:
        try:
            yield ImageFont.truetype(name, size)
        except OSError:
            continue


def _lacking(font: Font, text: str) -> int:
    """How many different letters of `text` a font lacks."""
    box = bytes(font.getmask(_NO_LETTER))
    return sum(bytes(font.getmask(letter)) == box for letter in {*text} if not letter.isspace())
