"""What came of making an adapter: of each layer its rank and how much of it is kept, and what was left as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, NamedTuple

from modelhub.formats.writer import Written


class Row(NamedTuple):
    """One layer that was made: `energy` is the sum of squares of what is to be held, `kept` of what is.

    `shape` is that of the layer, `before` the rank that a module had, 0 for a matrix.
    """

    module: str
    shape: tuple[int, ...]
    before: int
    rank: int
    energy: float
    kept: float

    @property
    def share(self) -> float:
        """The share of the energy that is kept; 1 where there is none."""
        return min(1.0, self.kept / self.energy) if self.energy else 1.0


@dataclass(frozen=True)
class Report:
    """An adapter that was written.

    `as_it_was` are modules that were copied, by the reason for it. `lost` is the energy of what changed and is not
    held by any layer of it; `warnings` are sentences, `seconds` wall time.
    """

    written: Written
    rows: tuple[Row, ...]
    as_it_was: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lost: float = 0.0
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def modules(self) -> int:
        """How many modules the adapter has."""
        return len(self.rows) + sum(map(len, self.as_it_was.values()))

    @property
    def ranks(self) -> dict[int, int]:
        """How many layers have which rank, the most frequent first."""
        return dict(Counter(row.rank for row in self.rows).most_common())

    @property
    def share(self) -> float:
        """The share of all energy that is kept: of the layers and of what was left out."""
        whole = sum(row.energy for row in self.rows) + self.lost
        return min(1.0, sum(row.kept for row in self.rows) / whole) if whole else 1.0

    @property
    def left_out(self) -> float:
        """The share of all energy that is in what was left out: norms, biases, embeddings."""
        whole = sum(row.energy for row in self.rows) + self.lost
        return self.lost / whole if whole else 0.0

    @property
    def error(self) -> float:
        """‖what is missing‖ / ‖what was to be held‖ (Frobenius norms of all layers together)."""
        return sqrt(max(0.0, 1.0 - self.share))

    @property
    def worst(self) -> Row | None:
        """The layer of which the least is kept."""
        return min(self.rows, key=lambda row: row.share, default=None)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        written, worst = self.written, self.worst
        shares = [row.share for row in self.rows]
        return {
            "path": str(written.path), "size": written.size, "sha256": written.sha256, "autov3": written.autov3,
            "tensors": written.tensors, "modules": self.modules,
            "ranks": {str(rank): count for rank, count in self.ranks.items()},
            "energy_kept": self.share, "energy_left_out": self.left_out, "relative_error": self.error,
            "energy_kept_of_layers": {
                "least": min(shares, default=1.0), "mean": sum(shares) / len(shares) if shares else 1.0
            },
            "worst": worst and {"module": worst.module, "rank": worst.rank, "energy_kept": worst.share},
            "as_it_was": {why: len(names) for why, names in self.as_it_was.items()},
            "warnings": list(self.warnings), "seconds": self.seconds,
        }  # fmt: skip
