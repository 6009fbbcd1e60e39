"""Telling: what the infotext of a grid says of its axes, in A1111's words."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from types import MappingProxyType

from modelhub.preview.grids.axes import Axis, Value
from modelhub.preview.pictures.infotext import write_infotext

#: A1111's names of the axes that it has.
_TYPES = MappingProxyType({
    "seed": "Seed", "steps": "Steps", "hires-steps": "Hires steps", "cfg": "CFG Scale", "prompt": "Prompt S/R",
    "negative": "Prompt S/R", "sampler": "Sampler", "schedule": "Schedule type", "model": "Checkpoint name",
    "clip-skip": "Clip skip", "denoise": "Denoising", "vae": "VAE", "upscaler": "Hires upscaler", "size": "Size",
    "refiner": "Refiner checkpoint", "switch-at": "Refiner switch at", "rng": "RNG source", "eta": "Eta",
    "variation": "Var. strength", "churn": "Sigma Churn", "churn-min": "Sigma min", "churn-max": "Sigma max",
    "noise": "Sigma noise", "rho": "Schedule rho", "sigma-min": "Schedule min sigma",
    "sigma-max": "Schedule max sigma", "guidance": "Distilled CFG Scale",
})  # fmt: skip
_FILES = ("model", "vae", "refiner", "upscaler")


def grid_infotext(first: str, axes: Sequence[Axis]) -> str:
    """The infotext of a grid: that of its `first` picture, and then the axes."""
    return f"{first}, {write_infotext('', '', dict(_settings(axes)))}"


def _settings(axes: Sequence[Axis]) -> Iterator[tuple[str, str]]:
    yield "Script", "X/Y/Z plot"
    for letter, axis in zip("XYZ", axes, strict=False):
        if axis.values:
            yield f"{letter} Type", _TYPES.get(axis.name, axis.name)
            yield f"{letter} Values", _listed([shown(axis, value) for value in axis.values])


def shown(axis: Axis, value: Value) -> str:
    """A value as it was said; a model by its label, for the paths of a machine are nobody's business."""
    said = value.value
    if isinstance(said, float):
        return f"{said:g}"
    return value.label if axis.name in _FILES or not isinstance(said, int | str) else str(said)


def _listed(words: Sequence[str]) -> str:
    """Words with commas between them, and quotes around those that have some."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()
