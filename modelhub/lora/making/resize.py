"""Resize: the modules of an adapter with fewer ranks, each by the small core of its product (see svd.py).

What a module adds is scale · up @ down; the scale, alpha / rank, stays what it was, and the new factors make the best
approximation of the product that their rank allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.jobs import QUIET, Job
from modelhub.lora.making.abreast import abreast
from modelhub.lora.making.metadata import changed_metadata
from modelhub.lora.making.products import check_finite, decomposed, product_of, scale_of
from modelhub.lora.making.report import Report, Row
from modelhub.lora.making.resizing import Resizing, Step, stored_dtype
from modelhub.lora.making.svd import Decomposed, of_matrix, seed_of
from modelhub.lora.making.workbench import Factors, Names, Workbench, check_goal, halves
from modelhub.lora.network import ALPHA, SCALAR

if TYPE_CHECKING:
    import torch

#: Parts of the algorithms that factors replace, and of what a scale is made; all others stay beside them.
_REPLACED = {"lora": ("lora.a", "lora.b", "lora.mid"), "diff": ("diff.diff",)}
_SCALE = (ALPHA, SCALAR)
#: A part that stays and is multiplied by the scale.
_BIAS = "extra.bias"


def resize(
    plan: Resizing, goal: Path, *, title: str = "", force: bool = False, hashes: bool = False, job: Job = QUIET
) -> Report:
    """Resize the adapter and write it to `goal`. Memory is that of a few modules.

    Raises UsageError when `goal` is the adapter itself, ModelError and CorruptFileError by the module's name for
    numbers that are NaN and parts that do not fit together, and as `modelhub.formats.writer.write`.
    """
    check_goal(goal, plan.stats, force=force, size=plan.size)
    with Workbench(goal, plan.stats, force=force, job=job) as bench:
        return _Resizing(plan, bench).run(title, hashes)


class _Made(NamedTuple):
    """A module of low rank, and what of it stays beside the factors: its tensors by their names."""

    factors: Factors
    row: Row
    beside: Mapping[str, torch.Tensor]


class _Resizing:
    """The making of one file; modules are made by workers, and put down in their order."""

    def __init__(self, plan: Resizing, bench: Workbench) -> None:
        self._plan, self._bench, self._wish, self._network = plan, bench, plan.wish, plan.network

    def run(self, title: str, hashes: bool) -> Report:
        self._bench.warnings += self._plan.warnings
        steps = self._plan.steps
        with self._bench.job.phase("resizing", len(steps), "modules") as advance:
            for step, made in abreast(steps, _elements, self._made, self._bench.job):
                self._put(step, made)
                advance(1, step.patch.module.name)
        self._rest()
        return self._bench.finish(self._metadata(title), hashes=hashes)

    def _made(self, step: Step) -> _Made | None:
        if step.why:
            return None
        module = step.patch.module
        values = self._network.values(step.patch)
        parts = {part.rpartition(".")[2]: value for part, value in values.items()}
        found, scale = self._decomposed(step, parts)
        rank = self._wish.ranks.of(found.values, found.energy, step.shape)
        up, down = halves(found, rank, step.shape)
        kept, by = float(found.values[:rank].square().sum()), scale * scale
        row = Row(module.name, step.shape, module.size.rank or 0, rank, found.energy * by, kept * by)
        return _Made(Factors(up, down, scale), row, self._beside(step, values, scale))

    def _decomposed(self, step: Step, parts: Mapping[str, torch.Tensor]) -> tuple[Decomposed, float]:
        """The singular values of what a module adds, but for the scale that it has."""
        module, ranks = step.patch.module, self._wish.ranks
        product = product_of(module.name, module.algorithm, parts)
        if product is None:
            matrix = parts["diff"].reshape(step.shape[0], -1).float()
            check_finite(module.name, matrix)
            whole, limit = ranks.needs_all, ranks.limit(step.shape)
            return of_matrix(matrix, limit, seed_of(module.name), whole=whole), scale_of(module.name, parts, 0)
        return decomposed(product), product.scale

    def _beside(self, step: Step, values: Mapping[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
        """Biases whose scale is in the factors now, where the file has none."""
        name = step.patch.tensors.get(_BIAS)
        return {name: values[_BIAS] * scale} if name and self._names(step).alpha is None and scale != 1.0 else {}

    def _names(self, step: Step) -> Names:
        tensors, name = step.patch.tensors, step.patch.module.name
        if step.patch.module.algorithm == "lora":
            return Names(tensors["lora.a"], tensors["lora.b"], tensors.get("extra.alpha"))
        return Names.of(name, "kohya" if "extra.alpha" in tensors or "." not in name else "peft")

    def _put(self, step: Step, made: _Made | None) -> None:
        patch, source = step.patch, self._network.source
        if made is None:
            self._bench.leave(self._network, patch, step.why)
            return
        dtype = self._wish.dtype or stored_dtype(self._network, patch)
        self._bench.put(self._names(step), made.factors, dtype, made.row)
        self._bench.add(patch.module.name, made.beside, dtype)
        self._bench.copy(source, (name for name in _staying(step) if name not in made.beside))

    def _rest(self) -> None:
        """What is no module, such as an embedding that lies beside."""
        known = {name for patch in self._network.patches for name in patch.tensors.values()}
        self._bench.copy(
            self._network.source, (name for name in self._network.source.header.tensors if name not in known)
        )

    def _metadata(self, title: str) -> dict[str, str]:
        ranks = self._wish.ranks
        rule = f" by {ranks.rule} {ranks.share:g}" if ranks.rule else ""
        found = changed_metadata(self._network.metadata, f"resized to rank {ranks.most}{rule}")
        if title:
            found |= {"ss_output_name": title, "modelspec.title": title}
        return found


def _staying(step: Step) -> Iterator[str]:
    """The tensors of a module that stand beside its factors and its scale."""
    algorithm = step.patch.module.algorithm
    for part, name in step.patch.tensors.items():
        own = part in _REPLACED[algorithm] if algorithm in _REPLACED else part.startswith(f"{algorithm}.")
        if not own and part not in _SCALE:
            yield name


def _elements(step: Step) -> int:
    """What a module takes in memory while it is made, at most."""
    if step.why:
        return 0
    parts = step.patch.module.parts
    stored = sum(map(prod, parts.values()))
    return stored if step.patch.module.algorithm == "lora" else prod(step.shape) + stored
