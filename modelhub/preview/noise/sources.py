"""Sources of noise: whose random numbers a seed stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from modelhub.preview.noise.philox import PhiloxGenerator
from modelhub.preview.registry import Registry


class Generator(Protocol):
    """The random numbers of one seed, one draw after another."""

    def __call__(self, shape: Sequence[int]) -> Tensor:
        """The next draw: standard normal noise in `shape`, float32, where the source makes it."""
        ...


#: (seed, device that pictures are made on) -> a fresh generator.
Source = Callable[[int, torch.device], Generator]

_SOURCES: Registry[Source] = Registry("source of noise")


def find_source(name: str) -> Source:
    """The source of a display name: NV, CPU or GPU. Raises NotFoundError that lists them."""
    return _SOURCES.find(name)


def _nvidia(seed: int, device: torch.device) -> Generator:
    """What `torch.randn` draws on NVIDIA cards, computed on any machine."""
    del device
    generator = PhiloxGenerator(seed)
    return lambda shape: torch.from_numpy(generator.randn(shape))


def _cpu(seed: int, device: torch.device) -> Generator:
    """What `torch.randn` draws on CPUs, the same on all of them."""
    del device
    return _torch(seed, torch.device("cpu"))


def _own(seed: int, device: torch.device) -> Generator:
    """What `torch.randn` draws on this device; Apple's has no generator of its own that others share, so its CPU."""
    return _torch(seed, torch.device("cpu") if device.type == "mps" else device)


def _torch(seed: int, device: torch.device) -> Generator:
    generator = torch.Generator(device).manual_seed(seed)
    return lambda shape: torch.randn(tuple(shape), generator=generator, device=device)


_SOURCES.add("NV", _nvidia)
_SOURCES.add("CPU", _cpu)
_SOURCES.add("GPU", _own)
