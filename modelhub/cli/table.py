"""Tables for a terminal: as wide as it is, the widest columns shortened first; whole when the output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TextIO

from modelhub.cli.streams import columns, live
from modelhub.text import one_line, pad, printable, width

#: Columns of a terminal that a column is shortened to at most, and that it should have not to be left out.
_LEAST, _USEFUL = 8, 12
#: The same of file names, which say most, and the ending that they can do without.
_NAME, _ENDING = 24, ".safetensors"
_GAP = 2
#: Rows that decide the widths.
_FIRST = 200


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), names: int = -1
) -> Iterator[str]:
    """The lines of a table; columns whose index is in `right` are right-aligned, the last ones go where room is short.

    Values that all rows have may be named first, those that few have last: an empty last column takes no room. The
    first rows decide the widths, so that a long table begins at once. In the column `names`, file names that are too
    long go without .safetensors before they are cut: what is left still names the file.
    """
    cells = ([one_line(cell) for cell in row] for row in chain([head], rows))
    first = list(islice(cells, _FIRST))
    widths = [max(width(row[column]) for row in first) for column in range(len(head))]
    if live(sys.stdout):
        widths = _fitted(widths, columns(sys.stdout), names)
    for row in chain(first, cells):
        if 0 <= names < len(widths) and width(row[names]) > widths[names]:
            row[names] = row[names].removesuffix(_ENDING)
        shown = zip(row, widths, strict=False)
        yield (" " * _GAP).join(pad(c, w, right=i in right) for i, (c, w) in enumerate(shown)).rstrip()


def _fitted(widths: list[int], room: int, names: int = -1) -> list[int]:
    """`widths` made smaller until all fit in `room` columns; the last are left out when even that is not enough."""
    widths = list(widths)
    useful = [min(size, _NAME if at == names else _USEFUL) for at, size in enumerate(widths)]
    while len(widths) > 1 and _total(useful[: len(widths)]) > room:
        widths.pop()
    while _total(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _total(widths: list[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def facts(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Lines of `name  value`, values aligned and wrapped below themselves; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    left = max((width(name) for name, _ in shown), default=0) + _GAP
    for name, value in shown:
        for at, line in enumerate(printable(value).split("\n")):
            yield from wrapped((name if at == 0 else "").ljust(left) + line, left)


def wrapped(text: str, indent: int, *, whole: bool = True, stream: TextIO | None = None) -> Iterator[str]:
    """`text` in lines as wide as the terminal `stream` (stdout), all but the first indented; one line for a file.

    Breaks at spaces; a `whole` word that is longer than a line stays in one piece, so that a path can be copied.
    """
    stream = stream or sys.stdout
    room = columns(stream)
    if not live(stream) or width(text) <= room or indent >= room:
        yield text
        return
    head = indent if text[:indent].endswith(" ") else len(text) - len(text.lstrip())
    line, rest, gap = text[:head], text[head:].split(" "), ""
    while rest:
        word = rest.pop(0)
        if not gap and not word.strip():
            continue
        free = room - width(line) - len(gap)
        if width(word) <= free or (whole and not gap):
            line, gap = line + gap + word, " "
        elif whole or width(word) <= room - indent:
            yield line
            line, rest, gap = " " * indent, [word, *rest], ""
        else:
            cut = _characters(word, free) or (1 if not gap else 0)
            yield line + gap + word[:cut] if cut else line
            line, rest, gap = " " * indent, [word[cut:], *rest], ""
    yield line


def packed(words: Iterable[str], indent: int) -> Iterator[str]:
    """`words`, two spaces apart, in lines as wide as the terminal: no line ends within one; one line for a file."""
    line, room = "", columns(sys.stdout) if live(sys.stdout) else sys.maxsize
    for word in filter(None, words):
        longer = f"{line}{' ' * _GAP}{word}" if line else word
        if line and width(longer) > room:
            yield line
            longer = " " * indent + word
        line = longer
    yield line


def _characters(text: str, room: int) -> int:
    """How many characters of `text` fit in `room` columns."""
    return next((count - 1 for count in range(1, len(text) + 1) if width(text[:count]) > room), len(text))
