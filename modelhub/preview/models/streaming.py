"""Streaming: blocks of a network come to the device just before they compute, the next while one computes, and go."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modelhub.preview.models.memory import Mark, Memory
from modelhub.preview.models.weights import Block, Weight


class _Slot(NamedTuple):
    """Room for one block, and the mark after which the computation needs it no more."""

    buffer: Tensor
    free: Mark


class Stream:
    """Streams `blocks` through buffers of `size` bytes each, which the largest one needs, until it is closed.

    The blocks are expected in their order, over and over; one that comes out of turn is fetched when it is called.
    """

    def __init__(self, blocks: Sequence[Block], memory: Memory, slots: int, size: int) -> None:
        self._memory, self._blocks = memory, blocks
        origins = iter(memory.origins((weight.host, weight.dtype) for one in blocks for weight in one.weights))
        self._origins = [list(islice(origins, len(one.weights))) for one in blocks]
        self._slots = [_Slot(memory.buffer(size), memory.mark()) for _ in range(slots)]
        self._coming: dict[int, tuple[_Slot, Mark]] = {}
        self._running: dict[int, _Slot] = {}
        self._hooks = [hook for number in range(len(blocks)) for hook in self._hooked(number)]

    def _hooked(self, number: int) -> tuple[RemovableHandle, RemovableHandle]:
        def before(module: nn.Module, given: tuple[Any, ...]) -> None:
            self._before(number)

        def after(module: nn.Module, given: tuple[Any, ...], found: Any) -> None:
            self._after(number)

        module = self._blocks[number].module
        assert module is not None
        return module.register_forward_pre_hook(before), module.register_forward_hook(after)

    def _before(self, number: int) -> None:
        """Have block `number` on the device when the computation comes to it, and the next one on its way."""
        if number not in self._coming:
            self._fetch(number)
        self._running[number], arrived = self._coming.pop(number)
        self._memory.wait(arrived)
        following = (number + 1) % len(self._blocks)
        if self._slots and following not in self._coming and following not in self._running:
            self._fetch(following)

    def _after(self, number: int) -> None:
        """Block `number` has computed, or will have when the device comes to this mark."""
        for weight in self._blocks[number].weights:
            weight.back()
        self._slots.append(_Slot(self._running.pop(number).buffer, self._memory.mark()))

    def _fetch(self, number: int) -> None:
        slot = self._slots.pop(0) if self._slots else self._recalled()
        weights = self._blocks[number].weights
        goals = views(slot.buffer, weights)
        arrived = self._memory.copy(zip(goals, self._origins[number], strict=True), slot.free)
        for weight, goal in zip(weights, goals, strict=True):
            weight.put(goal)
        self._coming[number] = (slot, arrived)

    def _recalled(self) -> _Slot:
        """The room of a block that was fetched, and is not the one that is needed now."""
        number = next(iter(self._coming))
        slot, arrived = self._coming.pop(number)
        self._memory.wait(arrived)
        for weight in self._blocks[number].weights:
            weight.back()
        return _Slot(slot.buffer, self._memory.mark())

    def close(self) -> None:
        """Leave the network as it was, whatever it was doing."""
        for hook in self._hooks:
            hook.remove()
        self._memory.settle()
        for block in self._blocks:
            for weight in block.weights:
                weight.back()
        for held in (self._origins, self._slots, self._coming, self._running):
            held.clear()


def views(buffer: Tensor, weights: Sequence[Weight]) -> list[Tensor]:
    """A tensor for each weight in a buffer of bytes, one after the other."""
    found, begin = [], 0
    for weight in weights:
        found.append(buffer[begin : begin + weight.size].view(weight.dtype).view(weight.host.shape))
        begin += weight.room
    return found
