"""The beta distribution's quantiles, without scipy: at which x the regularised incomplete beta function has a value."""

from __future__ import annotations

import math

_TINY = 1e-300
_TERMS, _HALVINGS = 10_000, 1100


def cumulative(x: float, alpha: float, beta: float) -> float:
    """I_x(alpha, beta), the part of a beta distribution below x in 0..1.

    x^a (1 - x)^b / (a B(a, b)) times the continued fraction of DLMF 8.17.22, by Lentz's method; it converges quickly
    left of the mean, and right of it 1 - I_(1-x)(b, a) is the same.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (alpha + 1) / (alpha + beta + 2):
        return 1 - cumulative(1 - x, beta, alpha)
    return math.exp(_log_front(x, alpha, beta)) * _fraction(x, alpha, beta) / alpha


def quantile(part: float, alpha: float, beta: float) -> float:
    """The x in 0..1 with I_x(alpha, beta) = `part` in 0..1, to the last few digits; `alpha` and `beta` are above 0.

    Found by halving, from the end that is nearer, so that also the digits of a very small x count.
    """
    if part > cumulative(0.5, alpha, beta):
        return 1 - _lower(1 - part, beta, alpha)
    return _lower(part, alpha, beta)


def _lower(part: float, alpha: float, beta: float) -> float:
    """A quantile in 0..1/2, by halving until no number is between."""
    low, high = 0.0, 0.5
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if cumulative(middle, alpha, beta) < part else (low, middle)
    return high if part > 0 else 0.0


def _log_front(x: float, alpha: float, beta: float) -> float:
    whole = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return whole + alpha * math.log(x) + beta * math.log1p(-x)


def _fraction(x: float, alpha: float, beta: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), until a factor changes nothing more."""
    above, below = 1.0, 0.0
    result = 1.0
    for index in range(_TERMS):
        term = _coefficient(index, x, alpha, beta)
        below = 1 / _away(1 + term * below)
        above = _away(1 + term / above)
        factor = above * below
        result *= factor
        if abs(factor - 1) < 1e-16:
            break
    return 1 / result


def _coefficient(index: int, x: float, alpha: float, beta: float) -> float:
    """d_1, d_2, ... of DLMF 8.17.23, from index 0."""
    half, odd = divmod(index + 1, 2)
    if odd:
        return -(alpha + half) * (alpha + beta + half) * x / ((alpha + 2 * half) * (alpha + 2 * half + 1))
    return half * (beta - half) * x / ((alpha + 2 * half - 1) * (alpha + 2 * half))


def _away(number: float) -> float:
    """`number`, or the smallest one that can be divided by."""
    return number if abs(number) > _TINY else _TINY
