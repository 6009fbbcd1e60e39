"""Resizing: which modules of an adapter can have fewer ranks, and why others stay as they are, from its header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.opener import Parent
from modelhub.errors import UsageError
from modelhub.formats.header import FLOAT_DTYPES, nbytes
from modelhub.formats.stat import FileStat
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.targets import kernel_of
from modelhub.lora.network import Network, Patch
from modelhub.text import plural

#: Kinds of modules that can become low rank, and what is said of the others.
_CONVERTED = ("loha", "lokr", "diff")
_ALREADY = "has no more ranks"
#: Bytes that metadata grow by at most.
_HEAD = 1000
_REASONS = {
    "ia3": "is IA3, which scales rows or columns", "norm": "is a norm", "oft": "is a rotation of the weight",
    "glora": "is GLoRA, which depends on the weight",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """The ranks, the dtype of new factors (None: as they are), and whether LoHa, LoKr and differences become LoRA."""

    ranks: Ranks
    dtype: str | None = None
    convert: bool = False


class Step(NamedTuple):
    """What becomes of one module: `why` it stays as it is, "" where it is resized; the shape of its layer."""

    patch: Patch
    why: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Resizing:
    """A resizing that was not made, from the header."""

    wish: Wish
    network: Network
    steps: tuple[Step, ...]
    stats: Mapping[Path, FileStat] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not as exact as it looks."""
        dora = sum(bool(one.patch.module.kind.dora) for one in self.steps if not one.why)
        if not dora:
            return ()
        return (
            f"{dora:,} modules are DoRA: their norms are those of the weight with all ranks, and only nearly right.",
        )

    @property
    def size(self) -> int:
        """Bytes that the file has at most."""
        return sum(map(self._size, self.steps)) + len(self.network.source.header.encoded) + _HEAD

    def _size(self, step: Step) -> int:
        header = self.network.source.header
        if step.why:
            return sum(header.tensors[name].nbytes for name in step.patch.tensors.values())
        dtype = self.wish.dtype or stored_dtype(self.network, step.patch)
        return nbytes(dtype, (self.wish.ranks.limit(step.shape), step.shape[0] + prod(step.shape[1:]))) + 8

    def as_dict(self) -> dict[str, object]:
        """As plain values."""
        ranks = [self.wish.ranks.limit(one.shape) for one in self.steps if not one.why]
        reasons = [one.why for one in self.steps if one.why]
        return {
            "modules": len(ranks),
            "ranks": {str(rank): ranks.count(rank) for rank in sorted({*ranks}, reverse=True)},
            "as_it_was": {why: reasons.count(why) for why in dict.fromkeys(reasons)},
            "size_at_most": self.size,
            "warnings": [*self.warnings],
        }


def plan_resize(parent: Parent, wish: Wish) -> Resizing:
    """What becomes of each module.

    Raises IncompatibleError for a file that is no adapter, UsageError where all modules would stay as they are.
    """
    network = Network(parent.source, parent.name)
    steps = tuple(_step(patch, network, wish) for patch in network.patches)
    if all(step.why for step in steps):
        counts = Counter(step.why for step in steps)
        each = ((plural(count, "module") + ", each of which" * (count > 1), why) for why, count in counts.items())
        reasons = "; ".join(f"{what} {why}" for what, why in each)
        hint = "Name a smaller rank." if _ALREADY in counts else "`modelhub lora info` tells what it is made of."
        raise UsageError(f"Nothing of {network.name} would be resized: {reasons}.", hint)
    return Resizing(wish, network, steps, parent.stats)


def _step(patch: Patch, network: Network, wish: Wish) -> Step:
    module = patch.module
    if module.incomplete:
        return Step(patch, "lacks a part", ())
    if module.algorithm == "lora" and not {"lora.a", "lora.b"} <= patch.tensors.keys():
        return Step(patch, "changes an embedding", ())
    if "extra.a_bias" in patch.tensors:
        return Step(patch, "has a bias between its factors", ())
    if module.algorithm != "lora" and (not wish.convert or module.algorithm not in _CONVERTED):
        return Step(patch, _reason(module.algorithm), ())
    shape = layer_shape(network, patch)
    if shape is None:
        return Step(patch, "does not tell the shape of its layer", ())
    rank = module.size.rank or 0
    small = module.algorithm == "lora" and rank <= wish.ranks.limit(shape) and not wish.ranks.rule
    same = wish.dtype in (None, stored_dtype(network, patch)) and not network.outer(patch)
    if small and same and "lora.mid" not in patch.tensors:
        return Step(patch, _ALREADY, shape)
    return Step(patch, "", shape)


def _reason(algorithm: str) -> str:
    if algorithm in _CONVERTED:
        return f"is {algorithm}, which --convert makes a LoRA"
    return _REASONS.get(algorithm, f"is {algorithm}, which has no rank")


def layer_shape(network: Network, patch: Patch) -> tuple[int, ...] | None:
    """The shape of a module's layer, by its parts, and for those that are flat by its place; None if nothing tells."""
    module, parts, size = patch.module, patch.module.parts, patch.module.size
    if module.algorithm == "diff":
        diff = parts.get("diff.diff", ())
        return diff if len(diff) > 1 else None
    if module.algorithm == "lora":
        own = (parts.get("lora.mid") or parts.get("lora.a", ()))[2:]
        return (size.out_size, size.in_size, *own) if size.out_size and size.in_size and size.rank else None
    kernel = kernel_of(network.adapter, module)
    if kernel is None or not size.out_size or not size.in_size:
        return None
    channels = size.in_size // prod(kernel) if _is_flat(module.parts) else size.in_size
    return (size.out_size, channels, *kernel)


def _is_flat(parts: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether no part has a kernel of its own: the second factor is as wide as the flattened weight."""
    return all(len(shape) <= 2 for shape in parts.values())


def stored_dtype(network: Network, patch: Patch) -> str:
    """The dtype that the module's largest part has in the file; F32 for one that is not computed with."""
    tensors = network.source.header.tensors
    found = max((tensors[name] for name in patch.tensors.values()), key=lambda info: info.nbytes).dtype
    return found if found in FLOAT_DTYPES else "F32"
