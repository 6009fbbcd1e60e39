"""UniPC: a multistep predictor, and a corrector that makes use of the same model call."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from torch import Tensor

from modelhub.errors import UsageError
from modelhub.preview.sampling.dpmpp import exponential_step
from modelhub.preview.sampling.levels import Floats, Levels
from modelhub.preview.sampling.sampler import Denoise, OnStep, Run, sampler
from modelhub.preview.sampling.unipc_weights import weights
from modelhub.preview.sampling.variance import shown, signal

#: Clean latents in x = clean + sigma * noise at the place of that index.
Look = Callable[[Tensor, int], Tensor]


@sampler("UniPC", timesteps=True, flow=False, reported=lambda sigmas: sigmas)
def unipc(denoise: Denoise, x: Tensor, sigmas: Tensor, run: Run) -> Tensor:
    """Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework", algorithms 5 to 8, data prediction.

    Of `sigmas` the first and their number count: from it, or from the top of the model, UniPC takes as many steps to
    the lowest level, over timesteps of its own. Raises UsageError for an unknown variant or skip type.
    """
    tuning = run.tuning
    timesteps = places(_begin(sigmas, run.levels), len(sigmas), run.levels, tuning.skip)
    levels, told = between(timesteps, run.levels), run.levels.at(timesteps)

    def look(noisy: Tensor, index: int) -> Tensor:
        return shown(denoise, noisy, float(levels[index]), float(told[index]))

    way: list[float] = levels.tolist()
    steps = orders(tuning.order, len(sigmas), tuning.lower_order_final)
    return solve(look, x / signal(way[0]), way, steps, tuning.variant, run.step) * signal(way[-1])


def _begin(sigmas: Tensor, levels: Levels) -> float:
    """The first timestep: that of the first sigma, or the last one of the model where it is the next on the grid."""
    first = round(levels.timestep(float(sigmas[0])))
    spacing = first - round(levels.timestep(float(sigmas[1]))) if len(sigmas) > 1 else len(levels)
    return len(levels) - 1 if first + spacing >= len(levels) else first


def places(begin: float, steps: int, levels: Levels, skip: str) -> Floats:
    """`steps` + 1 timesteps from `begin` to 0, even in timesteps, in their root, or in log sigma.

    Time is (timestep + 1) / 1000 where it is rooted. Raises UsageError.
    """
    count = len(levels)
    if skip == "time_uniform":
        return np.linspace(begin, 0, steps + 1)
    if skip == "time_quadratic":
        root: Floats = np.linspace(math.sqrt((begin + 1) / count), math.sqrt(1 / count), steps + 1)
        return root**2 * count - 1
    if skip == "logSNR":
        high, low = (math.log(level) for level in between(np.array([begin, 0.0]), levels))
        wanted = -0.5 * np.log1p(np.exp(2 * np.linspace(high, low, steps + 1)))
        return np.interp(-wanted, -_log_signal(levels), np.arange(count, dtype=np.float64))
    raise UsageError(f"UniPC knows no skip type '{skip}'.", "Choose time_uniform, time_quadratic or logSNR.")


def between(timesteps: Floats, levels: Levels) -> Floats:
    """Sigmas of fractional timesteps, interpolated as UniPC does it: the log of the signal, not that of sigma."""
    log_signal = np.interp(timesteps, np.arange(len(levels)), _log_signal(levels))
    found: Floats = np.sqrt(np.expm1(-2 * log_signal))
    return found


def _log_signal(levels: Levels) -> Floats:
    found: Floats = -0.5 * np.log1p(levels.sigmas**2)
    return found


def orders(order: int, steps: int, lower_final: bool) -> list[int]:
    """The order of every step: rising in the beginning, and with `lower_final` falling in the end.

    Rising comes first where both meet; no order is above `steps`.
    """
    order = min(order, steps)
    rising = list(range(1, order))
    return rising + [min(order, steps + 1 - step) if lower_final else order for step in range(order, steps + 1)]


def solve(
    look: Look, x: Tensor, sigmas: Sequence[float], orders: Sequence[int], variant: str, report: OnStep
) -> Tensor:
    """Down `sigmas`, one more than `orders`, in the scale where noise is only added; one look a step.

    Raises UsageError for an unknown variant.
    """
    seen: deque[Tensor] = deque(maxlen=max(orders))
    clean = look(x, 0)
    for index, order in enumerate(orders):
        seen.appendleft(clean)
        known = weights(variant, [math.log(sigma) for sigma in sigmas[index + 1 - order : index + 2]])
        base = exponential_step(x, clean, *sigmas[index : index + 2])
        changes = [(before - clean) / part for before, part in zip(islice(seen, 1, None), known.parts, strict=False)]
        x = _less(base, known.predictor, changes)
        if index + 1 < len(orders):
            clean = look(x, index + 1)
            x = _less(base, known.corrector, [*changes, clean - seen[0]])
        report(index, seen[0])
    return x


def _less(base: Tensor, factors: Sequence[float], changes: Sequence[Tensor]) -> Tensor:
    for factor, change in zip(factors, changes, strict=True):
        base = base - factor * change
    return base
