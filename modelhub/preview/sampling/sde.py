"""DPM-Solver++ for the stochastic equation: `eta` 1 solves the reverse SDE, 0 the flow without noise.

The noise is that of one path of a Brownian motion over the sigmas, so that a picture hardly depends on how many steps
it takes. Multistep solvers of k-diffusion after Lu et al. 2022, "DPM-Solver++", section 5 and appendix B. They go by
l = log(signal / noise): -log(sigma), in a flow log((1 - sigma) / sigma).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modelhub.preview.sampling.dpmpp import exponential_step
from modelhub.preview.sampling.leap import Leap, leap_of
from modelhub.preview.sampling.sampler import Denoise, Path, Run, sampler
from modelhub.preview.sampling.steps import ancestral, toward, walk


@sampler("DPM++ SDE", schedule="Karras", calls=2, eta=1.0, noise=True)
def dpmpp_sde(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, two model calls a step: DPM++ 2S with noise at the midpoint and at the end."""
    eta, path = run.eta(), brownian_path(sigmas, run)
    for index in range(len(sigmas) - 1):
        clean = denoise(x, float(sigmas[index]))
        if sigmas[index + 1] == 0:
            x = toward(x, clean, float(sigmas[index]), 0.0)
        else:
            here, middle, end = _stages(sigmas[index], sigmas[index + 1])
            halfway = _noisy_step(x, clean, (here, middle), eta, path, run)
            x = _noisy_step(x, denoise(halfway, middle), (here, end), eta, path, run)
        run.step(index, clean)
    return x


def _stages(sigma: Tensor, following: Tensor) -> tuple[float, float, float]:
    """Sigma, the middle of the step in log sigma, and its end.

    In the precision of the sigmas and by the same steps as in k-diffusion: the Brownian tree looks its times up to the
    last digit.
    """
    start, stop = -sigma.log(), -following.log()
    here, middle, end = (float(torch.exp(-place)) for place in (start, start + (stop - start) * 0.5, stop))
    return here, middle, end


def _noisy_step(x: Tensor, seen: Tensor, levels: tuple[float, float], eta: float, path: Path, run: Run) -> Tensor:
    """From one level down below the other, then noise of the path up to it."""
    down, scale, up = ancestral(*levels, eta, flow=run.levels.flow)
    x = exponential_step(x, seen, levels[0], down)
    return x * scale + path(*levels) * (run.tuning.noise * up) if up > 0 else x


@sampler("DPM++ 2M SDE", schedule="Exponential", eta=1.0, noise=True)
def dpmpp_2m_sde(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, one model call a step; what changed since the last step enters as at a midpoint."""
    return _two_steps(denoise, x, sigmas, run, heun=False)


@sampler("DPM++ 2M SDE Heun", schedule="Exponential", eta=1.0, noise=True)
def dpmpp_2m_sde_heun(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Second order, one model call a step; what changed since the last step enters as a slope."""
    return _two_steps(denoise, x, sigmas, run, heun=True)


def _two_steps(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run, *, heun: bool) -> Tensor:
    """x' = k x + a' ((1 - e^-g) D + w (h / h_before) (D - D_before)) + noise; see `Leap`.

    w is (1 - e^-g) / 2, or with `heun` 1 - (1 - e^-g) / g.
    """
    eta, path = run.eta(), brownian_path(sigmas, run)
    before: Tensor | None = None
    h_before = 0.0
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        run.step(index, clean)
        if following == 0:
            return clean
        leap = leap_of(sigma, following, eta, flow=run.levels.flow)
        gained = -math.expm1(-leap.gap)
        x = leap.kept * x + (leap.signal * gained) * clean
        if before is not None:
            weight = 1 - gained / leap.gap if heun else gained / 2
            x = x + (leap.signal * (weight * leap.h / h_before)) * (clean - before)
        x = _renoised(x, sigma, following, leap, path, run)
        before, h_before = clean, leap.h
    return x


@sampler("DPM++ 3M SDE", schedule="Exponential", discard=True, eta=1.0, noise=True)
def dpmpp_3m_sde(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Third order, one model call a step: first and second differences of what is seen, in l."""
    eta, path = run.eta(), brownian_path(sigmas, run)
    seen: list[Tensor] = []
    gaps: list[float] = []
    for index, sigma, following in walk(sigmas):
        clean = denoise(x, sigma)
        run.step(index, clean)
        if following == 0:
            return clean
        leap = leap_of(sigma, following, eta, flow=run.levels.flow)
        seen, gaps = [clean, *seen[:2]], [leap.h, *gaps[:2]]
        x = _third_order(x, seen, gaps, leap)
        x = _renoised(x, sigma, following, leap, path, run)
    return x


def _third_order(x: Tensor, seen: list[Tensor], gaps: list[float], leap: Leap) -> Tensor:
    """k x + a' ((1 - e^-g) D + phi_2 D' - phi_3 D''), as far as there are steps behind; newest first in both lists.

    phi_2 = (e^-g - 1) / g + 1, phi_3 = phi_2 / g - 1/2.
    """
    gap, signal = leap.gap, leap.signal
    x = leap.kept * x - (signal * math.expm1(-gap)) * seen[0]
    if len(seen) == 1:
        return x
    phi_2 = math.expm1(-gap) / gap + 1
    near = gaps[1] / gaps[0]
    slope = (seen[0] - seen[1]) / near
    if len(seen) == 2:
        return x + (signal * phi_2) * slope
    far = gaps[2] / gaps[0]
    bend = (slope - (seen[1] - seen[2]) / far) / (near + far)
    return x + (signal * phi_2) * (slope + near * bend) - (signal * (phi_2 / gap - 0.5)) * bend


def _renoised(x: Tensor, sigma: float, following: float, leap: Leap, path: Path, run: Run) -> Tensor:
    """x with noise of the path of the standard deviation sigma' sqrt(1 - e^-2 eta h)."""
    if leap.fresh == 0:
        return x
    return x + path(sigma, following) * (run.tuning.noise * (following * leap.fresh))


def brownian_path(sigmas: Tensor, run: Run) -> Path:
    """The path over all sigmas above 0."""
    above = sigmas[sigmas > 0]
    return run.brownian(float(above.min()), float(above.max()))
