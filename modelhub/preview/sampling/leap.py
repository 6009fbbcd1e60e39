"""The numbers of one step of a solver of the stochastic equation, in either kind of model."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leap:
    """The numbers of a step of h = l' - l, which is infinite from noise alone: there is no way back from it.

    `gap` is g = (1 + eta) h. `kept` is k = (a'/a) e^-g, how much of x stays, with the part a of the picture in x: 1, in
    a flow 1 - sigma. `signal` is a', how much of what is seen comes in. `fresh` is the part of fresh noise in that of
    the next level, sqrt(1 - e^(-2 eta h)).
    """

    h: float
    gap: float
    kept: float
    signal: float
    fresh: float


def leap_of(sigma: float, following: float, eta: float, *, flow: bool) -> Leap:
    """From `sigma` to `following` > 0. For a flow k is (sigma'/sigma) e^(-eta h), the same, but finite at sigma 1."""
    if flow:
        h = math.log(sigma / following * (1 - following) / (1 - sigma)) if sigma < 1 else math.inf
        grown = eta * h if eta > 0 else 0.0
        kept, signal = following / sigma * math.exp(-grown), 1 - following
    else:
        h = math.log(sigma / following)
        grown = eta * h
        kept, signal = math.exp(-(1 + eta) * h), 1.0
    return Leap(h, (1 + eta) * h, kept, signal, math.sqrt(-math.expm1(-2 * grown)))
