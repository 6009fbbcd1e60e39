"""DPM fast: as many model calls as there are steps, in steps of order 3 even in log sigma, lower ones at the end."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from modelhub.preview.sampling.dpm_solver import Step, lowered, span
from modelhub.preview.sampling.sampler import Denoise, Run, sampler


def orders_of(calls: int) -> list[int]:
    """The orders of the steps, which add up to `calls`."""
    if calls % 3 == 0:
        return [3] * (calls // 3 - 1) + [2, 1]
    return [3] * (calls // 3) + [calls % 3]


@sampler("DPM fast", ensd=True, eta=1.0, noise=True, reported=lambda sigmas: len(orders_of(sigmas - 1)))
def dpm_fast(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Lu et al. 2022, "DPM-Solver", section 3.3 (DPM-Solver-fast), with the ancestral noise of k-diffusion."""
    eta, (start, stop) = run.eta(), span(sigmas, run)
    orders = orders_of(len(sigmas) - 1)
    places = [start + (stop - start) * index / len(orders) for index in range(len(orders) + 1)]
    for index, (order, (here, following)) in enumerate(zip(orders, pairwise(places), strict=True)):
        down, scale, up = lowered(here, following, stop, eta, flow=run.levels.flow)
        step = Step(denoise, x, here)
        x = (step.first, step.second, step.third)[order - 1](down)
        if eta > 0:
            x = x * scale + (run.tuning.noise * up) * run.noise()
        run.step(index, step.clean)
    return x
