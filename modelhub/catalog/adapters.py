"""Adapter files (LoRA and its kin): tensor names sorted into modules and parts, by `catalog/adapters.toml`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from modelhub.catalog.adapter_names import Place, place, place_new, split_name, split_new
from modelhub.catalog.adapter_shapes import AUXILIARY, Kind, Size, kind, parts_of
from modelhub.catalog.keymaps import adapter_table
from modelhub.catalog.match import Shape

#: Files with more tensors, or with longer names, are nobody's usual ones and not remembered.
_MANY = 20_000
_LONG = 300

#: Names and shapes of parts in turn: one flat sequence is cheaper than a table for each of a thousand modules.
_Flat = tuple[str | Shape, ...]
_Split = Callable[[str], tuple[str, str] | None]


class Module(NamedTuple):
    """One changed layer: its name without the part's ending, where it belongs, what its parts are, and their shapes."""

    name: str
    place: Place
    kind: Kind
    flat_parts: _Flat

    @property
    def parts(self) -> dict[str, Shape]:
        """`algorithm.part` to shape."""
        return parts_of(self.flat_parts)

    @property
    def algorithm(self) -> str:
        """lora, loha, lokr, oft, glora, ia3, diff or norm."""
        return self.kind.algorithm

    @property
    def size(self) -> Size:
        """Sizes of the layer, from the shapes of the parts."""
        return self.kind.size

    @property
    def incomplete(self) -> bool:
        """Whether a part is there without its partner."""
        return self.kind.incomplete


@dataclass(frozen=True, eq=False)
class Adapter:
    """The modules of a file, the number of tensors in them, and the names of embeddings packed beside them.

    `replaced` are layers at the model's input that lie whole beside them: flat name to channels.
    """

    modules: tuple[Module, ...]
    tensors: int
    bundled: tuple[str, ...] = ()
    replaced: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[str]:
        """Name, algorithm and shapes of each module, sorted: equal for adapters that differ in rank alone."""
        whole = [f"{flat}={channels}" for flat, channels in self.replaced.items()]
        return sorted([*whole, *[f"{module.name}:{module.kind.line}" for module in self.modules]])


def read_adapter(shapes: Mapping[str, Shape]) -> Adapter | None:
    """The adapter in these tensors, or None if they hold none.

    One trainer writes thousands of files with the same names and shapes: the last few answers are remembered.
    """
    ordinary = len(shapes) <= _MANY and max(map(len, shapes), default=0) <= _LONG
    if ordinary:
        return _read(tuple(shapes), tuple(shapes.values()))
    return _read_new(shapes.keys(), shapes.values(), split_new, place_new)


def _read_new(
    names: Iterable[str], shapes: Iterable[Shape], split: _Split = split_name, place: Callable[[str], Place] = place
) -> Adapter | None:
    found, rest = _grouped(names, shapes, split)
    flat = list(map(tuple, found.values()))
    kinds = list(map(kind, flat))
    if all(what is None or what.algorithm in AUXILIARY for what in kinds):
        return None  # before asking where modules belong: most files are no adapters
    rows = list(zip(found, map(place, found), kinds, flat, strict=True))
    new = tuple.__new__  # twice as quick as naming the fields: there are thousands
    modules = tuple([new(Module, row) for row in rows if row[2] is not None])
    whole = [(place, parts) for _, place, what, parts in rows if what is None and place.input]
    tensors = sum([module.kind.tensors for module in modules])
    return Adapter(modules, tensors, _bundled(rest), _replaced(whole))


def _replaced(whole: Iterable[tuple[Place, _Flat]]) -> dict[str, int]:
    """Of modules that are no adapter's, those with a whole weight [out, in, ...]: flat name to in."""
    weights = ((place, dict(zip(parts[::2], parts[1::2], strict=True)).get("ia3.scale", ())) for place, parts in whole)
    return {place.flat: int(shape[1]) for place, shape in weights if len(shape) > 1}


_read = lru_cache(maxsize=16)(_read_new)


def _grouped(
    names: Iterable[str], shapes: Iterable[Shape], split: _Split
) -> tuple[dict[str, list[str | Shape]], list[str]]:
    """Module to names and shapes of its parts in turn, and the names that are no adapter's."""
    found: dict[str, list[str | Shape]] = {}
    rest = []
    for name, pair, shape in zip(names, map(split, names), shapes, strict=True):
        if pair is None:
            rest.append(name)
            continue
        module, part = pair
        if module in found:
            found[module] += part, shape
        else:
            found[module] = [part, shape]
    return found, rest


def _bundled(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the embeddings that are packed beside the modules."""
    prefix: str = adapter_table()["bundled"]["prefix"]
    below = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    return tuple(dict.fromkeys(_embedding(name) for name in below))


def _embedding(name: str) -> str:
    """`style.v2.string_to_param.*` and `style.v2.clip_l` are parts of the embedding `style.v2`."""
    head, mark, _ = name.partition(".string_to_param")
    return head if mark else name.rpartition(".")[0] or name
