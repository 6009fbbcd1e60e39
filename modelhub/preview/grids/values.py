"""The values of an axis, written as A1111's users write them: lists in which quotes keep commas, and ranges.

1,2,5            these
1-5              1, 2, 3, 4, 5
1-10(+3)         1, 4, 7, 10
0-1[5]           five values, evenly spaced, both ends among them; whole numbers lose what is behind the point
"a, b",c         `a, b` and `c`
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal, localcontext

from modelhub.errors import UsageError
from modelhub.text import brief

_NUMBER = r"[+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})"
#: Digits that sums of such numbers have at most.
_DIGITS = 60
_RANGE = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\(\s*({_NUMBER})\s*\)|\s*\[\s*(\d+)\s*\])?", re.ASCII)
_PLAIN = re.compile(rf"{_NUMBER}(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
#: Values of one axis; more make no picture that can be looked at.
MOST = 1000


def words(text: str, axis: str) -> list[str]:
    """The words of a list. Raises UsageError for none, too many, or a quote that is not closed."""
    try:
        found = [word.strip() for word in next(csv.reader([text], skipinitialspace=True, strict=True), [])]
    except csv.Error as error:
        raise UsageError(f"The values of {axis} cannot be read: {error}.", 'Write them as a,b or "a, b",c.') from error
    if not any(found) or not all(found):
        raise UsageError(f"The axis {axis} has an empty value.", f"Write its values after =, e.g. --x {axis}=1,2.")
    return _bounded(found, axis)


def numbers(text: str, axis: str, *, whole: bool = False) -> list[float]:
    """The numbers of a list with ranges. `whole`: integers only. Raises UsageError for what is no number."""
    found: list[float] = []
    for word in words(text, axis):
        found += _bounded([*_numbers(word, axis, whole)], axis)
        _bounded(found, axis)
    return found


def _numbers(word: str, axis: str, whole: bool) -> Iterator[float]:
    span = _RANGE.fullmatch(word)
    with localcontext(prec=_DIGITS):
        texts = [word] if _PLAIN.fullmatch(word) else [str(one) for one in _span(span, axis, whole)] if span else []
    if not texts:
        raise UsageError(f"The axis {axis} takes numbers, and '{brief(word)}' is none.", "Write 1,2,5 or 0-1[5].")
    for text in texts:
        value = float(text)
        if not math.isfinite(value) or (whole and Decimal(text) != Decimal(text).to_integral_value()):
            raise UsageError(f"The axis {axis} takes whole numbers, and not {brief(text)}.", "Write 1,2,5 or 1-9(+2).")
        yield int(Decimal(text)) if whole else value  # a float has not the digits of large seeds


def _span(span: re.Match[str], axis: str, whole: bool) -> Iterator[Decimal]:
    """The numbers of a range, in decimals, so that 0-1(+0.1) has 0.3 and not 0.30000000000000004."""
    first, last = Decimal(span[1]), Decimal(span[2])
    if span[4] is not None:
        yield from _spaced(first, last, int(span[4][:9]), axis, whole)
        return
    step = Decimal(span[3]) if span[3] else Decimal(1).copy_sign(last - first)
    if step == 0 or (last - first) / step < 0:
        raise UsageError(f"The range {brief(span[0])} of {axis} has no end.", "Write 1-9(+2), or 9-1(-2).")
    check_count(int((last - first) / step) + 1, axis)
    value = first
    while (value - last) * step <= 0:
        yield value
        value += step


def _spaced(first: Decimal, last: Decimal, count: int, axis: str, whole: bool) -> Iterator[Decimal]:
    """`count` numbers from `first` to `last`; `whole` ones are cut (not rounded), and must all differ."""
    if not 1 <= count <= MOST:
        raise UsageError(f"The axis {axis} cannot have {count} values.", f"1 to {MOST} are possible.")
    step = (last - first) / max(1, count - 1)
    found = [round(first + step * at, 9) for at in range(count)]
    if whole:
        found = [value.to_integral_value(ROUND_DOWN) for value in found]
        if len({*found}) < count:
            raise UsageError(f"There are no {count} whole numbers from {first} to {last}.", "Write 1,2,5 or 1-9[3].")
    yield from (value.normalize() for value in found)


def _bounded(found: list, axis: str) -> list:  # type: ignore[type-arg]
    check_count(len(found), axis)
    return found


def check_count(count: int, axis: str) -> None:
    """Raise UsageError for more values than an axis can have."""
    if count > MOST:
        raise UsageError(f"The axis {axis} has {count:,} values.", f"{MOST} are the most.")
