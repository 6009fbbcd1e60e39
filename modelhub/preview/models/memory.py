"""The memory of a device: how much is free, and how weights get there, where possible while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: Copies are told apart from computation by what `copy` and `mark` return, and `wait` takes.
Mark = Any


class Memory:
    """A device that copies in the order in which it computes; `left` says how many bytes are free."""

    def __init__(self, device: torch.device, left: Callable[[], int]) -> None:
        self.device, self.left = device, left

    def kept(self, stored: torch.dtype) -> torch.dtype:
        """The dtype that can stand on the device for one that a file has, with no number changed."""
        return stored

    def bring(self, host: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor of the host on the device; cast before it goes, for the device may not know what it was."""
        return host.to(dtype).to(self.device)

    def buffer(self, size: int) -> Tensor:
        """`size` bytes on the device."""
        return torch.empty(size, dtype=torch.uint8, device=self.device)

    def origins(self, weights: Iterable[tuple[Tensor, torch.dtype]]) -> list[Tensor]:
        """Where tensors of the host are copied from, over and over, to each in its dtype on the device."""
        return [host for host, _ in weights]

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]], after: Mark) -> Mark:
        """Copy each (goal, origin), once the device has come to `after`; returns the mark of the end."""
        for goal, origin in pairs:
            goal.copy_(origin.to(goal.dtype))
        return None

    def mark(self) -> Mark:
        """The point that the computation has come to."""
        return None

    def wait(self, mark: Mark) -> None:
        """Have the computation wait for the copies before `mark`."""

    def settle(self) -> None:
        """Return when no copy is under way."""

    def empty(self) -> None:
        """Give back what was freed."""


class CudaMemory(Memory):
    """A CUDA device: copies run on a stream of their own, beside the computation, from page-locked memory."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device, self._free)
        self._lane = torch.cuda.Stream(device)

    def _free(self) -> int:
        """What the driver has, and what torch holds and does not use."""
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0]) + held

    def origins(self, weights: Iterable[tuple[Tensor, torch.dtype]]) -> list[Tensor]:
        """Cast, and page-locked, as many as go into half of the host's free memory; the others anywhere."""
        found, left = [], host_memory() // 2
        for host, dtype in weights:
            cast = host.to(dtype)
            left -= 1 << max(0, cast.nbytes - 1).bit_length()  # torch takes powers of two
            found.append(_locked(cast) if left >= 0 else cast)
        return found

    def copy(self, pairs: Iterable[tuple[Tensor, Tensor]], after: Mark) -> Mark:
        """Beside the computation."""
        with torch.cuda.stream(self._lane):
            if after is not None:
                self._lane.wait_event(after)
            for goal, origin in pairs:
                goal.copy_(origin, non_blocking=True)
            return self._lane.record_event()

    def mark(self) -> Mark:
        """An event in the stream that computes."""
        return torch.cuda.current_stream(self.device).record_event()

    def wait(self, mark: Mark) -> None:
        """The stream that computes waits; this thread does not."""
        torch.cuda.current_stream(self.device).wait_event(mark)

    def settle(self) -> None:
        """This thread waits for the copies."""
        self._lane.synchronize()

    def empty(self) -> None:
        """For other programs, and for tensors of another size; page-locked memory as well, which no other can have."""
        torch.cuda.empty_cache()
        with suppress(AttributeError):  # older versions of torch keep it for the next time
            torch.accelerator.empty_host_cache()


class MpsMemory(Memory):
    """An Apple GPU; what its cache holds is free, and given back when a network leaves."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device, lambda: torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())

    def kept(self, stored: torch.dtype) -> torch.dtype:
        """It has no dtype of 8 bits, whose numbers float16 has all, and before macOS 14 no bfloat16."""
        if stored.itemsize == 1:
            return torch.float16
        return torch.float32 if stored == torch.bfloat16 and not knows_bf16() else stored

    def empty(self) -> None:
        """The cache."""
        torch.mps.empty_cache()


def _locked(host: Tensor) -> Tensor:
    with suppress(RuntimeError):  # the system allows no more
        return host.pin_memory()
    return host


def knows_bf16() -> bool:
    """Whether the Apple GPU of this machine knows bfloat16: since macOS 14."""
    return torch.backends.mps.is_macos_or_newer(14, 0)


def memory_of(device: torch.device) -> Memory | None:
    """The memory of `device`; None for the CPU, where networks stand already."""
    if device.type == "cuda":
        return CudaMemory(device)
    if device.type == "mps":
        return MpsMemory(device)
    return None


def host_memory() -> int:
    """Bytes of the host's memory that can be had without swapping; where the system does not say, half of all."""
    with suppress(OSError, StopIteration, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30
