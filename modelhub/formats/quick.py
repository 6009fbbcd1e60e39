"""A quick way to read a usual safetensors header: one split at the quotation marks gives all its columns.

Whoever writes tensors through a library writes each as "NAME":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}, one
after another, so every tenth piece between quotation marks is of one kind. A dozen passes over whole columns, most of
them in C, check them in the time that a JSON parser takes to make its objects. What differs in any way is left to the
careful reader, which takes what is right in an unusual way and says what is wrong.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

from modelhub.formats.header import DTYPE_BITS, Columns

#: Longer headers go to the careful reader, which counts before it parses, so that memory stays small.
_MOST = 4_000_000
_MAX_RANK = 64
_TOO_LARGE = 2**63
#: Characters of the longest shape.
_LONGEST = 1400
#: Bytes per element, for dtypes of whole bytes.
_WIDTHS = {dtype: bits // 8 for dtype, bits in DTYPE_BITS.items() if bits % 8 == 0}
_CONTROLS = bytes(range(32))
_METADATA = re.compile(r'\{"__metadata__": ?')
_SIZE = "(?:0|[1-9][0-9]{0,18})"
_SHAPE = re.compile(rf": ?\[((?:{_SIZE}(?:, ?{_SIZE})*)?)\], ?")


#: What stands behind the name, a key and the dtype: as libraries write it, and as json.dumps does.
_COMPACT, _SPACED = (":{", ":", ","), (": {", ": ", ", ")


def quick_header(text: bytes, data_size: int) -> tuple[Columns, dict[str, str]] | None:
    """Tensors and metadata of a header that is certainly right and has its tensors in order; None for any other."""
    if len(text) > _MOST:
        return None
    try:
        decoded = text.decode("utf-8")
        metadata, begin = _metadata(decoded)
        columns = _columns(decoded[begin:].rstrip(" \t\n\r"), data_size)
    except (ValueError, RecursionError):
        return None
    return (columns, metadata) if columns else None


def _metadata(text: str) -> tuple[dict[str, str], int]:
    """The metadata in front of the tensors and where they begin. Raises ValueError for what is unusual."""
    fits = _METADATA.match(text)
    if fits is None:
        return {}, 1
    metadata, end = _DECODER.raw_decode(text, fits.end())
    if type(metadata) is not dict or not set(map(type, metadata.values())) <= {str} or text[end : end + 1] != ",":
        raise ValueError("no usual metadata")
    for said in metadata.items():
        "".join(said).encode("utf-8")
    return metadata, end + (2 if text.startswith(", ", end) else 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _columns(text: str, data_size: int) -> Columns | None:
    """The columns if `text`, from the first name to the end, is tensor after tensor as usual."""
    pieces = text.split('"')
    names = pieces[1::10]
    style = _COMPACT if pieces[2:3] == [_COMPACT[0]] else _SPACED
    if not _usual_pieces(pieces, len(names), style) or "\\" in text or not _usual_names(names):
        return None
    columns = _sized(names, pieces[5::10], pieces[8::10])
    return columns if columns and _placed(columns, pieces[10::10], style is _COMPACT, data_size) else None


def _usual_pieces(pieces: list[str], tensors: int, style: tuple[str, str, str]) -> bool:
    """Whether there are as many pieces as so many tensors make, with nothing but the usual between the values."""
    opening, colon, comma = style
    usual = {2: opening, 3: "dtype", 4: colon, 6: comma, 7: "shape", 9: "data_offsets"}
    whole = tensors > 0 and pieces[0] == "" and len(pieces) == 10 * tensors + 1
    return whole and all(pieces[at::10].count(wanted) == tensors for at, wanted in usual.items())


def _usual_names(names: list[str]) -> bool:
    text = "".join(names).encode("utf-8")
    plain = len(text.translate(None, _CONTROLS)) == len(text)
    return plain and len(set(names)) == len(names) and "__metadata__" not in names


def _sized(names: list[str], dtypes: list[str], texts: list[str]) -> Columns | None:
    shapes = {text: _shape(text) if len(text) <= _LONGEST else None for text in set(texts)}
    if not set(dtypes) <= _WIDTHS.keys() or None in shapes.values():
        return None
    known = {text: shape or () for text, shape in shapes.items()}
    sizes = {text: prod(shape) for text, shape in known.items()}
    columns = Columns(names, dtypes, list(map(known.__getitem__, texts)), [])
    columns.sizes = list(map(sizes.__getitem__, texts))
    return columns


@lru_cache(2000)
def _shape(text: str) -> tuple[int, ...] | None:
    """The shape in `:[3,4],`, or None if it is none or no tensor can have it."""
    fits = _SHAPE.fullmatch(text)
    shape = tuple(map(int, fits[1].split(","))) if fits and fits[1] else ()
    possible = len(shape) <= _MAX_RANK and prod(size or 1 for size in shape) * 64 < _TOO_LARGE
    return shape if fits and possible else None


def _placed(columns: Columns, offsets: list[str], compact: bool, data_size: int) -> bool:
    """Whether the tensors lie one after another up to the end, each as long as its dtype and shape say."""
    ends = list(accumulate(map(mul, map(_WIDTHS.__getitem__, columns.dtypes), columns.sizes)))
    columns.begins = [0, *ends[:-1]]
    places = zip(columns.begins, ends, strict=True)
    wanted = [f":[{a},{b}]}}," for a, b in places] if compact else [f": [{a}, {b}]}}, " for a, b in places]
    wanted[-1] = wanted[-1].rstrip(", ") + "}"
    return ends[-1] == data_size and offsets == wanted
