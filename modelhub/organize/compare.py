"""Compare two models tensor by tensor: whether one is the other in another file, precision or with less in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from modelhub.catalog.asset import Asset
from modelhub.formats.closing import Closing
from modelhub.formats.opening import open_source
from modelhub.formats.samples import PRECISIONS, coarser, read_numbers, steps
from modelhub.jobs import QUIET, Job
from modelhub.organize.sketch import LEAST_NUMBERS, Place, main_places, places

#: Numbers of each tensor that are compared, and of small models as many more as make this many.
_RUN, _ALTOGETHER = 16, 4096
_CHUNK = 1 << 19
#: Rounding to nearest is off by half a step; through a precision in between a little more.
_ROUNDED, _TRUNCATED = 0.57, 1.0
#: The share of the main tensors that both must have, and that must be comparable.
_COVERED = 0.95


class Weights(Closing):
    """The file of an asset, opened, with the places of its tensors. Raises what `open_source` raises."""

    def __init__(self, asset: Asset) -> None:
        self.asset = asset
        self.source = open_source(asset.path)
        self.places = places(self.source.header, prefixes(asset))

    def close(self) -> None:
        """Close the file."""
        self.source.close()


def prefixes(asset: Asset) -> list[tuple[str, str]]:
    """Role and prefix of every component of an asset."""
    return [(part["role"], part["prefix"]) for part in asset.components]


@dataclass
class Comparison:
    """What came of comparing two models.

    `same`: all that was compared agrees; `tensors` and `numbers` count it; `largest` difference in rounding steps of
    the coarser precision. `missing` and `extra`: role to number of the tensors that only the first or second has;
    `renamed`: tensors with other names.
    """

    same: bool = True
    tensors: int = 0
    numbers: int = 0
    largest: float = 0.0
    renamed: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)


def compare(one: Weights, two: Weights, *, exact: bool = False, job: Job = QUIET) -> Comparison:
    """Compare the tensors that both have: `exact` every number, else 16 or more of each. Stops at a difference.

    Raises FileError when a file cannot be read.
    """
    common = [place for place in one.places if place in two.places]
    found = Comparison(
        renamed=sum(one.places[place] != two.places[place] for place in common),
        missing=Counter(place[0] for place in one.places if place not in two.places),
        extra=Counter(place[0] for place in two.places if place not in one.places),
    )
    main = set(main_places(one.places)) | set(main_places(two.places))
    common.sort(key=lambda place: place not in main)
    seen: set[float] = set()
    known = 0
    for place in common:
        if not _comparable(one, two, place):
            continue
        job.check()
        known += place in main
        _compare_tensor(one, two, place, _count(place, len(common), exact=exact), found, seen)
        if not found.same:
            return found
    found.same = known >= _COVERED * len(main) and len(seen) >= LEAST_NUMBERS
    return found


def _comparable(one: Weights, two: Weights, place: Place) -> bool:
    dtypes = _dtypes(one, two, place)
    return dtypes[0] == dtypes[1] or all(dtype in PRECISIONS for dtype in dtypes)


def _dtypes(one: Weights, two: Weights, place: Place) -> tuple[str, str]:
    return one.source.info(one.places[place]).dtype, two.source.info(two.places[place]).dtype


def _count(place: Place, tensors: int, *, exact: bool) -> int:
    """How many numbers of a tensor are compared."""
    size = int(np.prod(place[2], dtype=object))
    return size if exact else min(size, max(_RUN, _ALTOGETHER // tensors))


def _compare_tensor(one: Weights, two: Weights, place: Place, count: int, found: Comparison, seen: set[float]) -> None:
    first, second = one.places[place], two.places[place]
    dtypes = _dtypes(one, two, place)
    if dtypes[0] not in PRECISIONS:
        found.same = _bytes_agree(one, two, place, count)
    else:
        largest, larger = 0.0, False
        for start, size in _stretches(place, count):
            a = read_numbers(one.source, first, start, size)
            b = read_numbers(two.source, second, start, size)
            apart = steps(a, b, coarser(*dtypes))
            largest = max(largest, float(apart.max(initial=0.0)))
            fine, coarse = (a, b) if coarser(*dtypes) == dtypes[1] else (b, a)
            larger = larger or bool((np.abs(coarse) > np.abs(fine)).any())
            if len(seen) < LEAST_NUMBERS:
                seen |= set(np.unique(np.abs(a[np.isfinite(a)]))[: 4 * LEAST_NUMBERS].tolist())
        found.largest = max(found.largest, largest)
        rounded = largest <= _ROUNDED or (largest < _TRUNCATED and not larger)
        found.same = largest == 0 or (dtypes[0] != dtypes[1] and rounded)
    found.tensors += 1
    found.numbers += count


def _stretches(place: Place, count: int) -> Iterator[tuple[int, int]]:
    """Begin and length of what is read: everything in pieces, or one run at a place that the name decides."""
    size = int(np.prod(place[2], dtype=object))
    start = int.from_bytes(blake2b(repr(place).encode(), digest_size=8).digest()) % (size - count + 1)
    for begin in range(start, start + count, _CHUNK):
        yield begin, min(_CHUNK, start + count - begin)


def _bytes_agree(one: Weights, two: Weights, place: Place, count: int) -> bool:
    """Whether tensors of whole numbers or packed blocks begin alike; all of it when all numbers are compared."""
    size = one.source.info(one.places[place]).nbytes
    end = size if count == int(np.prod(place[2], dtype=object)) else min(size, _RUN * 8)
    for begin in range(0, end, _CHUNK):
        pieces = [bytearray(min(_CHUNK, end - begin)) for _ in range(2)]
        for side, piece in zip((one, two), pieces, strict=True):
            side.source.read_into(side.places[place], begin, memoryview(piece))
        if pieces[0] != pieces[1]:
            return False
    return True
