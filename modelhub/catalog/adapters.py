"""Adapter files (LoRA and its kin): tensor names sorted into modules and parts, by `catalog/adapters.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
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
    """What the shapes of a module say of its layer; None is unknown. `rank` is the adapter's, `dims` the weight's."""

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
    parts: dict[str, dict[str, Shape]]

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
        return any(
            (one in self.parts[self.algorithm or ""]) != (two in self.parts[self.algorithm or ""])
            for one, two in wanted
        )


_Ending = tuple[str, str, str, str]


@dataclass(frozen=True)
class _Tables:
    endings: Mapping[str, list[_Ending]]
    prefix: re.Pattern[str]
    prefixes: Mapping[str, tuple[str, tuple[str, ...]]]
    respelled: re.Pattern[str]
    spellings: list[tuple[re.Pattern[str], str]]
    needs: Mapping[str, list[str]]
    pairs: Mapping[str, list[list[str]]]
    bundled: str


@cache
def _tables() -> _Tables:
    table = tomllib.loads(data_path("adapters.toml").read_text(encoding="utf-8"))
    longest_first = sorted(table["prefixes"], key=len, reverse=True)
    return _Tables(
        endings=_endings(table["suffixes"]),
        prefix=re.compile("|".join(map(re.escape, longest_first))),
        prefixes={prefix: (dialect, tuple(where)) for prefix, (dialect, *where) in table["prefixes"].items()},
        respelled=re.compile("|".join(table["spellings"])),
        spellings=[(re.compile(pattern), word) for pattern, word in table["spellings"].items()],
        needs=table["needs"],
        pairs=table["pairs"],
        bundled=table["bundled"]["prefix"],
    )


def _endings(table: Mapping[str, Mapping[str, Any]]) -> dict[str, list[_Ending]]:
    """Last two words of a name, or the last one, to (ending, algorithm, part, what to put behind the module's name)."""
    found: dict[str, list[_Ending]] = {}
    for algorithm, endings in table.items():
        for ending, spec in endings.items():
            part, behind = (spec, "") if isinstance(spec, str) else spec
            found.setdefault(_last_words(ending[1:]), []).append((ending, algorithm, part, behind))
    return {words: sorted(rows, key=lambda row: -len(row[0])) for words, rows in found.items()}


def _last_words(name: str) -> str:
    return ".".join(name.rsplit(".", 2)[-2:])


def split_name(name: str) -> tuple[str, str, str] | None:
    """(module, algorithm, part) of a tensor name, or None for a name with no known ending."""
    endings = _tables().endings
    words = _last_words(name)
    for key in (words, words.rpartition(".")[2]):
        for ending, algorithm, part, behind in endings.get(key, ()):
            if name.endswith(ending):
                return name[: -len(ending)] + behind, algorithm, part
    return None


def _module(name: str, parts: dict[str, dict[str, Shape]]) -> Module:
    tables = _tables()
    fits = tables.prefix.match(name)
    prefix = fits[0] if fits else ""
    flat = flatten(name[len(prefix) :])
    if tables.respelled.search(flat):
        for pattern, word in tables.spellings:
            flat = pattern.sub(word, flat)
    return Module(name, *tables.prefixes[prefix], flat, parts)


@dataclass(frozen=True)
class Adapter:
    """The modules of a file, the number of tensors in them, and the names of embeddings packed beside them."""

    modules: tuple[Module, ...]
    tensors: int
    bundled: tuple[str, ...] = ()


_Parts = dict[str, dict[str, Shape]]


def read_adapter(shapes: Mapping[str, Shape]) -> Adapter | None:
    """The adapter in these tensors, or None if they hold none."""
    found: dict[str, _Parts] = {}
    for name, shape in shapes.items():
        split = split_name(name)
        if split is not None:
            module, algorithm, part = split
            found.setdefault(module, {}).setdefault(algorithm, {})[part] = shape
    modules = tuple(_module(module, parts) for module, parts in found.items() if _trusted(parts))
    if all(module.algorithm in AUXILIARY for module in modules):
        return None
    tensors = sum(len(parts) for module in modules for parts in module.parts.values())
    return Adapter(modules, tensors, tuple(name for name in shapes if name.startswith(_tables().bundled)))


def _trusted(parts: _Parts) -> bool:
    """Drop the algorithms whose endings are too common without their partners; whether one is left."""
    for algorithm, needed in _tables().needs.items():
        if algorithm in parts and not all(part in parts[algorithm] for part in needed):
            del parts[algorithm]
    return any(algorithm != "extra" for algorithm in parts)


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
    """Hadamard product of two low-rank products; with a core tensor `t1` the factors lie transposed (LyCORIS)."""
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
