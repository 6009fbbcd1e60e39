"""Adapter files (LoRA and its kin): tensor names sorted into modules, algorithms and parts. The tables are `catalog/adapters.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import isqrt
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.catalog.keymaps import flatten
from modelhub.catalog.match import Shape

#: Algorithms whose modules never make a file an adapter by themselves.
AUXILIARY = frozenset({"extra", "norm"})


@dataclass(frozen=True, slots=True)
class Size:
    """What a module's shapes say of the layer it changes. None is unknown; `rank` is the adapter's, `dims` the weight's."""

    out_size: int | None = None
    in_size: int | None = None
    rank: int | None = None
    dims: int | None = None


@dataclass
class Module:
    """One changed layer: its name without prefix and ending, where it belongs, and the shapes of its parts."""

    name: str
    dialect: str
    components: tuple[str, ...]
    flat: str
    parts: dict[str, dict[str, Shape]] = field(default_factory=dict)

    @cached_property
    def algorithm(self) -> str | None:
        """lora, loha, lokr, oft, glora, ia3, diff or norm; None for a module with nothing but an alpha."""
        return next((name for name in self.parts if name != "extra"), None)

    @cached_property
    def size(self) -> Size:
        """Sizes of the layer, from the shapes of the parts."""
        algorithm = self.algorithm or ""
        return _SIZES[algorithm](self.parts[algorithm]) if algorithm in _SIZES else Size()

    @property
    def incomplete(self) -> bool:
        """Whether a part is there without its partner."""
        wanted = _tables().pairs.get(self.algorithm or "", ())
        return any((one in self.parts[self.algorithm or ""]) != (two in self.parts[self.algorithm or ""]) for one, two in wanted)


@dataclass(frozen=True)
class _Tables:
    suffixes: Mapping[str, list[tuple[str, str, str, str]]]
    prefixes: list[tuple[str, str, tuple[str, ...]]]
    spellings: list[tuple[re.Pattern[str], str]]
    needs: Mapping[str, list[str]]
    pairs: Mapping[str, list[list[str]]]
    bundled: str


@cache
def _tables() -> _Tables:
    table = tomllib.loads(data_path("adapters.toml").read_text(encoding="utf-8"))
    prefixes = [(prefix, dialect, tuple(where)) for prefix, (dialect, *where) in table["prefixes"].items()]
    return _Tables(
        suffixes=_suffixes(table["suffixes"]),
        prefixes=sorted(prefixes, key=lambda row: -len(row[0])),
        spellings=[(re.compile(pattern), word) for pattern, word in table["spellings"].items()],
        needs=table["needs"],
        pairs=table["pairs"],
        bundled=table["bundled"]["prefix"],
    )


def _suffixes(table: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[str, str, str, str]]]:
    """Last word of a name to (ending, algorithm, part, what to put behind the module's name), the longest ending first."""
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for algorithm, endings in table.items():
        for ending, spec in endings.items():
            part, behind = (spec, "") if isinstance(spec, str) else spec
            found.setdefault(ending.rpartition(".")[2], []).append((ending, algorithm, part, behind))
    return {word: sorted(rows, key=lambda row: -len(row[0])) for word, rows in found.items()}


def split_name(name: str) -> tuple[str, str, str] | None:
    """(module, algorithm, part) of a tensor name, or None for a name with no known ending."""
    for ending, algorithm, part, behind in _tables().suffixes.get(name.rpartition(".")[2], ()):
        if name.endswith(ending):
            return name[: -len(ending)] + behind, algorithm, part
    return None


def _module(name: str) -> Module:
    prefix, dialect, where = next(row for row in _tables().prefixes if name.startswith(row[0]))
    flat = flatten(name[len(prefix) :])
    for pattern, word in _tables().spellings:
        flat = pattern.sub(word, flat)
    return Module(name, dialect, where, flat)


@dataclass(frozen=True)
class Adapter:
    """The modules of a file, the number of tensors in them, and the names of embeddings packed beside them."""

    modules: tuple[Module, ...]
    tensors: int
    bundled: tuple[str, ...] = ()


