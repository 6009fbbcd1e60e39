"""The samplers there are, and finding them by name."""

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

__all__ = ["Sampler", "find_sampler"]


def find_sampler(name: str) -> Sampler:
    """The sampler of a display name, whatever its case and spaces. Raises NotFoundError that lists all names."""
    return SAMPLERS.find(name)
