"""How many singular values of a layer are kept: a number of them, or as many as a share of the layer needs.

Beside `energy`, which is the sum of squares as it is, stand the three rules of kohya's resize script under its names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from modelhub.errors import UsageError

if TYPE_CHECKING:
    import torch

#: More ranks than any layer has.
MOST = 65_536
#: Sums of shares miss what they should be by rounding.
_SLACK = 1e-12


def _first(sums: torch.Tensor, wanted: float) -> int:
    """How many terms are needed for a sum; all of them if it is never reached."""
    return int((sums < wanted * (1 - _SLACK)).sum()) + 1


def _energy(values: torch.Tensor, energy: float, share: float) -> int:
    """The least k with σ₁² + … + σₖ² ≥ share · ‖M‖²."""
    return _first(values.square().cumsum(0), share * energy)


def _fro(values: torch.Tensor, energy: float, share: float) -> int:
    """The least k with √(σ₁² + … + σₖ²) ≥ share · ‖M‖ (Frobenius norm)."""
    return _energy(values, energy, share * share)


def _cumulative(values: torch.Tensor, energy: float, share: float) -> int:
    """The least k with σ₁ + … + σₖ ≥ share · (the sum of all)."""
    return _first(values.cumsum(0), share * float(values.sum()))


def _ratio(values: torch.Tensor, energy: float, ratio: float) -> int:
    """All σₖ with σ₁ / σₖ < ratio."""
    return int((values * ratio > values[0]).sum())


class Rule(NamedTuple):
    """A way to choose a rank: `needs_all` singular values, or only the first; `least` and `most` bound its number."""

    rank: Callable[[torch.Tensor, float, float], int]
    least: float
    most: float
    needs_all: bool = False


RULES: Mapping[str, Rule] = {
    "energy": Rule(_energy, 0.0, 1.0),
    "sv_fro": Rule(_fro, 0.0, 1.0),
    "sv_cumulative": Rule(_cumulative, 0.0, 1.0, needs_all=True),
    "sv_ratio": Rule(_ratio, 1.0, float("inf")),
}


@dataclass(frozen=True, slots=True)
class Ranks:
    """The rank of each layer: at most `most`, for kernels larger than 1 x 1 at most `conv` (None: the same).

    With `rule` (one of `RULES`) and its number `share`, as few as that needs, and at least 1. Raises UsageError for
    numbers that mean nothing.
    """

    most: int
    conv: int | None = None
    rule: str = ""
    share: float = 0.0

    def __post_init__(self) -> None:
        for number in (self.most, *([] if self.conv is None else [self.conv])):
            if not 1 <= number <= MOST:
                raise UsageError(f"A rank of {number} is none.", "Choose one from 1 on, such as 32.")
        if self.rule:
            self._check()

    def _check(self) -> None:
        rule = RULES.get(self.rule)
        if rule is None:
            raise UsageError(f"'{self.rule}' is no rule for ranks.", f"Choose one of: {', '.join(RULES)}.")
        if not rule.least < self.share <= rule.most or self.share == float("inf"):
            between = f"more than {rule.least:g}" + (f" and at most {rule.most:g}" if rule.most <= 1 else "")
            raise UsageError(f"The rule {self.rule} cannot have {self.share:g}.", f"Its number is {between}.")

    @property
    def needs_all(self) -> bool:
        """Whether all singular values of a layer have to be known."""
        return bool(self.rule) and RULES[self.rule].needs_all

    def limit(self, shape: Sequence[int]) -> int:
        """The largest rank of a layer of this shape, [out, in] or [out, in, h, w]."""
        is_kernel = any(side > 1 for side in shape[2:])
        size = self.conv if self.conv is not None and is_kernel else self.most
        return min(size, shape[0], prod(shape[1:]))

    @classmethod
    def asked(
        cls, most: int | None, conv: int | None, rule: str = "", share: float = 0.0, default: int | None = None
    ) -> Ranks | None:
        """The ranks that are asked for, None where nothing is. With a rule alone the rank is whatever that needs."""
        said = most if most is not None else default if default is not None else MOST if rule else None
        return None if said is None else cls(said, conv, rule, share)

    def of(self, values: torch.Tensor, energy: float, shape: Sequence[int]) -> int:
        """The rank of a layer with these singular values [k], fp64 descending, of which the whole has this energy."""
        limit = min(self.limit(shape), len(values))
        if not self.rule or not limit or not energy:
            return limit if not self.rule else min(limit, 1)
        return max(1, min(limit, RULES[self.rule].rank(values, energy, self.share)))
