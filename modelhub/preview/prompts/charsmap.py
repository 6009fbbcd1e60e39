"""Charsmaps of SentencePiece: a table of characters that are read as others, checked before a library walks it.

A little-endian count of bytes, a double-array trie of so many (Aoe 1989; in the form of darts-clone), and the texts
that its leaves point to, each with a zero at its end. Libraries follow it without looking where it leads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from modelhub.errors import CorruptFileError
from modelhub.text import brief

_BLOCK = 256


def check_charsmap(data: bytes, name: str) -> None:
    """Raise CorruptFileError for a charsmap that leads out of itself; `name` is the file's."""
    if data and not _holds(data):
        raise CorruptFileError(f"{brief(name)} has a table of characters that is broken.", "Get the file again.")


def _holds(data: bytes) -> bool:
    size = int.from_bytes(data[:4], "little")
    texts = data[4 + size :]
    if len(data) < 4 + size or size == 0 or size % (4 * _BLOCK):
        return False
    try:
        texts.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return _leads_to_texts(np.frombuffer(data, "<u4", size // 4, 4).astype(np.int64), texts)


def _leads_to_texts(units: npt.NDArray[np.int64], texts: bytes) -> bool:
    """Whether every step from a unit leads to a unit, and every end to the first byte of a character.

    A step goes to the unit's own place combined with its offset, and on from there within a block of 256. Units with
    the highest bit are ends: no step starts from them, but for the first of all.
    """
    starts = np.flatnonzero((units >> 31 == 0) | (np.arange(len(units)) == 0))
    places = starts ^ ((units[starts] >> 10) << ((units[starts] & 0x200) >> 6))
    if not (places < len(units)).all():
        return False
    ends = units[places[(units[starts] >> 8) & 1 == 1]] & 0x7FFFFFFF
    first = np.frombuffer(texts + b"\0", np.uint8)
    return bool((ends < len(texts)).all() and ((first[ends] & 0xC0) != 0x80).all())
