"""What devices differ in: the dtypes they know, how tensors get there, what they say when memory runs out, clocks."""

from __future__ import annotations

import time
import weakref
from typing import Any

import pytest
import torch
from flux_names import clip_shapes, t5_shapes
from small_device import CPU, SmallDevice, assert_untouched, call, call_flux, filled, flux, hosts, size_of, unet, vae
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modelhub.errors import NoMemoryError, UsageError
from modelhub.preview.models import memory as memory_module
from modelhub.preview.models import residence as residence_module
from modelhub.preview.models.device import compute_dtype, synchronize
from modelhub.preview.models.keeper import Keeper
from modelhub.preview.models.memory import CudaMemory, Memory, MpsMemory
from modelhub.preview.models.residence import Residence
from modelhub.preview.models.weights import blocks_of
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.t5 import T5
from modelhub.preview.render_work import timed

pytestmark = pytest.mark.usefixtures("small_things_count")
META, MPS = torch.device("meta"), torch.device("mps")
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


def macos(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: (major, minor) <= (version, 0))


class SmallMac(SmallDevice):
    """A device that knows what Apple's know."""

    KNOWN = (torch.float32, torch.float16, torch.bfloat16)
    kept = MpsMemory.kept

    def bring(self, host: Tensor, dtype: torch.dtype) -> Tensor:
        assert dtype in self.KNOWN
        return super().bring(host, dtype)

    def copy(self, pairs: Any, after: Any) -> Any:
        pairs = list(pairs)
        assert all(goal.dtype in self.KNOWN for goal, _ in pairs)
        return super().copy(pairs, after)


