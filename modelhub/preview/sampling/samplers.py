"""The samplers there are, in the order of A1111, and finding them by name."""

from __future__ import annotations

from modelhub.preview.sampling import (  # noqa: F401 - each registers its samplers
    ddim,
    dpm2,
    dpm_adaptive,
    dpm_fast,
    dpmpp,
    euler,
    heun,
    lcm,
    lms,
    plms,
    restart,
    sde,
    unipc,
)
from modelhub.preview.sampling.sampler import SAMPLERS, Sampler

__all__ = ["Sampler", "find_sampler", "sampler_names"]

_NAMES = (
    *("DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE"),
    *("Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart"),
    *("DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM"),
)


def find_sampler(name: str) -> Sampler:
    """The sampler of a display name, whatever its case and spaces. Raises NotFoundError that lists all names."""
    return SAMPLERS.find(name)


def sampler_names() -> list[str]:
    """Display names of all samplers, in the order of A1111."""
    return list(_NAMES)
