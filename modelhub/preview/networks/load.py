"""Loading: tensors of a source straight into a network built from their shapes, in place where the file allows it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn

from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES, TensorInfo
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.packing import pack_when_used
from modelhub.preview.networks.storage import MappedFile, Mapper
from modelhub.preview.networks.tree import Shape

Network = TypeVar("Network", bound=Layer)

#: Tensors that are made at the same time, where they are not in a file as they are; and what else one may wait for.
_WORKERS, _AHEAD = min(4, os.cpu_count() or 1), 2


def load(
    build: Callable[[Mapping[str, Shape]], Network],
    source: TensorSource,
    prefix: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: bool = False,
    job: Job = QUIET,
) -> Network:
    """`build` a network from the shapes below `prefix` and fill it from `source`; it computes in `dtype`, on `device`.

    `keep` leaves weights in the dtype of the file, for less memory; layers cast them when they compute. On the CPU,
    weights that need no cast are mapped, not copied: they cost no memory that the system could not have back. Else
    memory grows to the network and a few tensors more. Tensors that the network does not know are not read. The network
    is in eval mode and wants no gradients. Raises IncompatibleError when tensors are missing, misshapen or no weights.
    """
    network = build({name: info.shape for name, info in below(source, prefix).items()}).eval()
    fill(network, source, prefix, device=device, dtype=dtype, keep=keep, job=job)
    network.computes = dtype
    if torch.device(device).type == "cpu" and not keep:
        pack_when_used(network)
    return network


def below(source: TensorSource, prefix: str) -> dict[str, TensorInfo]:
    """The tensors whose names begin with `prefix`, by the rest of these."""
    tensors = source.header.tensors
    return {name.removeprefix(prefix): info for name, info in tensors.items() if name.startswith(prefix)}


def fill(
    network: Layer,
    source: TensorSource,
    prefix: str,
    names: Collection[str] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: bool = False,
    job: Job = QUIET,
) -> None:
    """Have a network hold the tensors of `source`, all or those called `names`, as `load` does; the others stay."""
    wanted = {name for name, _ in network.named_parameters()}
    wanted = wanted if names is None else wanted.intersection(names)
    entries = {name: info for name, info in below(source, prefix).items() if name in wanted}
    _check_weights(entries)
    read = _Reader(source, Mapper(source), torch.device(device), None if keep else dtype)
    with job.phase("loading", sum(info.nbytes for info in entries.values()), "bytes") as advance:
        for name, tensor in _all(read, prefix, list(entries)):
            _assign(network, name, tensor)
            if new := [file for file in read.files if file not in network.files]:
                network.files = (*network.files, *new)
            advance(entries[name].nbytes, item=name)
    places = sorted(weight.data_ptr() for weight in network.parameters() if not weight.is_mkldnn)
    network.files = tuple(file for file in network.files if file.holds(places))


class _Reader:
    """One tensor of the source, as the network is to have it."""

    def __init__(self, source: TensorSource, mapper: Mapper, device: torch.device, dtype: torch.dtype | None) -> None:
        self._source, self._mapper, self._device, self._dtype = source, mapper, device, dtype
        self.files: tuple[MappedFile, ...] = ()

    def mapped(self, name: str) -> Tensor | None:
        """The tensor made from where it stands in a file, or there still if it needs no cast."""
        view = self._mapper.view(name)
        if view is None:
            return None
        found = view.to(device=self._device, dtype=self._dtype)
        if found is view:
            self.files = self._mapper.files
        return found

    def made(self, name: str) -> Tensor:
        """The tensor that the source reads or computes."""
        return self._source.tensor(name).to(device=self._device, dtype=self._dtype)


def _all(read: _Reader, prefix: str, names: list[str]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, in order; those that have to be made are made by a few threads, a few tensors ahead."""
    coming: deque[tuple[str, Tensor | Future[Tensor]]] = deque()
    pool = ThreadPoolExecutor(_WORKERS, "load")
    try:
        for name in names:
            found = read.mapped(prefix + name)
            coming.append((name, pool.submit(read.made, prefix + name) if found is None else found))
            if len(coming) >= _WORKERS + _AHEAD:
                yield _ready(*coming.popleft())
        while coming:
            yield _ready(*coming.popleft())
    finally:
        pool.shutdown(cancel_futures=True)  # what nobody waits for any more


def _ready(name: str, tensor: Tensor | Future[Tensor]) -> tuple[str, Tensor]:
    return name, tensor.result() if isinstance(tensor, Future) else tensor


def _check_weights(entries: Mapping[str, TensorInfo]) -> None:
    for name, info in entries.items():
        if info.dtype not in FLOAT_DTYPES:
            raise IncompatibleError(
                f"Tensor {name[:200]!r} is stored as {info.dtype}, which are no plain weights.",
                "The file is quantised; use one in F16, BF16, F32 or F8.",
            )


def _assign(network: nn.Module, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    network.get_submodule(path).register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
