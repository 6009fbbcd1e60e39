"""Sketches: a few numbers of a model by which the same weights are found under other names and in other precisions.

Tensors are chosen by a hash of their place, which is the same in every layout, so that a pruned file and the full one
choose the same. Two sketches are chosen apart: a tensor that one file lacks spoils one of them, hardly both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain, combinations, pairwise

import numpy as np

from modelhub.formats.header import Header
from modelhub.formats.samples import PRECISIONS, coarser, read_numbers, steps
from modelhub.formats.source import TensorSource

#: The part of a model that a tensor belongs to, its name there, and its shape.
Place = tuple[str, str, tuple[int, ...]]

#: Raised when sketches are made in another way.
SKETCH_VERSION = 1
_TENSORS, _RUN = 4, 32
_DTYPES = tuple(PRECISIONS)
_ROW = np.dtype([("half", "u1"), ("dtype", "u1"), ("key", "<u8"), ("numbers", "<f4", _RUN)])
#: Fewer different numbers than these prove nothing: fresh layers are all zeros or ones in every model.
LEAST_NUMBERS = 16
#: By how much the sums of rounded numbers may be apart: of 8-bit ones, and of all others.
_WIDE, _NARROW = 1.08, 1.01


def places(header: Header, prefixes: Sequence[tuple[str, str]]) -> dict[Place, str]:
    """Place to name of every tensor; `prefixes` are the (role, prefix) of the model's components."""
    longest = sorted(prefixes, key=lambda part: -len(part[1]))
    found: dict[Place, str] = {}
    for name, info in header.tensors.items():
        role, prefix = next((part for part in longest if name.startswith(part[1])), ("", ""))
        place = (role, name[len(prefix) :], info.shape)
        found[place if place not in found else (role, name, info.shape)] = name
    return found


def main_places(found: Mapping[Place, str]) -> dict[Place, str]:
    """The tensors that make a model what it is: its denoiser if it has one, else all of them."""
    return {place: name for place, name in found.items() if place[0] == "denoiser"} or dict(found)


def sketch(source: TensorSource, found: Mapping[Place, str]) -> bytes:
    """The sketch of a model, empty for one without weights that can be compared. Raises FileError."""
    rows = []
    chosen = {}
    for place, name in main_places(found).items():
        dtype, size = source.info(name).dtype, source.info(name).numel
        if dtype in PRECISIONS and len(place[2]) > 1 and size >= _RUN:
            chosen[name] = blake2b(repr(place).encode(), digest_size=16).digest()
    for half in (0, 1):
        keys = {name: int.from_bytes(key[8 * half :][:8], "little") for name, key in chosen.items()}
        for name in sorted(keys, key=lambda name: (keys[name], name))[:_TENSORS]:
            info = source.info(name)
            numbers = read_numbers(source, name, keys[name] % (info.numel - _RUN + 1), _RUN)
            with np.errstate(over="ignore"):
                rows.append((half, _DTYPES.index(info.dtype), keys[name], numbers.astype("<f4")))
    return np.array(rows, _ROW).tobytes()


def candidates(sketches: Mapping[int, bytes]) -> set[tuple[int, int]]:
    """Pairs of ids whose sketches agree as far as roundings allow: the same weights, perhaps; of equal ones a chain."""
    groups: dict[bytes, dict[bytes, dict[bytes, list[int]]]] = {}
    for number, data in sketches.items():
        rows = np.frombuffer(data, _ROW)
        for half in (0, 1):
            mine = rows[rows["half"] == half]
            if np.unique(np.abs(mine["numbers"])).size >= LEAST_NUMBERS:
                keys, dtypes = bytes([half]) + mine["key"].tobytes(), mine["dtype"].tobytes()
                equal = groups.setdefault(keys, {}).setdefault(dtypes, {})
                equal.setdefault(mine["numbers"].tobytes(), []).append(number)
    found: set[tuple[int, int]] = set()
    for by_dtype in groups.values():
        for equal in by_dtype.values():
            found.update(chain.from_iterable(pairwise(ids) for ids in equal.values()))
        for one, two in combinations(by_dtype, 2):
            found.update(_rounded(_Pile(one, by_dtype[one]), _Pile(two, by_dtype[two])))
    return {(min(pair), max(pair)) for pair in found}


class _Pile:
    """Sketches of one precision, those with other numbers, sorted by the sums of their sizes."""

    def __init__(self, dtypes: bytes, equal: Mapping[bytes, list[int]]) -> None:
        numbers = np.stack([np.frombuffer(data, "<f4").astype(np.float64) for data in equal])
        sums = np.abs(np.nan_to_num(numbers)).sum(axis=1)
        order = np.argsort(sums, kind="stable")
        ids = [members[0] for members in equal.values()]
        self.dtype = min((_DTYPES[index] for index in dtypes), key=lambda dtype: PRECISIONS[dtype][1])
        self.numbers, self.sums, self.ids = numbers[order], sums[order], [ids[index] for index in order]


def _rounded(one: _Pile, two: _Pile) -> Iterator[tuple[int, int]]:
    """The pairs of two precisions that are a rounding step apart at most; few others have nearly the same sum."""
    unit = coarser(one.dtype, two.dtype)
    wide = _WIDE if PRECISIONS[unit][0] == 1 else _NARROW
    begins, ends = np.searchsorted(two.sums, one.sums / wide), np.searchsorted(two.sums, one.sums * wide, side="right")
    for at, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        left = np.arange(begin, end)
        for columns in (slice(None, None, 13), slice(None)):  # a few numbers sort most out
            left = left[(steps(one.numbers[at, columns], two.numbers[left, columns], unit) <= 1).all(axis=1)]
        yield from ((one.ids[at], two.ids[index]) for index in left)
