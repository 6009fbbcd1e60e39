"""Least squares over sums: the weights that come nearest to the merge, how sure they are, and what they leave.

Solves min |M − Σ w·P| over some of the parents, with Σ w = 1 (`bound`) or without, in differences to the nearest one.
A weight has two errors: the usual standard error, σ²·(XᵀX)⁻¹, and the most that rounding can pull it when models differ
by few units in the last place (a 0.3 of one unit is rounded to nothing, wherever it occurs): ¼·Σ ulp²·(XᵀX)⁻¹.
Neither knows of weights next to nothing in a merge of fewer bits than its models: they decide ties, and look larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from modelhub.merge.explain.sums import Sums

if TYPE_CHECKING:
    from modelhub.merge.explain.sums import Array

#: Eigenvalues, relative to the largest, below which models are one and the same, combined.
_NULL = 1e-12
#: A direction is unknown when weights may go this far along it.
UNKNOWN = 0.1
#: Standard errors within which a number is as good as the one found.
_SIGMAS = 4.0


@dataclass(frozen=True)
class Fit:
    """One solution. `weights` and `errors` are for all parents of the sums, 0 for those not `used`.

    `left`: |M − Σ w·P|². `near`: the parent nearest to the merge, by number in the sums, and `distance` its |M − P|².
    `apart`: sets of parents that cannot be told apart. Directions are unit steps in the weights, each with its error.
    """

    sums: Sums
    used: tuple[int, ...]
    weights: Array
    errors: Array
    left: float
    near: int
    distance: float
    directions: tuple[tuple[Array, float], ...]

    @property
    def residual(self) -> float:
        """What is not explained, as a share of the way from the nearest parent: |M − Σ w·P| / |M − P|."""
        return (self.left / self.distance) ** 0.5 if self.distance else 0.0

    @property
    def rounding(self) -> float:
        """What is not explained, as a multiple of what rounding of the merge must leave."""
        return (self.left / self.sums.rounding) ** 0.5 if self.sums.rounding else 0.0

    @property
    def coarseness(self) -> float:
        """The same, as a multiple of what rounding of the merge and of the parents must leave."""
        expected = self.sums.rounding + float(self.weights**2 @ self.sums.coarse)
        return (self.left / expected) ** 0.5 if expected else 0.0

    @cached_property
    def apart(self) -> tuple[frozenset[int], ...]:
        """The sets of parents between which weights can be moved without the result showing it."""
        found: list[frozenset[int]] = []
        for step, error in self.directions:
            if error > UNKNOWN:
                group = frozenset(i for i in self.used if abs(step[i]) > 0.1)
                touched = [other for other in found if other & group]
                found = [other for other in found if not other & group] + [group.union(*touched)]
        return tuple(found)

    def known(self, parent: int) -> bool:
        """Whether the weight of a parent is determined."""
        return not any(parent in group for group in self.apart)

    def allows(self, weights: Sequence[float]) -> bool:
        """Whether other weights with the same sum explain the merge as well, within the errors."""
        import numpy as np

        gap = np.asarray(weights, float) - self.weights
        if any(abs(gap[i]) > 1e-9 for i in range(len(gap)) if i not in self.used):
            return False
        # a step along the directions, which are not at right angles, that makes up the gap
        if not self.directions:
            return bool(np.abs(gap).max(initial=0.0) < 1e-9)
        steps = np.array([step for step, _ in self.directions])
        along = np.linalg.lstsq(steps.T, gap, rcond=None)[0]
        closed = bool(np.abs(along @ steps - gap).max() < 1e-6)
        return closed and all(abs(a) <= error for a, (_, error) in zip(along, self.directions, strict=True))


def fit(sums: Sums, used: Sequence[int] | None = None, *, bound: bool = True) -> Fit:
    """Solve for the weights of the parents `used` (by number in the sums; default: all)."""
    import numpy as np

    count = len(sums.parents)
    used = tuple(range(count) if used is None else used)
    points = _points(count)
    distances = [_square(points[count] - points[i], sums) for i in range(count)]
    near = int(np.argmin(distances))
    start = min(used, key=lambda i: distances[i])
    columns = [i for i in used if i != start]
    steps = [points[i] - points[start] for i in columns] + ([] if bound else [points[start]])
    base = np.zeros((len(steps), count))
    for row, i in enumerate(columns):
        base[row, i], base[row, start] = 1.0, -1.0
    if not bound:
        base[-1, start] = 1.0
    found, vectors, values = _solve(steps, points[count] - points[start], sums)
    weights = found @ base if len(base) else np.zeros(count)
    weights[start] += 1.0
    missing = points[count] - np.tensordot(weights, points[:count], 1)
    left = max(0.0, _square(missing, sums))
    variance = max(left / max(sums.elements - len(steps), 1), sums.rounding / max(sums.elements, 1))
    directions = tuple(
        _direction(vector @ base, value, variance, sums) for vector, value in zip(vectors, values, strict=True)
    )
    errors = np.zeros(count)
    for step, error in directions:
        errors += (step * error / _SIGMAS) ** 2 if np.isfinite(error) else np.where(np.abs(step) > 1e-9, np.inf, 0)
    return Fit(sums, used, weights, np.sqrt(errors), left, near, distances[near], directions)


def _points(count: int) -> Array:
    """The parents and the merge (last) as combinations of the vectors of the sums: P0, D1 …, E."""
    import numpy as np

    points = np.eye(count + 1)
    points[1:, 0] = 1.0
    return points


def _square(combination: Array, sums: Sums) -> float:
    return float(combination @ sums.gram @ combination)


def _solve(steps: list[Array], goal: Array, sums: Sums) -> tuple[Array, list[Array], list[float]]:
    """The shortest solution, and the directions that its error is made of: combinations of steps, their |X·v|²."""
    import numpy as np

    size = len(steps)
    if not size:
        return np.zeros(0), [], []
    rows = np.array(steps)
    normal, right = rows @ sums.gram @ rows.T, rows @ sums.gram @ goal
    scale = np.sqrt(np.clip(np.diag(normal), 0, None))
    tiny = scale <= 1e-9 * scale.max(initial=0.0)  # a parent that is another one, bit by bit
    scale[tiny] = 1.0
    normal = normal / np.outer(scale, scale)
    normal[tiny] = normal[:, tiny] = 0.0
    values, vectors = np.linalg.eigh(normal)
    null = values <= _NULL * max(values.max(initial=0.0), 1e-300)
    solution = sum(
        (vectors[:, i] * (vectors[:, i] @ (right / scale)) / values[i] for i in range(size) if not null[i]),
        np.zeros(size),
    )
    squares = [0.0 if null[i] else float(values[i]) for i in range(size)]
    return solution / scale, [vectors[:, i] / scale for i in range(size)], squares


def _direction(step: Array, square: float, variance: float, sums: Sums) -> tuple[Array, float]:
    """A step whose largest weight is 1, and how far one may go along it."""
    import numpy as np

    size = float(np.abs(step).max())
    if not size or square <= 0:
        return step / (size or 1.0), float("inf")
    along = _SIGMAS * (variance / square) ** 0.5 * size
    pulled = 3 * sums.rounding / square * size**2  # Σ ulp² is 12 times the variance of rounding
    return step / size, along + pulled
