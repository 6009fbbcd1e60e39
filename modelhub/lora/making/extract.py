"""Extract: the difference of a tuned model and its base as a LoRA, which added to the base gives the tuned model back.

The best product of some rank is given by the first singular values and vectors (Eckart and Young 1936). The layers are
read, compared and decomposed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import Reading, read
from modelhub.errors import ModelError, UsageError
from modelhub.formats.header import nbytes
from modelhub.formats.stat import FileStat
from modelhub.jobs import QUIET, Job
from modelhub.lora.making.abreast import abreast
from modelhub.lora.making.differences import bias_difference, difference
from modelhub.lora.making.metadata import new_metadata
from modelhub.lora.making.pairing import Pair, Pairing, pair
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report, Row
from modelhub.lora.making.svd import energy, of_matrix, seed_of
from modelhub.lora.making.workbench import Factors, Names, Workbench, check_goal, halves
from modelhub.lora.names import Dialect
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

#: Bytes of a file besides its data, per module: three names and what a header says of them.
_HEAD = 400


@dataclass(frozen=True, slots=True)
class Wish:
    """What kind of LoRA: its ranks, the dtype of its tensors ("F16"), how modules are named, and which layers.

    `only` are components (unet, te, te1, te2, t5; none: all); layers that differ nowhere by more than `least` are left
    out; `full` puts differences of norms and biases beside, `exact` finds singular values without chance.
    """

    ranks: Ranks
    dtype: str = "F16"
    names: Dialect = "kohya"
    only: tuple[str, ...] = ()
    least: float = 0.0
    full: bool = False
    exact: bool = False


@dataclass(frozen=True)
class Extraction:
    """An extraction that was not made: what is compared, from headers."""

    wish: Wish
    tuned: Reading
    base: Reading
    pairing: Pairing
    parents: tuple[Parent, Parent]
    stats: Mapping[Path, FileStat] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that the file has at most."""
        return sum(map(self._size, self.pairing.matrices)) + _HEAD

    def _size(self, one: Pair) -> int:
        out, columns = one.base.shape[0], prod(one.base.shape[1:])
        return nbytes(self.wish.dtype, (self.wish.ranks.limit(one.base.shape), out + columns)) + _HEAD

    def as_dict(self) -> dict[str, object]:
        """As plain values."""
        ranks = [self.wish.ranks.limit(one.base.shape) for one in self.pairing.matrices]
        return {
            "modules": len(ranks),
            "components": {label: self._count(label) for label in self.pairing.components},
            "ranks": {str(rank): ranks.count(rank) for rank in sorted({*ranks}, reverse=True)},
            "size_at_most": self.size,
            "warnings": [*self.pairing.notes],
        }

    def _count(self, label: str) -> int:
        return sum(one.tuned.label == label for one in self.pairing.matrices)


def plan_extract(tuned: Parent, base: Parent, wish: Wish) -> Extraction:
    """What extracting would compare; headers are read. Raises as `pair` and `catalog.plain.read`, UsageError."""
    if wish.names == "peft" and wish.full:
        raise UsageError("Files with names of PEFT hold no differences of norms and biases.", "Use --names kohya.")
    ours, theirs = read(tuned), read(base)
    pairing = pair(ours, theirs, (tuned.name, base.name), wish.names, wish.only)
    stats = {**tuned.stats, **base.stats}
    return Extraction(wish, ours, theirs, pairing, (tuned, base), stats)


def extract(
    plan: Extraction, goal: Path, *, title: str = "", force: bool = False, hashes: bool = False, job: Job = QUIET
) -> Report:
    """Make the LoRA and write it to `goal`. Memory is that of the largest layer, a few times in fp32.

    Raises UsageError when `goal` is one of the models, ModelError for NaN in a layer, IncompatibleError when nothing
    differs, and as `modelhub.formats.writer.write`.
    """
    check_goal(goal, plan.stats, force=force, size=plan.size)
    with Workbench(goal, plan.stats, force=force, job=job) as bench:
        making = _Extracting(plan, bench)
        making.run()
        return bench.finish(making.metadata(title or goal.stem), hashes=hashes)


