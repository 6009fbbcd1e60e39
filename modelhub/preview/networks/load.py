"""Loading: tensors of a source, one at a time, straight into a network built from their shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES, TensorInfo
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview.networks.tree import Shape

Network = TypeVar("Network", bound=nn.Module)


def load(
    build: Callable[[Mapping[str, Shape]], Network],
    source: TensorSource,
    prefix: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    job: Job = QUIET,
) -> Network:
    """`build` a network from the shapes below `prefix` and fill it from `source`, cast to `dtype`, on `device`.

    Memory grows to the network and one tensor more; tensors that the network does not know are not read. The network is
    in eval mode and wants no gradients. Raises IncompatibleError when tensors are missing, misshapen or no weights.
    """
    header = source.header.tensors
    below = {name.removeprefix(prefix): info for name, info in header.items() if name.startswith(prefix)}
    network = build({name: info.shape for name, info in below.items()}).eval()
    wanted = dict(network.named_parameters())
    entries = {name: info for name, info in below.items() if name in wanted}
    _check_weights(entries)
    with job.phase("loading", sum(info.nbytes for info in entries.values()), "bytes") as advance:
        for name, info in entries.items():
            _assign(network, name, source.tensor(prefix + name).to(device=device, dtype=dtype))
            advance(info.nbytes, item=name)
    return network


def _check_weights(entries: Mapping[str, TensorInfo]) -> None:
    for name, info in entries.items():
        if info.dtype not in FLOAT_DTYPES:
            raise IncompatibleError(
                f"Tensor {name[:200]!r} is stored as {info.dtype}, which are no plain weights.",
                "The file is quantised; use one in F16, BF16, F32 or F8.",
            )


def _assign(network: nn.Module, name: str, tensor: torch.Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    network.get_submodule(path).register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