@pytest.mark.parametrize("stored", [E4M3, E5M2, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("part", [0.6, 2.0], ids=["streamed", "whole"])
def test_apple_gpus_get_only_dtypes_that_they_know(
    stored: torch.dtype, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    macos(monkeypatch, 14)
    network = unet(stored)
    expected, room = call(network), int(part * size_of(network) * max(1, 2 // stored.itemsize))
    with Residence(CPU, memory=SmallMac(room)).use(network):
        assert torch.equal(call(network), expected)


def test_8_bits_become_16_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    macos(monkeypatch, 14)
    kept = MpsMemory(MPS).kept
    assert [kept(one) for one in (E4M3, E5M2, torch.float16)] == [torch.float16] * 3
    every = torch.arange(256, dtype=torch.uint8)
    for stored in (E4M3, E5M2):
        assert torch.equal(every.view(stored).half().float().nan_to_num(), every.view(stored).float().nan_to_num())
    assert kept(torch.bfloat16) == torch.bfloat16
    macos(monkeypatch, 13)
    assert kept(torch.bfloat16) == torch.float32


def test_bf16_is_for_apple_gpus_since_macos_14(monkeypatch: pytest.MonkeyPatch) -> None:
    macos(monkeypatch, 14)
    assert compute_dtype(MPS, "vae", "bf16") == torch.bfloat16
    macos(monkeypatch, 13)
    with pytest.raises(UsageError, match="Before macOS 14"):
        compute_dtype(MPS, "vae", "bf16")
    assert compute_dtype(MPS, "vae", "fp16") == torch.float16


class Arrivals(TorchDispatchMode):
    """The dtypes that come to a device, and those they were copied from."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.device == META:
            self.dtypes.update(one.dtype for one in (found, *args) if isinstance(one, Tensor))
        return found


def test_tensors_are_cast_before_they_come() -> None:
    memory = Memory(META, lambda: 0)
    with Arrivals() as arrivals:
        memory.bring(torch.ones(3, dtype=torch.float64), torch.float32)
        assert arrivals.dtypes == {torch.float32}
        memory.copy([(torch.empty(3, dtype=torch.float32, device=META), torch.ones(3).to(E4M3))], None)
        assert arrivals.dtypes == {torch.float32}


def test_no_more_than_half_of_the_free_memory_is_page_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "host_memory", lambda: 10 << 10)
    locked: list[int] = []
    monkeypatch.setattr(memory_module, "_locked", lambda host: locked.append(host.nbytes) or host)
    blocks = [torch.zeros(size, dtype=torch.float16) for size in (750, 1024, 500, 50)]
    found = CudaMemory.origins(object.__new__(CudaMemory), ((one, torch.float16) for one in blocks))
    assert locked == [1500, 2048, 1000]  # in rooms of 2048, 2048 and 1024
    assert found == blocks
    (cast,) = CudaMemory.origins(object.__new__(CudaMemory), [(torch.ones(5), torch.float16)])
    assert cast.dtype == torch.float16


NETWORKS = {
    "unet": (unet, call),
    "flux": (flux, call_flux),
    "vae": (vae, lambda one: one.encode(one.decode(torch.ones(1, 4, 5, 4)))),
    "t5": (lambda: filled(T5, t5_shapes()), lambda one: one(torch.arange(4)[None])),
    "clip": (lambda: filled(text_encoder, clip_shapes()), lambda one: one(torch.arange(4)[None])),
}


@pytest.mark.parametrize(("build", "run"), NETWORKS.values(), ids=NETWORKS)
def test_blocks_are_listed_in_the_order_in_which_they_compute(build: Any, run: Any) -> None:
    """Else the wrong one comes ahead, and takes the room of the one that is needed next."""
    network, came = build(), list[Any]()
    listed = [block.module for block in blocks_of(network, torch.float32)[1]]
    for module in listed:
        module.register_forward_pre_hook(lambda module, given: came.append(module))
    with torch.inference_mode():
        run(network)
    assert [listed.index(module) for module in came] == list(range(len(listed)))


def test_what_ran_out_of_memory_holds_no_tensors() -> None:
    seen = list[Any]()

    def compute() -> None:
        large = torch.ones(3)
        seen.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    network = unet()
    with pytest.raises(NoMemoryError) as caught, Residence(CPU, memory=SmallDevice(1 << 30)).use(network):
        compute()
    assert caught.value.__cause__ is not None
    assert seen[0]() is None


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), "gpu"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "gpu"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "gpu"),
        (RuntimeError("Invalid buffer size: 9.02 GB"), "gpu"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "cpu"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"), "cpu"),
        (MemoryError(), "cpu"),
    ],
)
def test_memory_that_runs_out_is_told_whoever_says_it(error: Exception, where: str) -> None:
    device, memory = (CPU, None) if where == "cpu" else (MPS, SmallDevice(1 << 30))
    with pytest.raises(NoMemoryError) as caught, Residence(device, memory=memory).use(unet()):
        raise error
    assert ("--device cpu" in caught.value.hint) == (where == "gpu")


def test_other_errors_are_nobody_elses() -> None:
    with pytest.raises(RuntimeError, match="sizes of tensors"), Residence(CPU).use(unet()):
        raise RuntimeError("The sizes of tensors must match")


def test_a_second_models_networks_leave_a_device_that_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a refiner's, when its model goes to another device."""
    device = SmallDevice(1 << 30)
    monkeypatch.setattr(residence_module, "memory_of", lambda where: device if where == MPS else None)
    main = Keeper()
    second, network = Keeper(main), unet()
    before = hosts(network)
    home = second.residence(MPS)
    monkeypatch.setattr(second.networks, "keep", lambda parts: iter([] if parts else [network]))
    with home.use(network):
        pass
    assert device.taken
    assert main.residence(CPU) is second.residence(CPU) is not home
    assert device.taken == 0
    assert_untouched(network, before)


def test_a_keeper_keeps_its_residence_on_the_same_device() -> None:
    main = Keeper()
    second = Keeper(main)
    assert main.residence(CPU) is second.residence(CPU) is main.residence(CPU)


def test_clocks_wait_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: time.sleep(0.05))
    seconds: dict[str, float] = {}
    with timed(seconds, "sampling"):
        pass
    assert seconds["sampling"] >= 0.05
    monkeypatch.undo()
    synchronize()  # where there is no GPU, nothing
