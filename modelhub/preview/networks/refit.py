"""Refitting: networks that stay from one model to the next, and of these only what is made of something else is read.

Every tensor of a source says what it is made of (`TensorSource.origin`), a merge that was never written included: so
another alpha for a few blocks is a few blocks merged again, and text encoders that a grid does not touch stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.load import below, fill, load
from modelhub.preview.networks.tree import Shape

Network = TypeVar("Network", bound=Layer)


class Mark(NamedTuple):
    """What a tensor is made of, and its form: where two marks are equal, so are the tensors."""

    origin: Hashable
    dtype: str
    shape: Shape
    size: int


def marks(source: TensorSource, prefix: str) -> dict[str, Mark]:
    """The mark of every tensor below `prefix`."""
    return {
        name: Mark(source.origin(prefix + name), info.dtype, info.shape, info.nbytes)
        for name, info in below(source, prefix).items()
    }


def differing(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> dict[str, Mark]:
    """What of `after` has to be read by whoever has `before`: all of it, if the shapes are those of another network."""
    if not same_shapes(before, after):
        return dict(after)
    return {name: mark for name, mark in after.items() if before[name] != mark}


def same_shapes(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> bool:
    """Whether the tensors make the same network."""
    return {name: mark.shape for name, mark in before.items()} == {name: mark.shape for name, mark in after.items()}


@dataclass
class _Fitted:
    """A network, and what its tensors are made of; how it was loaded."""

    network: Layer
    marks: dict[str, Mark]
    how: tuple[torch.dtype, bool]


class Refitter:
    """Networks by the name of their part, each loaded whole the first time and refitted from then on.

    After each `load`, `read` has the bytes that were read for a part; parts whose weights stayed have none.
    """

    def __init__(self) -> None:
        self._fitted: dict[str, _Fitted] = {}
        self.read: dict[str, int] = {}

    def keep(self, parts: Collection[str]) -> Iterator[Layer]:
        """Forget the networks of all other parts; these are what is yielded."""
        self.read = {}
        for part in [part for part in self._fitted if part not in parts]:
            yield self._fitted.pop(part).network

    def load(
        self,
        part: str,
        build: Callable[[Mapping[str, Shape]], Network],
        source: TensorSource,
        prefix: str,
        *,
        dtype: torch.dtype,
        keep: bool,
        begin: Callable[[Layer], None] = lambda network: None,
        job: Job = QUIET,
    ) -> Network:
        """The network of a part, as `networks.load.load` makes it on the host; that of before, wherever it can be.

        `begin` is called with the network of before if any of its weights will change, or it is not needed any more.
        When this raises, weights are not whole, but a later `load` mends that.
        """
        found, now = self._fitted.get(part), marks(source, prefix)
        wanted = now if found is None or found.how != (dtype, keep) else differing(found.marks, now)
        if found is not None and wanted:
            begin(found.network)
        if found is not None and same_shapes(found.marks, now):
            if wanted:
                found.marks = {}  # until all of them are there
                fill(found.network, source, prefix, wanted, dtype=dtype, keep=keep, job=job)
                found.network.computes = dtype
            network = found.network
        else:
            del found
            self._fitted.pop(part, None)  # before another one takes as much memory
            network = load(build, source, prefix, dtype=dtype, keep=keep, job=job)
        self._fitted[part] = _Fitted(network, now, (dtype, keep))
        held = {name for name, _ in network.named_parameters()}
        self.read[part] = sum(mark.size for name, mark in wanted.items() if name in held)
        return network  # type: ignore[return-value]