class _Made(NamedTuple):
    """What came of one layer: factors and what is told of them, tensors beside them by endings, and what is lost."""

    module: str
    factors: tuple[Factors, Row] | None
    beside: Mapping[str, torch.Tensor]
    lost: float


class _Extracting:
    """The making of one LoRA; layers are made by workers, and put down in their order."""

    def __init__(self, plan: Extraction, bench: Workbench) -> None:
        self._plan, self._bench, self._wish = plan, bench, plan.wish

    def run(self) -> None:
        self._bench.warnings += self._plan.pairing.notes
        every = [*self._plan.pairing.matrices, *self._plan.pairing.others]
        matrices = {one.module for one in self._plan.pairing.matrices}
        total = sum(map(_elements, every))
        with self._bench.job.phase("extracting", total, "weights") as advance:
            making = abreast(every, _elements, lambda one: self._made(one, one.module in matrices), self._bench.job)
            for one, made in making:
                self._put(made)
                advance(_elements(one), one.module)

    def _made(self, one: Pair, is_matrix: bool) -> _Made:
        beside = {}
        factors = self._factors(one) if is_matrix else None
        if not is_matrix and (found := self._difference(one)) is not None:
            beside[".w_norm" if len(one.base.shape) == 1 else ""] = found.reshape(one.base.shape)
        if (found := self._bias(one)) is not None:
            beside[".diff_b" if is_matrix or len(one.base.shape) != 1 else ".b_norm"] = found.reshape(-1)
        held = {ending: value for ending, value in beside.items() if self._wish.full and ending}
        lost = sum(energy(value) for ending, value in beside.items() if ending not in held)
        return _Made(one.module, factors, held, lost)

    def _difference(self, one: Pair) -> torch.Tensor | None:
        found = difference(self._plan.tuned.source, one.tuned, self._plan.base.source, one.base)
        return self._checked(one, found)

    def _bias(self, one: Pair) -> torch.Tensor | None:
        found = bias_difference(self._plan.tuned.source, one.tuned, self._plan.base.source, one.base)
        return None if found is None else self._checked(one, found)

    def _checked(self, one: Pair, found: torch.Tensor) -> torch.Tensor | None:
        """A difference, None where there is next to none. Raises ModelError for NaN and infinities."""
        largest = max(map(abs, map(float, found.aminmax()))) if found.numel() else 0.0
        if not isfinite(largest):
            names = " or ".join(parent.name for parent in self._plan.parents)
            raise ModelError(
                f"{brief(one.tuned.tensor)} has numbers in {names} that are NaN or infinite.",
                "`modelhub repair` tells which, and what can be done.",
            )
        return found if largest > self._wish.least else None

    def _factors(self, one: Pair) -> tuple[Factors, Row] | None:
        matrix = self._difference(one)
        if matrix is None:
            return None
        ranks, shape = self._wish.ranks, one.base.shape
        whole = self._wish.exact or ranks.needs_all
        found = of_matrix(matrix.float(), ranks.limit(shape), seed_of(one.module), whole=whole)
        rank = ranks.of(found.values, found.energy, shape)
        up, down = halves(found, rank, shape)
        kept = float(found.values[:rank].square().sum())
        return Factors(up, down), Row(one.module, shape, 0, rank, found.energy, kept)

    def _put(self, made: _Made) -> None:
        self._bench.lost += made.lost
        if made.factors is not None:
            factors, row = made.factors
            self._bench.put(Names.of(made.module, self._wish.names), factors, self._wish.dtype, row)
        beside = {made.module + ending: value for ending, value in made.beside.items()}
        self._bench.add(made.module, beside, self._wish.dtype)

    def metadata(self, title: str) -> dict[str, str]:
        tuned, base = self._plan.parents
        about = f"extracted from {tuned.name} minus {base.name}"
        return new_metadata(self._plan.tuned.identity, title, (base.path.name, base.sha256), about)


def _elements(one: Pair) -> int:
    return prod(one.base.shape)
