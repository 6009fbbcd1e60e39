"""DPM adaptive: as many steps as it takes to keep solutions of order 2 and 3 near to each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modelhub.preview.sampling.dpm_solver import Step, lowered, span
from modelhub.preview.sampling.sampler import Denoise, Run, sampler

#: How near they must be: relative to the values, and at least.
_RELATIVE, _ABSOLUTE = 0.05, 0.0078
_FIRST, _SAFETY = 0.05, 0.81
#: Steps this small in log sigma are taken whatever their error: a model that is broken must come to an end, too.
_SMALLEST = 1e-3


@sampler("DPM adaptive", ensd=True, eta=1.0, alone=True)
def dpm_adaptive(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """The number of sigmas does not matter. Steps that were too long are tried again and not reported.

    Lu et al. 2022, "DPM-Solver", appendix C (DPM-Solver-23), with the control of steps and the noise of k-diffusion.
    """
    eta, (here, stop) = run.eta(), span(sigmas, run)
    size = _StepSize(1.5 if eta > 0 else 3.0)
    before, index = x, 0
    while here < stop - 1e-5:
        following = min(stop, here + size.h)
        down, scale, up = lowered(here, following, stop, eta, flow=run.levels.flow)
        step = Step(denoise, x, here)
        low, high = step.second(down, 1 / 3), step.third(down)
        if not size.accepts(_error(low, high, before)):
            continue
        before, x, here = low, high, following
        if eta > 0:
            x = x * scale + up * run.noise()
        run.step(index, step.clean)
        index += 1
    return x


class _StepSize:
    """The step `h` to try next, from the error of the last: an integral controller for a method of that `order`."""

    def __init__(self, order: float) -> None:
        self.h = _FIRST
        self._order = order

    def accepts(self, error: float) -> bool:
        """Whether a step of that error is good enough; sets the size of the next one, or of the next try.

        NaN always is: nothing can be saved, and the rest is one step.
        """
        if math.isnan(error):
            self.h = math.inf
            return True
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / self._order) - 1)
        accepted = factor >= _SAFETY or self.h <= _SMALLEST
        self.h = max(self.h * factor, _SMALLEST)
        return accepted


def _error(low: Tensor, high: Tensor, before: Tensor) -> float:
    """The mean square of the difference in units of what is allowed, its root; 1 is as much as allowed."""
    allowed = torch.maximum(low.abs(), before.abs()).mul(_RELATIVE).clamp(min=_ABSOLUTE)
    return float(((low - high) / allowed).square().mean().sqrt())
