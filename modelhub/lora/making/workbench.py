"""Workbench: where modules are put down one after another, and made a file of when all are there."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.errors import IncompatibleError, UsageError, file_error
from modelhub.formats.closing import Closing
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.watching import watched
from modelhub.formats.writer import check_target, write
from modelhub.jobs import Job
from modelhub.lora.making.metadata import with_ranks
from modelhub.lora.making.report import Report, Row
from modelhub.lora.making.spool import Spool
from modelhub.lora.network import Network, Patch
from modelhub.text import brief, plural

if TYPE_CHECKING:
    import torch

    from modelhub.lora.making.svd import Decomposed

#: Of modules with numbers that did not fit, so many are named.
_NAMED = 5


class Names(NamedTuple):
    """The names of a module's tensors; no `alpha` for files that have none, whose alpha is the rank."""

    down: str
    up: str
    alpha: str | None

    @classmethod
    def of(cls, module: str, dialect: str) -> Names:
        """Those of a new module in a dialect ("kohya", "peft")."""
        if dialect == "kohya":
            return cls(f"{module}.lora_down.weight", f"{module}.lora_up.weight", f"{module}.alpha")
        return cls(f"{module}.lora_A.weight", f"{module}.lora_B.weight", None)


class Factors(NamedTuple):
    """`scale` · up @ down of a module: up [out, r(, 1, 1)], down [r, in(, h, w)]."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float = 1.0


def halves(found: Decomposed, rank: int, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """up [out, rank(, 1, 1)] and down [rank, in(, h, w)] of the first singular values, whose roots go to either side.

    `shape` is that of the layer.
    """
    root = found.values[:rank].sqrt().to(found.left.dtype)
    up, down = found.left[:, :rank] * root, root[:, None] * found.right[:rank]
    return up.reshape(*up.shape, *(1 for _ in shape[2:])), down.reshape(rank, *shape[1:])


class Workbench(Closing):
    """An adapter in the making, which becomes the file `goal`. What is put down waits on disk.

    Raises UsageError when the goal is one of the files that are read, `stats`, and as `check_target`.
    """

    def __init__(self, goal: Path, stats: Mapping[Path, FileStat], *, force: bool, job: Job) -> None:
        check_goal(goal, stats, force=force)
        self._goal, self._force, self._started = goal, force, time.monotonic()
        self.job = watched(job, stats)
        self._spool = Spool(goal)
        self._rows: list[Row] = []
        self._as_it_was: defaultdict[str, list[str]] = defaultdict(list)
        self._overflowed: list[str] = []
        self.warnings: list[str] = []
        self.lost = 0.0
        self._scales: set[float] = set()
        self._ranks: dict[bool, set[int]] = {False: set(), True: set()}

    def put(self, names: Names, factors: Factors, dtype: str, row: Row) -> None:
        """One module of low rank, rounded once to `dtype`; its alpha is such that alpha / rank is the scale."""
        up, down, scale = factors
        if names.alpha is None and scale != 1.0:
            up = up * scale
        self.add(row.module, {names.down: down, names.up: up}, dtype)
        if names.alpha is not None:
            self._number(names.alpha, scale * row.rank, dtype)
        self._scales.add(scale if names.alpha is not None else 1.0)
        self._rows.append(row)
        self.ranked(row.shape, row.rank)

    def ranked(self, shape: Sequence[int], rank: int) -> None:
        """A module for a layer of this shape has this rank, 0 for one that has none."""
        if rank:
            self._ranks[prod(shape[2:]) > 1].add(rank)

    def add(self, module: str, tensors: Mapping[str, torch.Tensor], dtype: str) -> None:
        """Tensors of a module, rounded once to `dtype`."""
        for name, value in tensors.items():
            self._check_new(name)
            if self._spool.add(name, value, dtype).not_finite:
                self._overflowed.append(module)

    def _number(self, name: str, value: float, dtype: str) -> None:
        """In fp32 where fewer bits would change it: it multiplies everything."""
        import torch

        from modelhub.formats.source import torch_dtype

        self._check_new(name)
        is_exact = float(torch.tensor(value, dtype=torch_dtype(dtype)).float()) == value
        self._spool.add(name, torch.tensor(value), dtype if is_exact else "F32")

    def copy(self, source: TensorSource, names: Iterable[str], module: str = "", why: str = "") -> None:
        """Tensors as they are; with a reason, a module that is told of."""
        for name in names:
            self._check_new(name)
            self._spool.copy(source, name)
        if why:
            self._as_it_was[why].append(module)

    def leave(self, network: Network, patch: Patch, why: str) -> None:
        """A module as it is, for a reason; a scale that its configuration says becomes a tensor of its own."""
        module = patch.module
        self.copy(network.source, patch.tensors.values(), module.name, why)
        for part, value in network.outer(patch).items():
            self._number(f"{module.name}.{part.removeprefix('extra.')}", value, "F32")
        if module.algorithm == "lora":
            self.ranked((1, 1, *module.parts.get("lora.a", ())[2:]), module.size.rank or 0)

    def _check_new(self, name: str) -> None:
        if name in self._spool:
            raise IncompatibleError(f"Two modules would both have the tensor {brief(name)}.", "Rename one of them.")

    def finish(self, metadata: dict[str, str], *, hashes: bool) -> Report:
        """Write the file, with its ranks in the metadata.

        Raises as `modelhub.formats.writer.write`, IncompatibleError when there is nothing in it."""
        source = self._spool.source(with_ranks(metadata, self._ranks[False], self._ranks[True], self._scales))
        if not source.header.tensors:
            raise IncompatibleError("Nothing differs: there is nothing to put into a LoRA.", "Name two other models.")
        written = write(source, self._goal, force=self._force, hashes=hashes, job=self.job)
        warnings = (*self.warnings, *self._overflows())
        for warning in warnings:
            self.job.say(warning, "warning")
        as_it_was = {why: tuple(names) for why, names in self._as_it_was.items()}
        seconds = round(time.monotonic() - self._started, 3)
        return Report(written, tuple(self._rows), as_it_was, self.lost, warnings, seconds)

    def _overflows(self) -> list[str]:
        if not self._overflowed:
            return []
        names = ", ".join(map(brief, self._overflowed[:_NAMED]))
        much = plural(len(self._overflowed), "tensor")
        return [f"{much} have numbers too large for their precision, and are infinite there ({names}): use fp32."]

    def close(self) -> None:
        """Let go of what waits on disk."""
        self._spool.close()


def check_goal(goal: Path, files: Iterable[Path], *, force: bool, size: int = 0) -> None:
    """Raise what writing `size` bytes to `goal` would end in, as far as it can be told beforehand."""
    try:
        own = goal.exists() and any(goal.samefile(path) for path in files if path.exists())
    except OSError as error:
        raise file_error(error, goal) from error
    if own:
        raise UsageError(f"{goal} is one of the files that it is made of.", "Choose another name for the result.")
    check_target(goal, size, force=force)
