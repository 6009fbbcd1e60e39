"""DPM-Solver in l = -log(sigma): single steps of order 1 to 3, as DPM fast and DPM adaptive take them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from modelhub.preview.sampling.sampler import Denoise, Run
from modelhub.preview.sampling.steps import ancestral, lifted


class Step:
    """Steps from x at l; orders share the model calls that they have in common.

    Lu et al. 2022, "DPM-Solver", algorithms 1 and 2, in the scale where noise is only added; in a flow the slope is
    the same. `clean` is what is seen at the start, `slope` = (x - clean) / sigma.
    """

    def __init__(self, denoise: Denoise, x: Tensor, at: float) -> None:
        self._denoise = denoise
        self._x = x
        self._at = at
        self.clean = denoise(x, math.exp(-at))
        self.slope = (x - self.clean) / math.exp(-at)
        self._between: dict[float, Tensor] = {}

    def first(self, end: float) -> Tensor:
        """Order 1: x - sigma' (e^h - 1) slope, with h = l' - l."""
        return self._along(end)

    def second(self, end: float, part: float = 0.5) -> Tensor:
        """Order 2, with the slope at `part` of the way."""
        bend = (self._slope_at(end, part, self._along) - self.slope) / (2 * part)
        return self._along(end) - bend * (math.exp(-end) * math.expm1(end - self._at))

    def third(self, end: float) -> Tensor:
        """Order 3, with slopes at a third and at two thirds of the way."""
        bend = self._slope_at(end, 2 / 3, lambda place: self._bent(place, end)) - self.slope
        return self._along(end) - bend * (1.5 * math.exp(-end) * _phi(end - self._at))

    def _bent(self, place: float, end: float) -> Tensor:
        """x at two thirds of the way, with the slope at one third."""
        bend = self._slope_at(end, 1 / 3, self._along) - self.slope
        return self._along(place) - bend * (2 * math.exp(-place) * _phi(place - self._at))

    def _along(self, place: float) -> Tensor:
        return self._x - self.slope * (math.exp(-place) * math.expm1(place - self._at))

    def _slope_at(self, end: float, part: float, guess: Callable[[float], Tensor]) -> Tensor:
        """The slope at `part` of the way to `end`, where x is as guessed; the model is called for it once."""
        if part not in self._between:
            place = self._at + part * (end - self._at)
            x, sigma = guess(place), math.exp(-place)
            self._between[part] = (x - self._denoise(x, sigma)) / sigma
        return self._between[part]


def _phi(h: float) -> float:
    """(e^h - 1) / h - 1."""
    return math.expm1(h) / h - 1


def span(sigmas: Tensor, run: Run) -> tuple[float, float]:
    """Where the way begins and ends, in l.

    From the top of the model the way goes to its lowest level. From further down, as when a picture is there to start
    with, it goes to the last sigma but one: the last is 0, which has no l. It never goes up.
    """
    levels, begin, end = run.levels, float(sigmas[0]), float(sigmas[-2])
    if begin >= levels.highest * (1 - 1e-4):
        begin, end = levels.highest, levels.lowest
    return -math.log(begin), -math.log(end if end < begin else min(begin, levels.lowest))


def lowered(here: float, following: float, stop: float, eta: float, *, flow: bool) -> tuple[float, float, float]:
    """(l to step to, scale, up): an ancestral step, and how x is `lifted` from there to `following`.

    It never goes beyond `stop`.
    """
    if eta == 0:
        return following, 1.0, 0.0
    sigma = math.exp(-following)
    down, _, _ = ancestral(math.exp(-here), sigma, eta, flow=flow)
    place = min(stop, -math.log(down)) if down > 0 else stop
    return place, *lifted(math.exp(-place), sigma, flow=flow)
