"""Names of a component in diffusers to names in the original layout, by the rules of `catalog/renames/*.toml`.

A rule gives one name for another; numbers in braces are those of the name, or follow from them and from how many blocks
the component has, which its own names tell. So distilled and tiny models are renamed like the released ones.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from modelhub.catalog.data import data_path
from modelhub.catalog.folder.numbering import Blocks, Following, is_number

_TARGET = re.compile(r"(?P<name>[^\[| ]+)(?:\[(?P<part>\d)/(?P<of>\d)\])?(?: \| (?P<change>\w+))?")
_Numbers = dict[str, int]


class Target(NamedTuple):
    """Where a tensor goes: `name`, as `part` (from 0) `of` as many joined one below the other, after a `change`.

    Changes: "conv" makes a matrix a convolution of one pixel, "swap" exchanges the halves of the first dimension,
    "transpose" exchanges rows and columns; "" is none.
    """

    name: str
    part: int = 0
    of: int = 1
    change: str = ""


@dataclass(frozen=True)
class Rule:
    """One row: the `words` of a name between its dots, some of them in braces, and the target, its name a pattern."""

    words: tuple[str, ...]
    target: Target


@dataclass(frozen=True)
class Rules:
    """One table: `rows` by their names without the numbers, what is `dropped` or `refused` and why.

    `same` gives the first name of a tensor that some files have twice, `optional` a prefix that some versions leave
    out, `layers` the list of modules whose length is the number of layers.
    """

    rows: Mapping[tuple[str, ...], tuple[Rule, ...]]
    dropped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    optional: str = ""
    layers: str = ""


@cache
def rules(table: str) -> Rules:
    """The rules of `catalog/renames/<table>.toml`."""
    data = _read(table)
    rows: dict[tuple[str, ...], tuple[Rule, ...]] = {}
    for old, target in _expanded(data):
        key = _key(re.sub(r"{\w+}", "0", old).split("."))
        rows[key] = (*rows.get(key, ()), Rule(tuple(old.split(".")), target))
    rest = {name: data[name] for name in ("dropped", "refused", "same", "optional", "layers") if name in data}
    return Rules(rows, **rest)


@cache
def files() -> dict[str, Any]:
    """`catalog/renames/files.toml`: the folders of each architecture, and what else is known of single files."""
    return _read("files")


def _read(table: str) -> dict[str, Any]:
    return tomllib.loads(data_path("renames", f"{table}.toml").read_text(encoding="utf-8"))


def _expanded(data: Mapping[str, Any]) -> Iterator[tuple[str, Target]]:
    """Every row, of whole tensors: modules with both of theirs, every word of a list in its place."""
    whole = [(old, _target(new)) for old, new in data.get("tensors", {}).items()]
    for old, new in data.get("modules", {}).items():
        target = _target(new)
        whole += [(f"{old}.{one}", target._replace(name=f"{target.name}.{one}")) for one in ("weight", "bias")]
    for old, target in whole:
        yield from _worded(old, target, data.get("words", {}))


def _worded(old: str, target: Target, words: Mapping[str, Any]) -> Iterator[tuple[str, Target]]:
    found = re.search("<(.+?)>", old)
    if found is None:
        yield old, target
        return
    table = words[found[1]]
    for before, after in table.items() if isinstance(table, dict) else zip(table, table, strict=True):
        yield old.replace(found[0], before), target._replace(name=target.name.replace(found[0], after))


def _target(text: str) -> Target:
    found = _TARGET.fullmatch(text)
    assert found is not None, text
    return Target(found["name"], int(found["part"] or 1) - 1, int(found["of"] or 1), found["change"] or "")


def _key(words: Iterable[str]) -> tuple[str, ...]:
    """The words of a name with a dot, which is in no word, for every number."""
    return tuple("." if is_number(word) else word for word in words)


class Naming:
    """The rules of one table for one component, whose `names` (without its folder) tell how many blocks it has."""

    def __init__(self, table: str, names: Iterable[str]) -> None:
        self.rules = rules(table)
        self._names = {self._plain(name) for name in names}
        self._blocks = Blocks(self._names)

    def _plain(self, name: str) -> str:
        return name.removeprefix(self.rules.optional)

    @property
    def layers(self) -> int:
        """How many layers the component has, 0 where the table does not count them."""
        return self._blocks.size(self.rules.layers) if self.rules.layers else 0

    def dropped(self, name: str) -> str:
        """Why the file does without a tensor, "" when it does not."""
        name = self._plain(name)
        first = self.rules.same.get(name, "")
        if first in self._names:
            return f"the same as {first}"
        return self.rules.dropped.get(name, "")

    def refused(self, name: str) -> str:
        """Why a tensor keeps its component from being renamed, "" when it does not."""
        return self.rules.refused.get(self._plain(name), "")

    def target(self, name: str) -> Target | None:
        """Where a tensor goes, None if no rule knows it."""
        name = self._plain(name)
        words = tuple(self.rules.same.get(name, name).split("."))
        for rule in self.rules.rows.get(_key(words), ()):
            numbers = self._fit(rule.words, words)
            if numbers is not None:
                return rule.target._replace(name=rule.target.name.format_map(Following(numbers, self._blocks)))
        return None

    def _fit(self, wanted: tuple[str, ...], words: tuple[str, ...]) -> _Numbers | None:
        """The numbers of a name by the names that a rule gives them; None if another number is wanted somewhere."""
        found: _Numbers = {}
        for index, (want, word) in enumerate(zip(wanted, words, strict=True)):
            if want == "{last}" and int(word) != self._blocks.size(".".join(words[:index])) - 1:
                return None
            if want[:1] == "{":
                found[want[1:-1]] = int(word)
            elif want != word:
                return None
        return found
