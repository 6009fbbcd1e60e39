"""Pictures by kitty's graphics protocol: sent once under a number, then shown by characters that stand for its cells.

The characters are text like any other: what lies over them hides them, and nothing of them is left behind.
https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator
from itertools import count
from random import randrange

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from modelhub.tui.pictures.picture_blocks import Pixels

_PLACEHOLDER = "\U0010eeee"
_CHUNK = 4096
#: Numbers of pictures are 24 bits, the colour of their characters; they begin anywhere, for other programs have some.
_NUMBERS = count(randrange(1 << 24))
#: The marks that number rows and columns, in their order (rowcolumn-diacritics.txt of the protocol), as ranges.
_RANGES = """\
305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 59c-5a1 5a8-5a9 5ab-5ac 5af 5c4
610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec 730 732-733 735-736 73a 73d 73f-741 743 745 747 749-74a
7eb-7f1 7f3 816-819 81b-823 825-827 829-82d 951 953-954 f82-f83 f86-f87 135d-135f 17dd 193a 1a17 1a75-1a7c 1b6b
1b6d-1b73 1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc 1dd1-1de6 1dfe 20d0-20d1 20d4-20d7 20db-20dc 20e1 20e7
20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d a6f0-a6f1 a8e0-a8f1 aab0 aab2-aab3 aab7-aab8 aabe-aabf aac1 fe20-fe26
10a0f 10a38 1d185-1d189 1d1aa-1d1ad 1d242-1d244"""


def _marks() -> Iterator[str]:
    for word in _RANGES.split():
        first, _, last = word.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


MARKS = tuple(_marks())


def new_number() -> int:
    """A number for a picture, from 1 to 2²⁴ - 1."""
    return next(_NUMBERS) % 0xFFFFFF + 1


def send(number: int, pixels: Pixels, columns: int, rows: int) -> str:
    """What sends uint8 [H,W,3] as picture `number`, to be shown in so many cells; nothing of it is answered."""
    height, width, _ = pixels.shape
    data = b64encode(zlib.compress(pixels.tobytes(), 1)).decode("ascii")
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    head = f"i={number},f=24,s={width},v={height},o=z,q=2,"
    parts = (
        f"\x1b_G{head if at == 0 else 'q=2,'}m={int(at < len(chunks) - 1)};{chunk}\x1b\\"
        for at, chunk in enumerate(chunks)
    )
    return f"{''.join(parts)}\x1b_Ga=p,U=1,i={number},c={columns},r={rows},q=2\x1b\\"


def forget(number: int) -> str:
    """What takes picture `number` from the screen, and from the terminal's memory."""
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"


def cells(number: int, columns: int, rows: int) -> list[Strip]:
    """The lines that stand for picture `number`."""
    style = Style(color=Color.from_rgb(number >> 16, number >> 8 & 255, number & 255))
    return [
        Strip([Segment(_PLACEHOLDER + MARKS[row] + MARKS[column], style) for column in range(columns)], columns)
        for row in range(rows)
    ]
