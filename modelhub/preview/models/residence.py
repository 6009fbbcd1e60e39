"""Residence: networks come to the device when they are used, whole or block by block, and make room for one another."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelhub.errors import NoMemoryError
from modelhub.jobs import QUIET, Job
from modelhub.preview.models.fit import Fit, fit, whole
from modelhub.preview.models.memory import Memory, host_memory, memory_of
from modelhub.preview.models.streaming import Stream
from modelhub.preview.models.weights import Weight
from modelhub.preview.networks.layers import Layer

#: Bytes that stay free: workspaces of convolutions, fragments.
HEADROOM = 384 << 20
#: What torch, CUDA's libraries and the host's allocator say when memory runs out; mps has no class of its own for it.
_SAYINGS = (
    "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "Invalid buffer size", "can't allocate memory",
    "not enough memory",
)  # fmt: skip


@dataclass(eq=False)
class _Guest:
    """A network on the device: the bytes it has there, how many uses it is in, and how it leaves."""

    fit: Fit
    leave: ExitStack
    uses: int = 0


class Residence:
    """The networks of a model on one device, within `budget` bytes, or all that is free.

    A network that fits stays after its use, until another one needs the room; one that does not fit is streamed, block
    by block, and what of it does fit stays for the time of the use. On the CPU, where networks stand already, nothing
    of this happens.
    """

    def __init__(self, device: torch.device, budget: int | None = None, *, memory: Memory | None = None) -> None:
        self.device, self.budget = device, budget
        self._memory = memory or memory_of(device)
        self._guests: dict[Layer, _Guest] = {}
        self._job: Job = QUIET

    @property
    def is_apart(self) -> bool:
        """Whether the device has a memory of its own; then networks are loaded on the host and come for their use."""
        return self._memory is not None

    @property
    def job(self) -> Job:
        """The job that is heeded."""
        return self._job

    @contextmanager
    def heeding(self, job: Job) -> Iterator[None]:
        """While this is entered networks on the CPU, where one call may take a minute, stop between layers with `job`.

        `use` raises CancelledError then.
        """
        before, self._job = self._job, job
        try:
            yield
        finally:
            self._job = before

    @contextmanager
    def use(self, network: Layer, activations: int = 0, *, whole: bool = False) -> Iterator[None]:
        """While this is entered the network computes on the device; `activations` are the bytes that takes besides.

        May be nested, and entered again for the same network. `whole` is for callers that take it apart: it is not
        streamed, for blocks come when they are called. Raises NoMemoryError when not even the largest blocks fit, or
        memory runs out inside, that of the host on the CPU; CorruptFileError when a mapped file was changed.
        """
        network.check()
        if self._memory is None:
            with _told(self.device), _stopped_by(self._job, network):
                yield
            return
        guest = self._guests.get(network)
        if guest is not None and not guest.uses and self._room(self._memory) < activations:
            self.release(network)  # this needs more than the last time did: others leave first, or it is streamed
            guest = None
        guest = guest or self._invite(self._memory, network, activations, whole)
        guest.uses += 1
        self._guests[network] = self._guests.pop(network)  # the last one used is the last one to go
        try:
            with _told(self.device):
                yield
        finally:
            guest.uses -= 1
            if guest.fit.streamed and not guest.uses:
                self.release(network)

    def release(self, network: Layer) -> None:
        """Take the network off the device, if it is there; its weights stay on the host."""
        guest = self._guests.pop(network, None)
        if guest is not None and self._memory is not None:
            guest.leave.close()
            self._memory.empty()

    def reach(self, network: Layer) -> int:
        """Bytes that computing with `network` may take, besides its weights, once all that is idle has left."""
        if self._memory is None:
            return host_memory() * 3 // 4
        idle = sum(guest.fit.size for guest in self._guests.values() if not guest.uses)
        taken = 0 if (guest := self._guests.get(network)) and guest.uses else whole(network, self._memory.kept)
        return self._room(self._memory) + idle - taken

    def _room(self, memory: Memory) -> int:
        """Bytes that weights and activations may still take."""
        taken = sum(guest.fit.size for guest in self._guests.values())
        left = memory.left() if self.budget is None else min(memory.left(), self.budget - taken)
        return max(0, left - HEADROOM)

    def _invite(self, memory: Memory, network: Layer, activations: int, whole: bool) -> _Guest:
        """Make room, by others that are not in use leaving, and bring the network in."""
        while (found := fit(network, self._room(memory) - activations, memory.kept)) is None or found.streamed:
            idle = next((one for one, guest in self._guests.items() if not guest.uses), None)
            if idle is None:
                break
            self.release(idle)
        if found is None or (whole and found.streamed):
            raise _too_large(self.device, self._room(memory))
        guest = self._guests[network] = _Guest(found, ExitStack())
        try:
            with _told(self.device):
                _enter(guest, memory)
        except BaseException:
            self.release(network)
            raise
        return guest


def _enter(guest: _Guest, memory: Memory) -> None:
    for block in guest.fit.kept:
        for weight in block.weights:
            _bring(weight, guest.leave, memory)
    if guest.fit.streamed:
        stream = Stream(guest.fit.streamed, memory, guest.fit.slots, guest.fit.largest)
        guest.leave.callback(stream.close)


def _bring(weight: Weight, leave: ExitStack, memory: Memory) -> None:
    leave.callback(weight.back)
    weight.put(memory.bring(weight.host, weight.dtype))


@contextmanager
def _stopped_by(job: Job, network: Layer) -> Iterator[None]:
    def check(module: nn.Module, given: tuple[Any, ...]) -> None:
        job.check()

    hooks = [] if job is QUIET else [part.register_forward_pre_hook(check) for part in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _too_large(device: torch.device, room: int) -> NoMemoryError:
    return NoMemoryError(
        f"This model does not fit in the memory of {device}, not even block by block: {room >> 20} MiB are free.",
        "Choose a smaller size or batch, close other programs that use the device, or add --device cpu.",
    )


@contextmanager
def _told(device: torch.device) -> Iterator[None]:
    """What torch says when memory runs out, as an error that people understand, and that keeps no tensor alive."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(said in str(error) for said in _SAYINGS):
            raise
        traceback.clear_frames(error.__traceback__)
        other = "" if device.type == "cpu" else ", or add --device cpu"
        raise NoMemoryError(f"The memory of {device} ran out.", f"Choose a smaller size or batch{other}.") from error
