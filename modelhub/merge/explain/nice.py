"""Nice numbers: the roundest weights that a fit allows, for people merge by 0.3 and not by 0.29998."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

#: Parts that block weights come in beside decimals: thirds, and the twelfths of gradients over blocks.
_PARTS = (3, 6, 12)


def nicest(weights: Sequence[float], allowed: Callable[[Sequence[float]], bool], *, bound: bool = True) -> list[float]:
    """The roundest numbers near `weights` that are `allowed`, or the weights themselves; their sum is kept at one."""
    found = [float(weight) for weight in weights]
    return next((tried for tried in _rounder(found, bound) if allowed(tried)), found)


def _rounder(weights: list[float], bound: bool) -> Iterator[list[float]]:
    for digits in (0, 1, 2, 3):
        yield _closed([round(weight, digits) for weight in weights], weights, bound)
    for parts in _PARTS:
        yield _closed([round(weight * parts) / parts for weight in weights], weights, bound)
    for digits in (4, 5, 6):
        yield _closed([round(weight, digits) for weight in weights], weights, bound)


def _closed(tried: list[float], weights: list[float], bound: bool) -> list[float]:
    """The numbers with the largest changed so that they sum to one."""
    if bound:
        largest = max(range(len(weights)), key=lambda i: abs(weights[i]))
        rest = sum(value for i, value in enumerate(tried) if i != largest)
        tried = [round(1 - rest, 12) if i == largest else value for i, value in enumerate(tried)]
    return [value + 0.0 for value in tried]
