"""Networks on a device that is too small for them: what they compute, what is there when, and that nothing stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ldm_names import random_tensors, vae_shapes
from small_device import CPU, SmallDevice, assert_untouched, call, call_flux, flux, hosts, size_of, unet, vae
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modelhub.errors import CancelledError, CorruptFileError, NoMemoryError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.jobs import Job
from modelhub.preview.models.developing import Developer
from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.load import load
from modelhub.preview.networks.strips import STRIP
from modelhub.preview.networks.vae import Vae

pytestmark = pytest.mark.usefixtures("small_things_count")


@pytest.mark.parametrize("part", [0.5, 0.65, 0.8])
def test_streamed_is_bit_for_bit_what_is_not(part: float) -> None:
    network = unet()
    expected, before = call(network), hosts(network)
    device = SmallDevice(int(part * size_of(network)))
    residence = Residence(CPU, memory=device)
    with residence.use(network):
        for _ in range(3):
            assert torch.equal(call(network), expected)
    assert device.most <= part * size_of(network)
    assert device.taken == 0
    assert device.copies > len(before)  # some came more than once
    assert_untouched(network, before)


def test_streams_no_more_than_it_must() -> None:
    moved = {}
    for part in (0.5, 0.95):
        network = unet()
        device = SmallDevice(int(part * size_of(network)))
        with Residence(CPU, memory=device).use(network):
            before = device.copies
            call(network)
            moved[part] = device.copies - before
    assert 0 < moved[0.95] < moved[0.5] < len(hosts(network))


def test_what_fits_stays_and_comes_once() -> None:
    network, device = unet(), SmallDevice(1 << 30)
    residence, before = Residence(CPU, memory=device), hosts(network)
    expected = call(network)
    for _ in range(2):
        with residence.use(network):
            assert torch.equal(call(network), expected)
            assert not before.keys() & {n for n, where in hosts(network).items() if where == before[n]}
    assert device.copies == len(before)
    residence.release(network)
    assert device.taken == 0
    assert_untouched(network, before)


def test_idle_networks_make_room_and_busy_ones_do_not() -> None:
    first, second = unet(), unet()
    device = SmallDevice(size_of(first) + size_of(second) * 2 // 3)
    residence, expected = Residence(CPU, memory=device), call(first)
    with residence.use(first):
        pass
    assert device.taken == size_of(first)
    with residence.use(second):
        assert device.taken == size_of(second)  # whole: the first, idle, has left
    residence.release(second)
    with residence.use(first), residence.use(second):
        assert size_of(first) < device.taken < size_of(first) + size_of(second)
        assert torch.equal(call(first), expected)
        assert torch.equal(call(second), expected)


def test_activations_and_budget_count() -> None:
    network = unet()
    size = size_of(network)
    plenty = SmallDevice(1 << 30)
    with Residence(CPU, budget=int(0.7 * size), memory=plenty).use(network):
        call(network)
        assert plenty.most <= 0.7 * size
    tight = SmallDevice(int(1.5 * size))
    with Residence(CPU, memory=tight).use(network, activations=int(0.8 * size)):
        call(network)
    assert tight.most <= 0.7 * size


@pytest.mark.parametrize("stop", [RuntimeError, CancelledError, KeyboardInterrupt])
def test_an_error_in_the_middle_leaves_nothing_behind(stop: type[BaseException]) -> None:
    network = unet()
    expected, before = call(network), hosts(network)
    device = SmallDevice(size_of(network) // 2)
    residence = Residence(CPU, memory=device)

    def interrupt(*_: object) -> None:
        raise stop

    hook = network.middle_block.get_submodule("1").register_forward_pre_hook(interrupt)
    with pytest.raises(stop), residence.use(network):
        call(network)
    hook.remove()
    assert device.taken == 0
    assert device.waiting == []
    assert_untouched(network, before)
    with residence.use(network):
        assert torch.equal(call(network), expected)


def test_a_call_that_failed_does_not_confuse_the_next() -> None:
    network = unet()
    expected = call(network)

    def interrupt(*_: object) -> None:
        raise CancelledError

    with Residence(CPU, memory=SmallDevice(size_of(network) // 2)).use(network):
        hook = network.middle_block.get_submodule("1").register_forward_pre_hook(interrupt)
        with pytest.raises(CancelledError):
            call(network)
        hook.remove()
        assert torch.equal(call(network), expected)


def test_too_small_for_the_largest_block_is_said() -> None:
    network, device = unet(), SmallDevice(1000)
    before = hosts(network)
    with pytest.raises(NoMemoryError, match="not even block by block"), Residence(CPU, memory=device).use(network):
        pytest.fail("entered")
    assert_untouched(network, before)
    assert device.taken == 0


def test_memory_that_runs_out_is_said_and_freed() -> None:
    network, device = unet(), SmallDevice(1 << 30)
    with pytest.raises(NoMemoryError, match="ran out"), Residence(CPU, memory=device).use(network):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_small_weights_stay_small_and_large_ones_shrink(stored: torch.dtype) -> None:
    small = unet(stored)
    expected = call(small)
    device = SmallDevice(1 << 30)
    with Residence(CPU, memory=device).use(small):
        assert device.taken == size_of(small)
        assert torch.equal(call(small), expected)
    large, device = unet(torch.float32, stored), SmallDevice(1 << 30)
    size = size_of(large)
    with Residence(CPU, memory=device).use(large):
        assert device.taken == size * stored.itemsize // 4


def test_nested_use_of_one_network() -> None:
    network = unet()
    expected = call(network)
    device = SmallDevice(size_of(network) // 2)
    residence = Residence(CPU, memory=device)
    with residence.use(network):
        with residence.use(network):
            assert torch.equal(call(network), expected)
        assert torch.equal(call(network), expected)
    assert device.taken == 0


def test_on_the_cpu_nothing_happens_but_the_file_is_looked_at(make_file: Any) -> None:
    shapes = vae_shapes()
    path: Path = make_file("vae.safetensors", random_tensors(shapes))
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")
    residence, before = Residence(CPU), hosts(network)
    assert not residence.is_apart
    with residence.use(network):
        assert_untouched(network, before)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CorruptFileError, match=r"vae\.safetensors was changed"), residence.use(network):
        pytest.fail("entered")


class NoHostWeights(TorchDispatchMode):
    """As on a device: nothing computes with weights that stand on the host."""

    def __init__(self, network: Layer) -> None:
        super().__init__()
        self.hosts = {weight.data_ptr() for weight in network.parameters()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for one in args:
            if isinstance(one, Tensor) and one.data_ptr() in self.hosts:
                moves = func.overloadpacket.__name__ in ("to", "_to_copy", "copy_", "alias", "detach")
                assert moves, f"{func} takes a weight of the host"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("part", [0.8, 1.5])
@pytest.mark.parametrize(
    ("build", "run"),
    [(unet, call), (flux, call_flux), (vae, lambda one: one.decode(torch.ones(1, 4, 5, 4)))],
    ids=["unet", "flux", "vae"],
)
def test_nothing_computes_with_weights_of_the_host(build: Any, run: Any, part: float) -> None:
    network = build()
    with torch.inference_mode():
        expected, strict = run(network), NoHostWeights(network)
        with Residence(CPU, memory=SmallDevice(int(part * size_of(network)))).use(network), strict:
            assert torch.equal(run(network), expected)


def test_a_vae_in_strips_is_not_streamed() -> None:
    network = vae()
    strict, z = NoHostWeights(network), torch.ones(1, 4, 5, 4)
    with torch.inference_mode():
        with pytest.raises(NoMemoryError):
            tight = Residence(CPU, memory=SmallDevice(2 * STRIP + size_of(network) * 4 // 5))
            Developer(network, tight, strips=True).decode(z)
        roomy = Residence(CPU, memory=SmallDevice(size_of(network) + (1 << 30)))
        with strict:
            assert Developer(network, roomy, strips=True).decode(z).isfinite().all()


def test_on_the_cpu_a_job_stops_a_network_between_two_layers() -> None:
    network, job, done = unet(), Job("test"), []
    before = hosts(network)
    first, last = network.input_blocks.get_submodule("1"), network.middle_block
    first.register_forward_hook(lambda *_: job.cancel())
    last.register_forward_hook(lambda *_: done.append(1))
    residence = Residence(CPU)
    with pytest.raises(CancelledError), residence.heeding(job), residence.use(network):
        call(network)
    assert not done
    assert hosts(network) == before
    assert not any(module._forward_pre_hooks for module in network.modules())
