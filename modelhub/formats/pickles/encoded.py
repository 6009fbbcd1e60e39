"""Bytes in a pickle: as they are, or as the text that old protocols make of them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey, args_of
from modelhub.formats.pickles.values import Blob, Made, Value

_PIECE = 2**20
_LATIN = ("latin1", "latin-1", "latin_1", "iso-8859-1", b"latin1")
_WRAPPERS = ("builtins.bytes", "builtins.bytearray", "_io.BytesIO")


def raw_span(value: Value, survey: Survey) -> Span | None:
    """Where the bytes that `value` stands for can be read; None for what are no bytes. Unpacked once per file."""
    if id(value) not in survey.raw:
        found = _raw_span(value, survey)
        if found is None:
            return None
        survey.raw[id(value)] = value, found  # the value is kept, for no other may get its id
    return survey.raw[id(value)][1]


def _raw_span(value: Value, survey: Survey) -> Span | None:
    for _ in range(4):
        if type(value) is not Made or value.path not in _WRAPPERS:
            break
        if value.added is not None or value.pairs is not None or value.states is not None:
            return None  # other bytes than it was made of
        value = args_of(value)[0] if args_of(value) else b""
    if type(value) is Blob:
        return None if value.is_text else value.span
    if type(value) is bytes:
        return survey.spool.keep([value], len(value))
    return _latin(value, survey)


def _latin(value: Value, survey: Survey) -> Span | None:
    """The bytes of `_codecs.encode(text, "latin1")`, which is how bytes are written for Python 2."""
    args = args_of(value)
    if type(value) is not Made or value.path != "_codecs.encode" or len(args) != 2:
        return None
    if type(args[1]) not in (str, bytes) or args[1] not in _LATIN:
        return None
    try:
        if type(args[0]) is str:
            return survey.spool.keep([args[0].encode("latin-1")], len(args[0]))
        if type(args[0]) is Blob and args[0].is_text:
            return survey.spool.keep(_recoded(args[0].span), args[0].span.size)
    except UnicodeError:
        raise survey.broken("holds bytes as a text that is not theirs") from None
    return None


def _recoded(span: Span) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, span.size, _PIECE):
        yield decoder.decode(span.read(at, _PIECE), at + _PIECE >= span.size).encode("latin-1")
