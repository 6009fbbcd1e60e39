"""Loading an upscaler from any source: what it is by identification, its network our own or spandrel's."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from modelhub.catalog.architectures import architecture
from modelhub.catalog.components import find_whole
from modelhub.catalog.identify import identify
from modelhub.catalog.match import Names
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview.models.device import pick_device
from modelhub.preview.networks.load import load
from modelhub.preview.upscaling.compact import Compact
from modelhub.preview.upscaling.foreign import build_foreign
from modelhub.preview.upscaling.network import Network
from modelhub.preview.upscaling.rrdb import RRDBNet
from modelhub.preview.upscaling.tiling import Tiling
from modelhub.preview.upscaling.upscaler import Upscaler, check_channels
from modelhub.text import brief

_OURS: dict[str, type[Network]] = {
    "esrgan-old": RRDBNet, "esrgan-new": RRDBNet, "esrgan-bsrgan": RRDBNet, "realesrgan-compact": Compact,
}  # fmt: skip


def load_upscaler(
    source: TensorSource,
    device: str = "auto",
    job: Job = QUIET,
    *,
    name: str = "This file",
    order: str = "bgr",
    tiling: Tiling | None = None,
    dtype: torch.dtype = torch.float32,
) -> Upscaler:
    """The upscaler that `source` is, on `device`, computing in `dtype`.

    ESRGAN's family is built here; others by spandrel, where it is installed. Raises IncompatibleError for what is no
    upscaler, enlarges no pictures of 1 or 3 colours, or cannot be built, UsageError for a missing device.
    """
    where = pick_device(device)
    known = check_upscaler(source, name)
    tiling = tiling or Tiling()
    kind = _OURS.get(known)
    if kind is None:
        facts = architecture(known)
        read = partial(_tensors, source)
        return build_foreign(read, facts, where, dtype, name=name, order=order, tiling=tiling, job=job)
    network = load(kind, source, _prefix(source), device=where, dtype=dtype, job=job)
    check_channels(network.channels, name)
    return Upscaler(
        name=name,
        architecture=known,
        scale=network.scale,
        channels=network.channels,
        network=network,
        enlarge=network,
        device=where,
        dtype=dtype,
        fold=network.fold,
        order=order,
        tiling=tiling,
    )


def check_upscaler(source: TensorSource, name: str = "This file") -> str:
    """The architecture of an upscaler, from its header. Raises IncompatibleError for what is none."""
    identity = identify(source.header)
    if identity.kind != "upscaler" or identity.architecture is None:
        raise IncompatibleError(
            f"{brief(name)} is {_named(identity.kind)}, not an upscaler.",
            "`modelhub ls kind:upscaler` lists those that you have; Lanczos needs no file.",
        )
    return identity.architecture


def _named(kind: str) -> str:
    if kind == "unknown":
        return "of no kind that modelhub knows"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _prefix(source: TensorSource) -> str:
    """What training code left in front of every name, such as `params_ema.`."""
    found = find_whole(Names(source.header.shapes), "whole")
    return found.view.prefix if found else ""


def _tensors(source: TensorSource, job: Job) -> dict[str, Tensor]:
    """Every tensor, without what stands in front of all names."""
    prefix = _prefix(source)
    entries = {name: info for name, info in source.header.tensors.items() if name.startswith(prefix)}
    found = {}
    with job.phase("loading", sum(info.nbytes for info in entries.values()), "bytes") as advance:
        for name, info in entries.items():
            found[name.removeprefix(prefix)] = source.tensor(name)
            advance(info.nbytes, item=name)
    return found
