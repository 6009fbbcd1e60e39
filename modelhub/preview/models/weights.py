"""The weights of a network as things to move: which there are, their size on a device, and where they go back to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: The dtype that stands on a device for one of a file; see `Memory.kept`.
Kept = Callable[[torch.dtype], torch.dtype]
#: What a tensor in a buffer begins at a multiple of, in bytes: what CUDA's kernels like best.
_ALIGNED = 256
#: Blocks below this are never streamed: to fetch them costs more than they take.
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """One parameter: the module that holds it, its name there, its tensor on the host, and its dtype on a device."""

    module: nn.Module
    name: str
    host: nn.Parameter
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return self.host.numel() * self.dtype.itemsize

    @property
    def room(self) -> int:
        """Bytes in a buffer, up to where the next one begins."""
        return -(-self.size // _ALIGNED) * _ALIGNED

    def put(self, tensor: Tensor) -> None:
        """Have the network compute with `tensor` in its place."""
        self.module.register_parameter(self.name, nn.Parameter(tensor, requires_grad=False))

    def back(self) -> None:
        """Have the network hold the tensor of the host again; nothing is copied, for weights never change."""
        self.module.register_parameter(self.name, self.host)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of a network that is called as a whole, and its weights; `module` is None for all that is in no part."""

    module: nn.Module | None
    weights: tuple[Weight, ...]

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return sum(weight.size for weight in self.weights)

    @property
    def room(self) -> int:
        """Bytes in a buffer."""
        return sum(weight.room for weight in self.weights)


def as_stored(dtype: torch.dtype) -> torch.dtype:
    """What stands for a dtype on a device that knows them all: itself."""
    return dtype


def on_device(stored: torch.dtype, computes: torch.dtype, kept: Kept = as_stored) -> torch.dtype:
    """The dtype that weights have on a device: the smaller one. Layers cast what is not what they compute in."""
    small = kept(stored)
    return computes if small.itemsize >= computes.itemsize else small


def weights_of(module: nn.Module, computes: torch.dtype, kept: Kept = as_stored) -> Iterator[Weight]:
    """Every parameter below `module`, in order."""
    for part in module.modules():
        for name, host in part.named_parameters(recurse=False):
            yield Weight(part, name, host, on_device(host.dtype, computes, kept))


def blocks_of(network: nn.Module, computes: torch.dtype, kept: Kept = as_stored) -> tuple[Block, list[Block]]:
    """What has to stay while a network computes, and the blocks that can come and go, in the order of the network.

    The blocks are the numbered children of its containers: those of a U-Net, the layers of a text encoder.
    """
    blocks = [Block(module, tuple(weights_of(module, computes, kept))) for module in _series(network)]
    blocks = [block for block in blocks if block.size >= _SMALL]
    taken = {id(weight.module) for block in blocks for weight in block.weights}
    rest = tuple(weight for weight in weights_of(network, computes, kept) if id(weight.module) not in taken)
    return Block(None, rest), blocks


def _series(module: nn.Module) -> Iterator[nn.Module]:
    """The nearest modules below whose names are numbers."""
    for name, child in module.named_children():
        if name.isdecimal():
            yield child
        else:
            yield from _series(child)
