"""Verdicts: what a fit is worth, in words with stated thresholds."""

from __future__ import annotations

from typing import Literal

from modelhub.merge.explain.fitting import Fit

Verdict = Literal["exact to rounding", "good", "partly", "not from these", "cannot tell"]

#: What is left, as a multiple of what rounding must leave: programs that round in between leave up to twice as much.
EXACT = 2.0
#: What is left, as a share of the way from the nearest parent.
GOOD, PARTLY = 0.05, 0.5


def verdict(fit: Fit) -> Verdict:
    """The word for a fit; "cannot tell" where other weights, of parents that are alike here, explain as much."""
    found = quality(fit)
    return "cannot tell" if fit.apart and found in ("exact to rounding", "good") else found


def quality(fit: Fit) -> Verdict:
    """The word for what a fit leaves, whether or not its weights are the only ones that would."""
    if fit.left <= 0 or fit.rounding <= EXACT:
        return "exact to rounding"
    if fit.residual <= GOOD or fit.coarseness <= EXACT:
        return "good"
    return "partly" if fit.residual <= PARTLY else "not from these"
