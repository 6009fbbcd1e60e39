"""Words and numbers for people: untrusted text made safe to show, sizes, counts and times in few characters."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Collection, Iterable
from itertools import islice

_KEEP = {"\n", "\t"}


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, *, keep_lines: bool = True) -> str:
    """`text` with control characters, escape codes, lone surrogates and bidi overrides shown as `\\x1b` and the like.

    Line breaks and tabs stay unless `keep_lines` is False. What a file, a server or a user wrote goes through here
    before it reaches a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if keep_lines and char in _KEEP else _shown(char) for char in text)


def is_utf8(text: str) -> bool:
    """Whether `text` can be written as UTF-8; names that the system could not decode hold halves of characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str) -> str:
    """`text` on one line, with line breaks and everything unprintable shown as escapes."""
    return printable(text, keep_lines=False)


def width(text: str) -> int:
    """Columns that `text` takes in a terminal: wide East Asian characters and emoji count two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """`text` cut in the middle with `…` so that it takes at most `columns` columns: both ends of a name matter."""
    if width(text) <= columns:
        return text
    if columns <= 1:
        return "…"[:columns]
    tail = (columns - 1) // 2
    head = columns - 1 - tail
    left, right = text, text[::-1]
    return _take(left, head) + "…" + _take(right, tail)[::-1]


def brief(text: str, columns: int = 70) -> str:
    """A name or value that a file chose, on one line, escaped and shortened; one of any length costs little."""
    ends = 2 * columns
    return shorten(one_line(text if len(text) <= 2 * ends else text[:ends] + text[-ends:]), columns)


def brief_value(value: object, columns: int = 70) -> str:
    """A value that a file chose, as Python writes it, `brief`; in words where Python will not write it."""
    try:
        return brief(repr(value), columns)
    except (ValueError, RecursionError):  # a number with thousands of digits, a list in a list in a list
        return "what is too long to show"


def few(names: Collection[str], columns: int = 70) -> str:
    """The first three names, each `brief`, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(brief(name, columns) for name in islice(names, 3)) + more


def _take(text: str, columns: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += _char_width(char)
        if used > columns:
            return text[:index]
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """`text` shortened or filled with spaces to exactly `columns` columns; `right` puts it at the right edge."""
    text = shorten(text, columns)
    fill = " " * (columns - width(text))
    return fill + text if right else text + fill


def human_size(size: int | None) -> str:
    """Bytes as people write them (powers of 1000): 2.13 GB, 23.8 MB, 336 B; `-` for None."""
    if size is None:
        return "-"
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            break
        value /= 1000
    if unit == "B":
        return f"{size} B"
    return f"{value:,.0f} {unit}" if value >= 999.5 else f"{value:.3g} {unit}"


def human_count(count: int | None) -> str:
    """A number of parameters or files: 859.5M, 2.567B, 12.0k; `-` for None."""
    if count is None:
        return "-"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.4g}{unit}" if count / limit < 10 else f"{count / limit:.1f}{unit}"
    return str(count)


def human_seconds(seconds: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(at: float, now: float | None = None, *, seconds: bool = False) -> str:
    """The local time of a moment in seconds since 1970: 09:41, with `seconds` 09:41:07; with its date unless of today.

    `now` tells which day is today, if that is not the present one.
    """
    then, today = time.localtime(at), time.localtime(now)
    return time.strftime(("" if then[:3] == today[:3] else "%Y-%m-%d ") + ("%H:%M:%S" if seconds else "%H:%M"), then)


def plural(count: int, word: str, many: str = "") -> str:
    """`1 file`, `2 files`, `3 entries` (with `many` = "entries")."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def sparkline(values: Iterable[float], low: float = 0.0, high: float = 1.0) -> str:
    """Numbers as a row of bars: `low` or less is the lowest, `high` or more the highest, NaN a space: ▁▃▅█."""
    bars = "▁▂▃▄▅▆▇█"
    span = high - low or 1.0
    return "".join(
        bars[round(min(max((value - low) / span, 0.0), 1.0) * (len(bars) - 1))] if value == value else " "
        for value in values
    )


def meant(word: str, known: Iterable[str]) -> str:
    """The known word that `word` is closest to, as the end of a sentence: ` (did you mean 'lora'?)`; "" for none.

    Of what is known as much is looked at as a person could have meant.
    """
    from difflib import get_close_matches  # not before there is something to mend: it takes a while to import

    words, word = [*islice(known, 300)], word[:100]
    near = get_close_matches(word.lower(), words, 1) or get_close_matches(word, words, 1)
    return f" (did you mean '{near[0]}'?)" if near else ""


def alike(name: str) -> str:
    """What is the same of names that differ in case, spaces, `-` and `_` alone."""
    return "".join(char for char in name.casefold() if not char.isspace() and char not in "-_")