def read_adapter(shapes: Mapping[str, Shape]) -> Adapter | None:
    """The adapter in these tensors, or None if they hold none."""
    modules: dict[str, Module] = {}
    for name, shape in shapes.items():
        found = split_name(name)
        if found is not None:
            module, algorithm, part = found
            if module not in modules:
                modules[module] = _module(module)
            modules[module].parts.setdefault(algorithm, {})[part] = shape
    return _trusted(modules, shapes)


def _trusted(modules: Mapping[str, Module], shapes: Mapping[str, Shape]) -> Adapter | None:
    for module in modules.values():
        for algorithm, needed in _tables().needs.items():
            if algorithm in module.parts and not all(part in module.parts[algorithm] for part in needed):
                del module.parts[algorithm]
    kept = tuple(module for module in modules.values() if module.algorithm)
    if all(module.algorithm in AUXILIARY for module in kept):
        return None
    tensors = sum(len(parts) for module in kept for parts in module.parts.values())
    return Adapter(kept, tensors, tuple(name for name in shapes if name.startswith(_tables().bundled)))


def _at(shape: Shape | None, index: int) -> int | None:
    return shape[index] if shape is not None and len(shape) > index else None


def _product(*factors: int | None) -> int | None:
    left, right = factors
    return None if left is None or right is None else left * right


def _lora(parts: Mapping[str, Shape]) -> Size:
    down, up = parts.get("a"), parts.get("b")
    dims = max((len(shape) for shape in (down, up) if shape), default=None)
    rank = _at(down, 0) if down else _at(up, 1)
    return Size(_at(up, 0), _at(down, 1), rank, dims)


def _loha(parts: Mapping[str, Shape]) -> Size:
    """Hadamard product of two low-rank products; with a core tensor `t1` the factors are stored transposed (LyCORIS)."""
    left, right = parts.get("w1_a"), parts.get("w1_b")
    turned = int("t1" in parts)
    return Size(_at(left, turned), _at(right, 1), _at(left, 1 - turned))


def _lokr(parts: Mapping[str, Shape]) -> Size:
    """Kronecker product of two factors, each whole or itself a low-rank product (LyCORIS)."""
    turned = int("t2" in parts)
    out_one = _at(parts.get("w1", parts.get("w1_a")), 0)
    in_one = _at(parts.get("w1", parts.get("w1_b")), 1)
    out_two = _at(parts["w2"], 0) if "w2" in parts else _at(parts.get("w2_a"), turned)
    in_two = _at(parts.get("w2", parts.get("w2_b")), 1)
    rank = _at(parts.get("w2_a"), 1 - turned) if "w2_a" in parts else _at(parts.get("w1_a"), 1)
    return Size(_product(out_one, out_two), _product(in_one, in_two), rank)


def _oft(parts: Mapping[str, Shape]) -> Size:
    """Block-diagonal rotation of the output: [blocks, b, b], with one more leading dimension in BOFT."""
    blocks = parts.get("blocks", ())
    if len(blocks) < 3:
        return Size()
    return Size(blocks[-3] * blocks[-1], None, blocks[-1])


def _glora(parts: Mapping[str, Shape]) -> Size:
    return Size(_at(parts.get("b2"), 0), _at(parts.get("a1"), 1), _at(parts.get("a1"), 0))


def _diff(parts: Mapping[str, Shape]) -> Size:
    shape = parts.get("diff", ())
    return Size(shape[0], shape[1], None, len(shape)) if len(shape) > 1 else Size()


_SIZES = {"lora": _lora, "loha": _loha, "lokr": _lokr, "oft": _oft, "glora": _glora, "diff": _diff}


def kernel(in_size: int, channels: int) -> bool:
    """Whether `in_size` is `channels` times a square: a convolution flattened to a matrix."""
    times, rest = divmod(in_size, channels)
    return rest == 0 and isqrt(times) ** 2 == times > 0
