"""Refitting: the network of before with other weights is the network of now, and only what differs is read."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import pytest
import torch
from small_pictures import SD1, UNET, VAE, Memory

from modelhub.errors import CancelledError
from modelhub.jobs import Event, Job
from modelhub.preview.networks.load import load
from modelhub.preview.networks.refit import Refitter, differing, marks
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

FP32 = {"dtype": torch.float32, "keep": False}
CHANGED = f"{UNET}output_blocks.3.0.in_layers.2.weight"


class Told(Memory):
    """A source that says what its tensors are made of, and remembers what was read."""

    def __init__(self, tensors: dict[str, torch.Tensor], made_of: str = "a", **others: str) -> None:
        super().__init__(tensors)
        self._made_of, self._others, self.reads = made_of, others, set()

    def origin(self, name: str) -> Hashable:
        return (self._others.get(name.replace(".", "_"), self._made_of), name)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.reads.add(name)
        super().read_into(name, offset, buffer)


@dataclass
class Watch:
    """What `begin` was called with."""

    networks: list[object] = field(default_factory=list)

    def __call__(self, network: object) -> None:
        self.networks.append(network)


TENSORS = SD1.tensors()


def other(names: set[str]) -> dict[str, torch.Tensor]:
    return {name: value + 1 if name in names else value for name, value in TENSORS.items()}


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.named_parameters())


def test_only_tensors_of_another_origin_are_read() -> None:
    keeper, begin = Refitter(), Watch()
    first = keeper.load("denoiser", UNet, Told(TENSORS), UNET, begin=begin, **FP32)
    size = sum(value.nbytes for name, value in TENSORS.items() if name.startswith(UNET))
    assert keeper.read == {"denoiser": size}
    source = Told(other({CHANGED}), **{CHANGED.replace(".", "_"): "b"})
    second = keeper.load("denoiser", UNet, source, UNET, begin=begin, **FP32)
    assert second is first and begin.networks == [first]
    assert source.reads == {CHANGED}
    assert keeper.read == {"denoiser": TENSORS[CHANGED].nbytes}
    fresh = weights(load(UNet, source, UNET))
    assert all(torch.equal(value, fresh[name]) for name, value in weights(second).items())


def test_what_is_made_of_the_same_is_not_touched() -> None:
    keeper, begin = Refitter(), Watch()
    first = keeper.load("denoiser", UNet, Told(TENSORS), UNET, begin=begin, **FP32)
    source = Told(TENSORS)
    assert keeper.load("denoiser", UNet, source, UNET, begin=begin, **FP32) is first
    assert not source.reads and not begin.networks and keeper.read == {"denoiser": 0}


def test_another_precision_or_shape_is_read_whole() -> None:
    keeper, source = Refitter(), Told(TENSORS)
    keeper.load("vae", Vae, source, VAE, **FP32)
    half = keeper.load("vae", Vae, source, VAE, dtype=torch.bfloat16, keep=False)
    assert keeper.read["vae"] > 0 and half.dtype == torch.bfloat16
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}
    begin = Watch()
    without = Told(
        {name: value for name, value in TENSORS.items() if ".encoder." not in name and ".quant_" not in name}
    )
    smaller = keeper.load("vae", Vae, without, VAE, begin=begin, dtype=torch.bfloat16, keep=False)
    assert smaller is not half and smaller.encoder is None and begin.networks == [half]
    assert not any(name.startswith(("encoder", "quant")) for name in weights(smaller))


def test_one_that_was_stopped_halfway_is_read_whole_the_next_time() -> None:
    keeper = Refitter()
    first = keeper.load("vae", Vae, Told(TENSORS), VAE, **FP32)
    names = {name for name in TENSORS if name.startswith(VAE)}
    job = Job("stopped", lambda event: job.cancel() if event.done else None, interval=0)
    with pytest.raises(CancelledError):
        keeper.load("vae", Vae, Told(other(names), "b"), VAE, job=job, **FP32)
    second = keeper.load("vae", Vae, Told(TENSORS), VAE, **FP32)
    assert second is not first or keeper.read["vae"] > 0
    assert all(torch.equal(value, TENSORS[VAE + name]) for name, value in weights(second).items())


def test_progress_is_of_what_is_read() -> None:
    keeper, events = Refitter(), list[Event]()
    keeper.load("denoiser", UNet, Told(TENSORS), UNET, **FP32)
    source = Told(TENSORS, **{CHANGED.replace(".", "_"): "b"})
    keeper.load("denoiser", UNet, source, UNET, job=Job("refit", events.append), **FP32)
    assert (events[-1].done, events[-1].total) == (TENSORS[CHANGED].nbytes,) * 2


def test_differences_are_told_without_loading() -> None:
    before = marks(Told(TENSORS), UNET)
    after = marks(Told(TENSORS, **{CHANGED.replace(".", "_"): "b"}), UNET)
    assert set(differing(before, after)) == {CHANGED.removeprefix(UNET)}
    assert differing({}, after) == after
    assert not differing(before, before)


def test_parts_that_no_model_has_are_forgotten() -> None:
    keeper = Refitter()
    network = keeper.load("vae", Vae, Told(TENSORS), VAE, **FP32)
    assert list(keeper.keep({"denoiser"})) == [network]
    assert keeper.load("vae", Vae, Told(TENSORS), VAE, **FP32) is not network
