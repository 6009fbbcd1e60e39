"""Upscalers: the factor by which one enlarges, read off its shapes by rules that the data files name."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isqrt

from modelhub.catalog.architectures import Architecture
from modelhub.catalog.match import View

#: A larger factor is not a fact but a mistake.
_LARGEST = 64
_LAST = re.compile(r"(\d+)\D*$")


def scale(view: View, architecture: Architecture) -> int | None:
    """The factor by the first rule that applies, or None. An input that was folded into channels is divided out."""
    factors = (_RULES[rule.rule](view, rule.tensor) for rule in architecture.upscale)
    factor = next((factor for factor in factors if factor), None)
    return max(1, factor // _folded(view)) if factor and factor <= _LARGEST else None


def _first(view: View, name: str, axis: int = 0) -> int | None:
    return next((shape[axis] for shape in view.shapes(name) if len(shape) > axis), None)


def _folded(view: View) -> int:
    """2 or 4 if the first convolution takes 4 or 16 times the channels that the last one gives (pixel unshuffle)."""
    taken, given = _first(view, "conv_first.weight", 1), _first(view, "conv_last.weight")
    times = taken // given if taken and given else 1
    return {4: 2, 16: 4}.get(times, 1)


def _channels(view: View) -> int:
    return _first(view, "conv_first.weight", 1) or 3


def _doublings(view: View, pattern: str) -> int | None:
    """One doubling for each convolution of that name."""
    return 2 ** len(view.find(pattern)) if view.has(pattern) else None


def _pixel_shuffle(view: View, name: str) -> int | None:
    """The product over `name.0`, `name.2` ... of sqrt(out // in), where a convolution feeds a pixel shuffle."""
    factor, index = 1, 0
    while view.has(f"{name}.{index}.weight"):
        out, taken = (_first(view, f"{name}.{index}.weight", axis) for axis in (0, 1))
        factor *= isqrt(out // taken) if out and taken and out >= taken else 1
        index += 2
    return factor if index and factor > 1 else None


def _direct_shuffle(view: View, name: str) -> int | None:
    """sqrt(out / image channels) of the one convolution in front of the pixel shuffle."""
    out = _first(view, name)
    return isqrt(out // _channels(view)) if out else None


def _numbers(view: View, pattern: str) -> list[int]:
    found = (_LAST.search(name) for name in view.find(pattern))
    return [int(fits[1]) for fits in found if fits]


def _sequential(view: View, pattern: str) -> int | None:
    """Original ESRGAN is one long Sequential: 5 layers for factor 1, 3 more for each doubling."""
    layers = max(_numbers(view, pattern), default=0) + 1
    return 2 ** ((layers - 5) // 3) if layers >= 5 else None


def _compact(view: View, pattern: str) -> int | None:
    """The last convolution gives factor² times the input's channels."""
    numbers = _numbers(view, pattern)
    last = _first(view, pattern.replace("#", str(max(numbers)))) if numbers else None
    taken = _first(view, "body.0.weight", 1)
    return isqrt(last // taken) if last and taken else None


def _last_shuffle(view: View, pattern: str) -> int | None:
    """The last convolution of that name gives factor² times the image's channels."""
    numbers = _numbers(view, pattern)
    last = _first(view, pattern.replace("#", str(max(numbers)))) if numbers else None
    return isqrt(last // 3) if last else None


def _dysample(view: View, name: str) -> int | None:
    """DySample moves each of factor² points in four groups by two coordinates."""
    moves = _first(view, name)
    return isqrt(moves // 8) if moves else None


def _none(view: View, pattern: str) -> int:
    """Restores without enlarging."""
    return 1


_RULES: dict[str, Callable[[View, str], int | None]] = {
    "doublings": _doublings, "pixel-shuffle": _pixel_shuffle, "direct-shuffle": _direct_shuffle,
    "sequential": _sequential, "last-shuffle": _last_shuffle, "dysample": _dysample, "compact": _compact, "none": _none,
}  # fmt: skip
