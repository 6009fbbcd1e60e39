"""SentencePiece models (`spiece.model`), read without its library: pieces, their scores, and how text is normalised.

Kudo and Richardson 2018, arXiv:1808.06226. The file is a protocol buffer: fields of a number, a wire type and a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from modelhub.errors import CorruptFileError
from modelhub.text import brief

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
#: Fields of the model, of a piece, of the trainer and of the normaliser.
_PIECES, _TRAINER, _NORMALISER = 1, 2, 3
_PIECE, _SCORE = 1, 2
_MODEL_TYPE, _UNKNOWN = 3, 40
_CHARSMAP = 2
_UNIGRAM = 1


class Vocabulary(NamedTuple):
    """Pieces with their scores (log probabilities) in order of their ids, the id for what is in none, a charsmap.

    `charsmap` says which characters are read as which others; empty for as they are.
    """

    pieces: list[tuple[str, float]]
    unknown: int
    charsmap: bytes


class _Field(NamedTuple):
    number: int
    value: int | bytes


def read_vocabulary(data: bytes, name: str) -> Vocabulary:
    """The vocabulary in the bytes of a `spiece.model`; `name` is the file's in errors.

    Raises CorruptFileError for what is no such file, or one of another kind than unigram.
    """
    try:
        return _vocabulary(data)
    except (ValueError, struct.error) as error:
        raise CorruptFileError(
            f"{brief(name)} is no SentencePiece model that can be read: {error}.", "Get the file again."
        ) from error


def _vocabulary(data: bytes) -> Vocabulary:
    pieces: list[tuple[str, float]] = []
    kind, unknown, charsmap = _UNIGRAM, 0, b""
    for number, value in _fields(data):
        if number == _PIECES:
            pieces.append(_piece(_bytes(value)))
        elif number == _TRAINER:
            told = dict(_fields(_bytes(value)))
            kind, unknown = _number(told.get(_MODEL_TYPE, kind)), _number(told.get(_UNKNOWN, unknown))
        elif number == _NORMALISER:
            charsmap = _bytes(dict(_fields(_bytes(value))).get(_CHARSMAP, b""))
    if kind != _UNIGRAM:
        raise ValueError("it is of another kind than unigram")
    return Vocabulary(pieces, unknown, charsmap)


def _piece(data: bytes) -> tuple[str, float]:
    told = dict(_fields(data))
    (score,) = struct.unpack("<f", _bytes(told.get(_SCORE, bytes(4))))
    return _bytes(told.get(_PIECE, b"")).decode("utf-8"), score


def _fields(data: bytes) -> Iterator[_Field]:
    """The fields of a message; numbers as they are, everything else as bytes."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire, value = tag & 7, b""
        if wire == _VARINT:
            number, place = _varint(data, place)
            yield _Field(tag >> 3, number)
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError(f"it has a field of the unknown type {wire}")
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
        if size < 0:
            size, place = _varint(data, place)
        value = data[place : place + size]
        if len(value) != size:
            raise ValueError("it ends in the middle")
        place += size
        yield _Field(tag >> 3, value)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    found = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it ends in the middle")
        byte = data[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, place
    raise ValueError("it has a number without end")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("it has a number where text is expected")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("it has text where a number is expected")
    return value
