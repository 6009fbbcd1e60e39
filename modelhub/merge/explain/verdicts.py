"""Verdicts: what a fit is worth, in words with stated thresholds."""

from __future__ import annotations

from typing import Literal

from modelhub.merge.explain.fitting import UNKNOWN, Fit

Verdict = Literal["exact to rounding", "good", "partly", "not from these", "cannot tell"]

#: What is left, as a multiple of what rounding must leave: programs that round in between leave up to twice as much.
EXACT = 2.0
#: What is left, as a share of the way from the nearest parent.
GOOD, PARTLY = 0.05, 0.5

#: What each word means, for help and documentation.
MEANINGS: dict[Verdict, str] = {
    "exact to rounding": f"what is left is at most {EXACT:g} times what rounding to the merge's precision must leave",
    "good": f"at most {GOOD:.0%} of the way from the nearest parent is left, or what rounding of the parents leaves",
    "partly": f"at most {PARTLY:.0%} of the way from the nearest parent is left",
    "not from these": f"more than {PARTLY:.0%} of the way from the nearest parent is left",
    "cannot tell": f"explained, but weights can be moved by more than {UNKNOWN:g} between parents that are alike here",
}


def verdict(fit: Fit) -> Verdict:
    """The word for a fit."""
    found = quality(fit)
    return "cannot tell" if fit.apart and found in ("exact to rounding", "good") else found


def quality(fit: Fit) -> Verdict:
    """The word for what a fit leaves, whether or not its weights are the only ones that would."""
    if fit.left <= 0 or fit.rounding <= EXACT:
        return "exact to rounding"
    if fit.residual <= GOOD or fit.coarseness <= EXACT:
        return "good"
    return "partly" if fit.residual <= PARTLY else "not from these"
