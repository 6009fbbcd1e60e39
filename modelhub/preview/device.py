"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from modelhub.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the best one there is. Raises UsageError for one that is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if there[device]))
    if name not in there:
        raise UsageError(f"There is no device '{name}'.", f"Choose one of: {', '.join(DEVICES)}.")
    if not there[name]:
        raise UsageError(f"This machine has no '{name}' that torch can use.", "Use --device cpu, or auto.")
    return torch.device(name)


def denoiser_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA; float32 elsewhere: CPUs convolve half precision 40 times slower, and mps is not proven in it."""
    return torch.float16 if device.type == "cuda" else torch.float32
