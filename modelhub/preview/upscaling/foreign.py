"""Upscalers of other architectures, by spandrel where it is installed: it builds them, we read the file."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from modelhub.catalog.architectures import Architecture
from modelhub.errors import IncompatibleError
from modelhub.jobs import QUIET, Job
from modelhub.preview.upscaling.tiling import Tiling
from modelhub.preview.upscaling.upscaler import Upscaler, check_channels
from modelhub.text import brief, brief_value

EXTRA = "pip install modelhub[upscalers]"
#: What code that expects other sizes than a file has ends in.
_MISFITS = (RuntimeError, KeyError, ValueError, AssertionError, TypeError, IndexError, AttributeError, ArithmeticError)


def build_foreign(
    tensors: Callable[[Job], dict[str, Tensor]],
    facts: Architecture,
    device: torch.device,
    dtype: torch.dtype,
    *,
    name: str,
    order: str,
    tiling: Tiling,
    job: Job = QUIET,
) -> Upscaler:
    """The upscaler of the architecture `facts`, built by spandrel from `tensors`, which are read when it is there.

    It computes in float32 where its architecture knows no half precision. Raises IncompatibleError when spandrel is not
    installed, cannot be imported, does not know these tensors, or makes of them what enlarges no pictures.
    """
    spandrel = import_spandrel(facts.title)
    state = tensors(job)
    try:
        found = spandrel.ModelLoader(device=torch.device("cpu")).load_from_state_dict(state)
        dtype = dtype if dtype != torch.float16 or found.supports_half else torch.float32
        found = found.to(device=device, dtype=dtype).eval()
    except (spandrel.UnsupportedModelError, *_MISFITS) as error:
        raise IncompatibleError(
            f"{brief(name)} is of the architecture {facts.title}, and spandrel cannot build it: {brief_value(error)}.",
            "Another version of spandrel may know it; or choose an upscaler of the ESRGAN family.",
        ) from error
    if found.purpose not in ("SR", "Restoration") or not isinstance(found, spandrel.ImageModelDescriptor):
        raise IncompatibleError(
            f"{brief(name)} is of the architecture {facts.title}, which does not enlarge whole pictures.",
            "Choose another; `modelhub ls kind:upscaler` lists those that you have.",
        )
    check_channels(found.input_channels, name, found.output_channels)
    return Upscaler(
        name=name,
        architecture=facts.id,
        scale=found.scale,
        channels=found.input_channels,
        network=found.model,
        enlarge=_caller(found),
        device=device,
        dtype=dtype,
        multiple=found.size_requirements.multiple_of,
        order=order,
        tiling=Tiling(0) if found.tiling is spandrel.ModelTiling.INTERNAL else tiling,
    )


def _caller(found: Any) -> Callable[[Tensor], Tensor]:
    """spandrel's call, which pads and cuts; pictures one by one, for it takes no more at a time."""

    def enlarge(x: Tensor) -> Tensor:
        return torch.cat([found(one[None]) for one in x])

    return enlarge


def import_spandrel(title: str) -> Any:
    """The module spandrel; `title` is the architecture that it is needed for. Raises IncompatibleError."""
    try:
        return import_module("spandrel")
    except ModuleNotFoundError as error:
        if error.name == "spandrel":
            raise IncompatibleError(
                f"Upscalers of the architecture {title} need a package that is not installed: spandrel.",
                f"Install it: {EXTRA}",
            ) from error
        raise _broken(title, error) from error
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise _broken(title, error) from error


def _broken(title: str, error: Exception) -> IncompatibleError:
    """spandrel is there and cannot be imported: nearly always a torchvision that was made for another torch."""
    return IncompatibleError(
        f"Upscalers of the architecture {title} need spandrel, which cannot be imported: {brief_value(error)}.",
        f"Install the torchvision that was made for torch {torch.__version__}, from where torch came from: "
        "pip install --force-reinstall torchvision",
    )
