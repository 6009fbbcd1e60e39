"""Schedules: at which noise levels a sampler looks at the picture, by names, steps and what there is to start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelhub.errors import IncompatibleError, UsageError
from modelhub.preview.sampling.curves import SCHEDULES, Frame, Schedule
from modelhub.preview.sampling.levels import Levels, NoiseLevels, thinned
from modelhub.preview.sampling.names import AUTOMATIC
from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.tuning import Tuning

__all__ = [
    "AUTOMATIC",
    "Way",
    "img2img_sigmas",
    "plan_sigmas",
    "resolve",
]

#: The most steps of a schedule of which only the end is used.
_MOST_STEPS = 10_000
#: As much of a picture as can be made anew: A1111 never begins at the very first sigma.
_MOST_DENOISE = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """The sigmas from a picture on.

    `start` is the level of the noise that is added to the picture first. `lowest` and `highest` are those of the whole
    schedule, between which the Brownian motion of SDE samplers runs.
    """

    sigmas: Tensor
    start: float
    lowest: float
    highest: float


def resolve(name: str, sampler: Sampler) -> str:
    """The display name of the schedule `name`, with the sampler's own in place of "Automatic". Raises NotFoundError."""
    found, _ = SCHEDULES.find(name)
    return sampler.schedule if found == AUTOMATIC else found


def plan_sigmas(
    name: str, sampler: Sampler, steps: int, levels: Levels, tuning: Tuning | None = None, family: str = "sd1"
) -> Tensor:
    """The sigmas of a schedule for a sampler: 1-D, float32, on the CPU, falling.

    There are `steps` + 1 and the last is 0, except that DDIM may have more, KL Optimal ends above 0, and a sampler that
    walks timesteps is given the sigmas of these, `steps` or more of them, without a 0. `family` is the architecture,
    for schedules that are tables. Raises NotFoundError for an unknown schedule, UsageError for settings that lead
    nowhere, IncompatibleError for a sampler that does not work with flow models.
    """
    tuning = tuning or Tuning()
    _check_flow(sampler, levels)
    if steps < 1:
        raise UsageError(f"{steps} steps are not possible.", "Choose 1 or more.")
    discard = sampler.discard if tuning.discard is None else tuning.discard
    count = steps + 1 if discard else steps
    if sampler.timesteps:
        grid = _grid(sampler, count, levels)
        if sampler.reported(len(grid)) == 0:
            raise UsageError(f"{sampler.name} has nothing to do in {steps} step.", "Choose 2 or more.")
        return grid
    frame = Frame(_known(sampler, levels), tuning, family)
    _check_range(frame)
    found = _falling(resolve(name, sampler), _schedule(name, sampler)(count, frame), steps)
    return torch.cat((found[:-2], found[-1:])) if discard else found


def img2img_sigmas(
    name: str,
    sampler: Sampler,
    steps: int,
    levels: Levels,
    denoise: float,
    tuning: Tuning | None = None,
    family: str = "sd1",
    *,
    exact: bool = False,
) -> Way:
    """The end of a schedule, for a picture of which the part `denoise` (0..1) is made anew.

    Of `steps` steps it takes int(denoise * steps) + 1; with `exact`, as hires fix wants it, the schedule is as much
    longer as it takes for `steps` to remain. Raises what `plan_sigmas` raises, and UsageError where nothing remains.
    """
    part = min(denoise, _MOST_DENOISE)
    if not (part >= 0 and (not exact or steps <= part * _MOST_STEPS)):
        raise UsageError(
            f"A denoising strength of {denoise:g} is not possible with {steps} steps.", "Choose a larger one, up to 1."
        )
    total, ahead = (int(steps / part), steps - 1) if exact else (steps, int(part * steps))
    whole = plan_sigmas(name, sampler, total, levels, tuning, family)
    lowest, highest = float(whole[whole > 0].min()), float(whole.max())
    if not sampler.timesteps:
        rest = whole[total - ahead - 1 :]
        return Way(rest, float(rest[0]), lowest, highest)
    rest = whole[len(whole) - ahead :]
    if len(rest) < 2:
        raise UsageError(
            f"With a denoising strength of {denoise:g} and {steps} steps {sampler.name} has nothing to do.",
            "Choose more of either, or another sampler.",
        )
    return Way(rest, float(whole[len(whole) - ahead - 1]), lowest, highest)


def _known(sampler: Sampler, levels: Levels) -> Levels:
    """The levels of a model that a sampler knows: all, or every so manyth."""
    if sampler.stride > 1 and isinstance(levels, NoiseLevels):
        return thinned(levels, sampler.stride)
    return levels


def _schedule(name: str, sampler: Sampler) -> Schedule:
    _, function = SCHEDULES.find(resolve(name, sampler))
    assert function is not None, f"{sampler.name} names no real schedule"
    return function


def _grid(sampler: Sampler, steps: int, levels: Levels) -> Tensor:
    """Sigmas of the timesteps 1, 1 + k, 1 + 2k, ..., 999 at most, with k = 1000 // steps; the highest first."""
    count = len(levels)
    if steps > count:
        raise UsageError(f"{sampler.name} cannot take {steps} steps.", f"There are {count} timesteps: choose fewer.")
    timesteps = [min(1 + start, count - 1) for start in range(0, count, count // steps)]
    return torch.from_numpy(levels.sigmas[timesteps[::-1]]).float()


def _check_flow(sampler: Sampler, levels: Levels) -> None:
    if levels.flow and not sampler.flow:
        raise IncompatibleError(
            f"The sampler {sampler.name} does not work with flow models.", "Choose another, such as Euler or DPM++ 2M."
        )


def _check_range(frame: Frame) -> None:
    if not frame.lowest < frame.highest:
        raise UsageError(
            f"Sigmas from {frame.highest:g} down to {frame.lowest:g} are no range.",
            f"The model knows {frame.levels.lowest:.4g} to {frame.levels.highest:.4g}: choose a lower minimum.",
        )
    if frame.levels.flow and frame.highest > 1:
        raise UsageError(f"A flow model has no sigma of {frame.highest:g}.", "Choose a maximum of 1 or less.")


def _falling(name: str, sigmas: Tensor, steps: int) -> Tensor:
    """`sigmas` as they are. Raises UsageError if they do not fall with every step."""
    if len(sigmas) <= steps or not bool(sigmas.isfinite().all() and (sigmas.diff() < 0).all()):
        raise UsageError(
            f"The schedule {name} with these settings has no {steps} different noise levels.",
            "Choose fewer steps, a larger denoising strength or a smaller rho.",
        )
    return sigmas
