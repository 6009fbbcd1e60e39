"""Names of a denoiser or text encoder in the original layout to those in diffusers: `catalog/renames/*.toml` backwards.

The original numbers all blocks through; which of them make up a block of diffusers, its own names tell: one that halves
or doubles the picture ends it. So distilled and tiny models are named like the released ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from modelhub.catalog.folder.numbering import Blocks, is_number
from modelhub.catalog.folder.renames import Target, rules

_Numbers = dict[str, int]
_Words = tuple[str, ...]


class _Row(NamedTuple):
    """A rule backwards: the `words` of a name in the original, some of them in braces, the name in diffusers."""

    words: _Words
    old: str
    target: Target


@cache
def _rows(table: str) -> Mapping[_Words, tuple[_Row, ...]]:
    """The rules of a table by the names of the original without their numbers."""
    found: dict[_Words, tuple[_Row, ...]] = {}
    for rows in rules(table).rows.values():
        for rule in rows:
            words = tuple(rule.target.name.split("."))
            key = _key(words)
            found[key] = (*found.get(key, ()), _Row(words, ".".join(rule.words), rule.target))
    return found


def _key(words: Iterable[str]) -> _Words:
    return tuple("." if word[:1] == "{" or is_number(word) else word for word in words)


class Inverse:
    """The rules of one table backwards for one component; `names`, below its prefix, are those of the original."""

    def __init__(self, table: str, names: Iterable[str]) -> None:
        names = set(names)
        self._rows = _rows(table)
        self._sizes = Blocks(names)
        self._inputs, self._downs = self._counted("input_blocks", names)
        self._outputs, self._ends = self._counted("output_blocks", names)

    def _counted(self, blocks: str, names: set[str]) -> tuple[dict[int, _Numbers], dict[int, _Numbers]]:
        """Of each numbered module of a U-Net the block and the number in it, and the block that a resizing one ends."""
        inside: dict[int, _Numbers] = {}
        ends: dict[int, _Numbers] = {}
        block = count = 0
        for index in range(self._sizes.size(blocks)):
            if f"{blocks}.{index}.0.in_layers.0.weight" in names or f"{blocks}.{index}.0.in_layers.2.weight" in names:
                inside[index] = {"b": block, "r": count}
                count += 1
            if any(f"{blocks}.{index}.{place}.weight" in names for place in ("0.op", "1.conv", "2.conv")):
                ends[index] = {"b": block}
                block, count = block + 1, 0
        return inside, ends

    def sources(self, name: str) -> Iterator[tuple[str, Target]]:
        """What diffusers calls a tensor of the original, or each part of it; no name is given twice."""
        words = tuple(name.split("."))
        seen: set[str] = set()
        for row in self._rows.get(_key(words), ()):
            numbers = self._fit(row.words, words)
            if numbers is None:
                continue
            old = row.old.format_map(numbers)
            if old not in seen:
                seen.add(old)
                yield old, row.target._replace(name=name)

    def _fit(self, wanted: _Words, words: _Words) -> _Numbers | None:
        """The numbers of the name in diffusers; None where the numbers of this one are other ones."""
        found: _Numbers = {}
        for index, (want, word) in enumerate(zip(wanted, words, strict=True)):
            if want[:1] != "{":
                if want != word:
                    return None
                continue
            numbers = self._before(want[1:-1], int(word), words[:index])
            if numbers is None:
                return None
            found |= numbers
        return found

    def _before(self, brace: str, number: int, place: _Words) -> _Numbers | None:
        """The numbers in diffusers that one of the original follows from."""
        if brace == "last":
            return {brace: number} if number == self._sizes.size(".".join(place)) - 1 else None
        return _BEFORE[brace](self, number) if brace in _BEFORE else {brace: number}


#: The way back from each number that `numbering` has follow from others.
_BEFORE: dict[str, Callable[[Inverse, int], _Numbers | None]] = {
    "input": lambda self, number: self._inputs.get(number),
    "down": lambda self, number: self._downs.get(number),
    "output": lambda self, number: self._outputs.get(number),
    "end": lambda self, number: self._ends.get(number),
    "free": lambda self, number: {},
    "even": lambda self, number: None if number % 2 else {"r": number // 2},
    "odd": lambda self, number: {"r": number // 2} if number % 2 else None,
}
