"""The linear multistep method: a polynomial through the last four slopes, integrated over the step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run, sampler
from modelhub.preview.sampling.steps import walk

_ORDER = 4
#: Places of Gauss's rule of two points on -1 .. 1, both of weight 1: exact for polynomials up to degree 3.
_GAUSS = (-1 / math.sqrt(3), 1 / math.sqrt(3))


@sampler("LMS")
def lms(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Adams-Bashforth of order 4 over uneven steps, beginning with order 1; one model call a step."""
    slopes: deque[Tensor] = deque(maxlen=_ORDER)
    places: deque[float] = deque(maxlen=_ORDER)
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        slopes.appendleft((x - clean) / sigma)
        places.appendleft(sigma)
        for weight, slope in zip(weights(places, following), slopes, strict=True):
            x = x + weight * slope
        run.step(index, clean)
    return x


def weights(places: Sequence[float], end: float) -> list[float]:
    """Integrals from places[0] to `end` of the Lagrange polynomials through `places`: at most four of them."""
    middle, half = (end + places[0]) / 2, (end - places[0]) / 2
    return [half * sum(_lagrange(places, at, middle + half * point) for point in _GAUSS) for at in range(len(places))]


def _lagrange(places: Sequence[float], at: int, where: float) -> float:
    """The polynomial that is 1 at places[at] and 0 at the others, at `where`."""
    own = places[at]
    return math.prod((where - other) / (own - other) for index, other in enumerate(places) if index != at)
