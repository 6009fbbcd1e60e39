"""A device on the CPU that counts its bytes, and whose copies arrive only when one waits for them; networks for it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from flux_names import SmallFlux
from ldm_names import Shapes, SmallUNet, random_tensors, vae_shapes
from torch import Tensor

from modelhub.preview.models.memory import Memory
from modelhub.preview.networks.flux import Flux
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

CPU = torch.device("cpu")
Network = TypeVar("Network", bound=Layer)


class SmallDevice(Memory):
    """`capacity` bytes; `most` is how many were ever taken, `copies` how many tensors came."""

    def __init__(self, capacity: int) -> None:
        super().__init__(CPU, lambda: capacity - self.taken)
        self.taken = self.most = self.copies = 0
        self.waiting: list[list[tuple[Tensor, Tensor]]] = []

    def _own(self, tensor: Tensor) -> Tensor:
        size = tensor.nbytes
        self.taken += size
        self.most = max(self.most, self.taken)
        weakref.finalize(tensor.untyped_storage(), self._gone, size)
        return tensor

    def _gone(self, size: int) -> None:
        self.taken -= size

    def bring(self, host: Tensor, dtype: torch.dtype) -> Tensor:
        self.copies += 1
        return self._own(host.to(dtype, copy=True))

    def buffer(self, size: int) -> Tensor:
        return self._own(torch.full((size,), 255, dtype=torch.uint8))  # all bits set: NaN in every dtype

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]], after: Any) -> list[tuple[Tensor, Tensor]]:
        pairs = list(pairs)
        for goal, _ in pairs:
            goal.fill_(float("nan"))
        self.waiting.append(pairs)
        return pairs

    def wait(self, mark: list[tuple[Tensor, Tensor]]) -> None:
        for goal, origin in mark:
            self.copies += 1
            goal.copy_(origin)
        self.waiting = [pairs for pairs in self.waiting if pairs is not mark]

    def settle(self) -> None:
        self.waiting.clear()


def filled(build: Callable[[Shapes], Network], shapes: Shapes, dtype: torch.dtype = torch.float32) -> Network:
    """A network with random weights."""
    network = build(shapes).eval()
    network.load_state_dict({name: value.to(dtype) for name, value in random_tensors(shapes).items()}, assign=True)
    return network.requires_grad_(False)


def unet(dtype: torch.dtype = torch.float32, computes: torch.dtype = torch.float32) -> UNet:
    network = filled(UNet, SmallUNet(blocks=1, depths=(1, 1)).shapes(), dtype)
    network.computes = computes
    return network


def vae() -> Vae:
    return filled(Vae, vae_shapes())


def flux() -> Flux:
    return filled(Flux, SmallFlux().shapes())


def call_flux(network: Flux) -> Tensor:
    x, context, pooled = torch.ones(1, 16, 5, 4), torch.ones(1, 7, 24), torch.ones(1, 20)
    return network(x, torch.tensor([0.5]), context, pooled, torch.tensor([3.5]))


def size_of(network: Layer) -> int:
    return sum(weight.nbytes for weight in network.parameters())


def call(network: UNet) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x, context = (torch.randn(shape, generator=generator) for shape in ((2, 4, 9, 6), (2, 5, 24)))
    with torch.inference_mode():
        return network(x, torch.tensor([3.5, 700.0]), context)


def hosts(network: Layer) -> dict[str, int]:
    return {name: weight.data_ptr() for name, weight in network.named_parameters()}


def assert_untouched(network: Layer, before: dict[str, int]) -> None:
    assert hosts(network) == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
