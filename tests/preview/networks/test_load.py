"""Loading a network from a source: values, dtypes, memory, progress, and what is refused."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ldm_names import SmallUNet, random_tensors, vae_shapes

from modelhub.errors import CancelledError, CorruptFileError, IncompatibleError
from modelhub.formats.header import Header
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.jobs import Event, Job
from modelhub.preview.networks import load as load_module
from modelhub.preview.networks.load import load
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

PREFIX = "model.diffusion_model."
CONFIG = SmallUNet(blocks=1)
MakeFile = Callable[..., Path]


@pytest.fixture
def checkpoint(make_file: MakeFile) -> Path:
    """A file in half precision with a U-Net, a VAE and a few things that belong to neither."""
    tensors = {PREFIX + name: value.half() for name, value in random_tensors(CONFIG.shapes()).items()}
    tensors |= {f"first_stage_model.{name}": value.half() for name, value in random_tensors(vae_shapes()).items()}
    extra = {
        "betas": torch.zeros(9),
        f"{PREFIX}\x1b[31m\n": torch.ones(2),
        f"{PREFIX}input_blocks.1.0.lora": torch.ones(2),
    }
    return make_file("small.safetensors", {**tensors, **extra})


class Watched(TensorSource):
    """A source that notes what is read, and whether a tensor read earlier is still alive when the next is asked for."""

    def __init__(self, inner: TensorSource) -> None:
        self.inner, self.header = inner, inner.header
        self.read: list[str] = []
        self.handed: dict[str, int] = {}

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.inner.read_into(name, offset, buffer)

    def tensor(self, name: str) -> torch.Tensor:
        self.read.append(name)
        found = super().tensor(name)
        self.handed[name] = found.data_ptr()
        return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_fills_every_parameter_with_the_values_of_the_file(checkpoint: Path, dtype: torch.dtype) -> None:
    with SafetensorsFile(checkpoint) as source:
        network = load(UNet, source, PREFIX, device="cpu", dtype=dtype)
        for name, parameter in network.named_parameters():
            assert parameter.dtype == dtype
            assert torch.equal(parameter, source.tensor(PREFIX + name).to(dtype))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@torch.inference_mode()
def test_what_is_loaded_computes(checkpoint: Path) -> None:
    expected = UNet(CONFIG.shapes())
    half = {name: value.half().float() for name, value in random_tensors(CONFIG.shapes()).items()}
    expected.load_state_dict(half, assign=True)
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([3.5]), torch.randn(1, 5, 24))
    with SafetensorsFile(checkpoint) as source:
        assert torch.equal(load(UNet, source, PREFIX)(*inputs), expected(*inputs))


def test_reads_each_tensor_once_and_only_what_the_network_knows(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as file:
        source = Watched(file)
        load(UNet, source, PREFIX)
        assert sorted(source.read) == sorted(PREFIX + name for name in CONFIG.shapes())
        assert len(set(source.read)) == len(source.read)


def test_a_tensor_of_the_right_dtype_is_not_copied(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as file:
        source = Watched(file)
        network = load(UNet, source, PREFIX, dtype=torch.float16)
    held = {PREFIX + name: parameter.data_ptr() for name, parameter in network.named_parameters()}
    assert held == source.handed


@torch.inference_mode()
@pytest.mark.parametrize(
    "stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float64]
)
@pytest.mark.parametrize("computes", [torch.float32, torch.bfloat16])
def test_weights_that_stay_as_stored_compute_as_if_cast(
    make_file: MakeFile, stored: torch.dtype, computes: torch.dtype
) -> None:
    tensors = {PREFIX + name: value.to(stored) for name, value in random_tensors(CONFIG.shapes()).items()}
    inputs = (torch.randn(2, 4, 8, 8), torch.tensor([3.5, 999.0]), torch.randn(2, 5, 24))
    with SafetensorsFile(make_file("stored.safetensors", tensors)) as source:
        kept = load(UNet, source, PREFIX, dtype=computes, keep=True)
        cast = load(UNet, source, PREFIX, dtype=computes)
    assert {parameter.dtype for parameter in kept.parameters()} == {stored}
    assert {parameter.dtype for parameter in cast.parameters()} == {computes}
    assert kept.dtype == cast.dtype == computes
    assert torch.equal(kept(*inputs), cast(*inputs))


class Slow(TensorSource):
    """A source that makes its tensors, and counts how many of them are alive at one time."""

    def __init__(self, inner: TensorSource) -> None:
        self.inner, self.header = inner, inner.header
        self.alive = self.most = 0
        self._lock = threading.Lock()

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.inner.read_into(name, offset, buffer)

    def tensor(self, name: str) -> torch.Tensor:
        found = super().tensor(name)
        with self._lock:
            self.alive += found.nbytes
            self.most = max(self.most, self.alive)
        weakref.finalize(found.untyped_storage(), self._gone, found.nbytes)
        return found

    def _gone(self, size: int) -> None:
        with self._lock:
            self.alive -= size


def test_what_has_to_be_made_and_cast_is_never_there_all_at_once(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as file:
        source = Slow(file)
        network = load(UNet, source, PREFIX)
    sizes = sorted(parameter.numel() * 2 for parameter in network.parameters())
    assert source.alive == 0
    assert source.most <= sum(sizes[-4:]) < sum(sizes) / 3


def test_an_error_of_the_source_is_raised(checkpoint: Path) -> None:
    class Broken(Watched):
        def tensor(self, name: str) -> torch.Tensor:
            if name.endswith("middle_block.0.in_layers.2.weight"):
                raise CorruptFileError("It is broken.")
            return super().tensor(name)

    with SafetensorsFile(checkpoint) as file, pytest.raises(CorruptFileError, match="It is broken"):
        load(UNet, Broken(file), PREFIX)


def test_builders_may_have_options(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as file:
        source = Watched(file)
        network = load(lambda shapes: Vae(shapes, encoder=False), source, "first_stage_model.")
    assert network.decode(torch.randn(1, 4, 2, 2)).shape == (1, 3, 4, 4)
    assert not any(".encoder." in name for name in source.read)


def test_reports_bytes_and_stops_when_cancelled(checkpoint: Path) -> None:
    events: list[Event] = []
    with SafetensorsFile(checkpoint) as source:
        load(UNet, source, PREFIX, job=Job("test", events.append))
        size = sum(source.header.tensors[PREFIX + name].nbytes for name in CONFIG.shapes())
        assert (events[-1].phase, events[-1].done, events[-1].total, events[-1].unit) == (
            "loading",
            size,
            size,
            "bytes",
        )
        job = Job("test", lambda event: job.cancel() if event.done else None, interval=0.0)
        watched = Watched(source)
        with pytest.raises(CancelledError):
            load(UNet, watched, PREFIX, job=job)
        assert len(watched.read) < 8  # a few were on their way


def test_names_all_that_is_missing(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as source:
        gone = [f"{PREFIX}out.2.bias", f"{PREFIX}middle_block.1.proj_in.weight"]
        kept = {name: info for name, info in source.header.tensors.items() if name not in gone}
        watched = Watched(source)
        watched.header = Header(kept, {}, source.header.start)
        with pytest.raises(IncompatibleError) as caught:
            load(UNet, watched, PREFIX)
    assert all(name.removeprefix(PREFIX) in caught.value.message for name in gone)
    assert watched.read == []


def test_whole_numbers_are_no_weights(make_file: MakeFile) -> None:
    tensors = {PREFIX + name: value.half() for name, value in random_tensors(CONFIG.shapes()).items()}
    tensors[f"{PREFIX}out.0.weight"] = torch.ones(32, dtype=torch.int8)
    with (
        SafetensorsFile(make_file("q.safetensors", tensors)) as source,
        pytest.raises(IncompatibleError, match=r"out\.0\.weight.*I8"),
    ):
        load(UNet, source, PREFIX)


def test_a_prefix_that_nothing_has_is_refused(checkpoint: Path) -> None:
    with SafetensorsFile(checkpoint) as source, pytest.raises(IncompatibleError, match="is missing"):
        load(UNet, source, "unet.")


def test_what_waits_to_be_made_is_dropped_when_one_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "_WORKERS", 1)
    monkeypatch.setattr(load_module, "_AHEAD", 9)
    began, go, made = threading.Event(), threading.Event(), []

    class Slow:
        def mapped(self, name: str) -> None:
            if name == "c":  # as a Ctrl-C between two tensors
                began.wait(60)
                threading.Timer(1, go.set).start()
                raise KeyboardInterrupt

        def made(self, name: str) -> torch.Tensor:
            began.set()
            go.wait(60)
            made.append(name)
            return torch.zeros(1)

    with pytest.raises(KeyboardInterrupt):
        list(load_module._all(Slow(), "", ["a", "b", "c"]))  # type: ignore[arg-type]
    assert made == ["a"]
