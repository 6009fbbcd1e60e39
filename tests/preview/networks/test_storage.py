"""Files mapped into memory: no byte copied, no change of a file unnoticed, and a way out where mapping is impossible."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ldm_names import SmallUNet, random_tensors, vae_shapes
from leftovers import files_open_below, needs_descriptors

from modelhub.errors import CorruptFileError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.views import Renamed
from modelhub.preview.networks import storage
from modelhub.preview.networks.load import load
from modelhub.preview.networks.storage import Mapper
from modelhub.preview.networks.vae import Vae

MakeFile = Callable[..., Path]


@pytest.fixture
def path(make_file: MakeFile) -> Path:
    return make_file("vae.safetensors", random_tensors(vae_shapes()))


def raw_file(path: Path, tensors: dict[str, torch.Tensor], pad: int) -> Path:
    """A safetensors file whose data begin `pad` bytes further than they would."""
    table, begin = {}, 0
    names = {torch.float32: "F32", torch.float16: "F16", torch.float8_e5m2: "F8_E5M2"}
    for name, tensor in tensors.items():
        offsets = [begin, begin := begin + tensor.nbytes]
        table[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8 + pad)
    data = b"".join(tensor.view(torch.uint8).numpy().tobytes() for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_weights_are_the_pages_of_the_file(path: Path) -> None:
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")
        for name, weight in network.named_parameters():
            assert torch.equal(weight, source.tensor(name))
    (file,) = network.files
    begin, end = file.bytes.data_ptr(), file.bytes.data_ptr() + len(file.bytes)
    assert all(begin <= weight.data_ptr() < end for weight in network.parameters())


def test_weights_stay_when_the_source_is_closed_and_the_file_removed_or_replaced(path: Path) -> None:
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")
    expected = {name: weight.clone() for name, weight in network.named_parameters()}
    raw_file(path.with_name("other"), {"a": torch.zeros(9)}, 0).replace(path)
    path.unlink()
    network.files[0].check()
    assert all(torch.equal(weight, expected[name]) for name, weight in network.named_parameters())


@pytest.mark.parametrize("change", ["cut", "grown", "written"])
def test_a_change_of_the_file_is_said(path: Path, change: str) -> None:
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")
    with path.open("r+b") as file:
        if change == "cut":
            file.truncate(1000)
        else:
            file.seek(0, os.SEEK_END if change == "grown" else os.SEEK_SET)
            file.write(b"\0")
    os.utime(path, ns=(1, 1))
    with pytest.raises(CorruptFileError, match=r"vae\.safetensors was changed while it was in use"):
        network.files[0].check()


CUT = """
import os, sys, torch
from modelhub.errors import CorruptFileError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.preview.networks.load import load
from modelhub.preview.networks.unet import UNet

with SafetensorsFile(sys.argv[1]) as source:
    network = load(UNet, source, "")
first, second = torch.randn(1, 4, 8, 8), torch.randn(1, 3, 24)
call = lambda: network(first, torch.tensor([500.0]), second)
call()
where = network if sys.argv[2] == "between" else network.get_submodule("input_blocks.1")
hook = where.register_forward_hook(lambda *_: os.truncate(sys.argv[1], 4096))
try:
    call()
    hook.remove()
    call()
except CorruptFileError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a mapped file cannot be cut")
@pytest.mark.parametrize("moment", ["between", "within"])
def test_a_file_that_is_cut_short_while_it_computes_is_said(make_file: MakeFile, moment: str) -> None:
    """Without a look before each block the system kills the process (SIGBUS)."""
    path = make_file("unet.safetensors", random_tensors(SmallUNet(depths=(1, 1)).shapes()))
    done = subprocess.run([sys.executable, "-c", CUT, path, moment], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unet.safetensors was changed while it was in use" in done.stdout


def test_a_file_that_the_network_disk_lost_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")

    def stale(_: int) -> os.stat_result:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "fstat", stale)
        with pytest.raises(CorruptFileError, match="was changed"):
            network.check()


def test_a_file_that_was_cut_short_before_it_is_mapped_is_said(path: Path) -> None:
    with SafetensorsFile(path) as source:
        os.truncate(path, path.stat().st_size - 100_000)
        with pytest.raises(CorruptFileError, match="became shorter"):
            load(Vae, source, "")


@pytest.mark.parametrize("pad", [0, 1, 2, 4])
def test_weights_that_begin_askew_are_read(tmp_path: Path, pad: int) -> None:
    tensors = {
        "a": torch.randn(3, 5),
        "b": torch.randn(7).to(torch.float8_e5m2),
        "c": torch.randn(4).half(),
        "d": torch.randn(2),
    }
    path = raw_file(tmp_path / "askew.safetensors", tensors, pad)
    with SafetensorsFile(path) as source:
        mapper = Mapper(source)
        views = {name: mapper.view(name) for name in tensors}
    straight = {name for name, view in views.items() if view is not None}
    assert straight == ({"a", "b"} if pad in (0, 4) else {"b", "c", "d"} if pad == 1 else {"b"})
    for name in straight:
        view = views[name]
        assert view is not None
        assert torch.equal(view.float(), tensors[name].float())


def test_a_view_of_a_file_is_mapped_too(path: Path) -> None:
    with SafetensorsFile(path) as source:
        network = load(Vae, Renamed(source, lambda name: f"first_stage_model.{name}"), "first_stage_model.")
    assert len(network.files) == 1
    assert network.files[0].path == path


def test_what_is_cast_keeps_no_file(make_file: MakeFile) -> None:
    tensors = {name: value.half() for name, value in random_tensors(vae_shapes()).items()}
    with SafetensorsFile(make_file("half.safetensors", tensors)) as source:
        assert load(Vae, source, "").files == ()
        assert len(load(Vae, source, "", keep=True).files) == 1


def test_a_file_system_that_maps_nothing_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError("no mapping here")

    monkeypatch.setattr(storage.mmap, "mmap", refuses)
    with SafetensorsFile(path) as source:
        network = load(Vae, source, "")
        assert network.files == ()
        assert all(torch.equal(weight, source.tensor(name)) for name, weight in network.named_parameters())


@needs_descriptors
def test_descriptors_are_given_back(path: Path) -> None:
    with SafetensorsFile(path) as source:
        before = len(files_open_below(path))
        network = load(Vae, source, "")
        assert len(files_open_below(path)) > before
        del network
        assert len(files_open_below(path)) == before


MEASURE = """
import resource, sys, torch
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.preview.networks.load import load
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.tree import Tree

class Heap(Layer):
    def __init__(self, shapes):
        super().__init__()
        tree = Tree.of(shapes)
        for name in shapes:
            self.hold(tree, name, None, None)

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

torch.zeros(9).half().float()
before = anonymous()
with SafetensorsFile(sys.argv[1]) as source:
    network = load(Heap, source, "", dtype=getattr(torch, sys.argv[2]))
print(anonymous() - before, float(sum(weight.sum(dtype=torch.float64) for weight in network.parameters())))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc what memory is whose")
@pytest.mark.parametrize(("dtype", "low", "high"), [("float16", -1, 8), ("float32", 60, 80)])
def test_memory_is_the_network_or_nothing_at_all(make_file: MakeFile, dtype: str, low: int, high: int) -> None:
    """32 MiB of half precision: nothing in place, twice that and at most a tensor (4 MiB) more when cast."""
    path = make_file("heap.safetensors", {f"w{n}": torch.ones(1024, 2048, dtype=torch.float16) for n in range(8)})
    done = subprocess.run([sys.executable, "-c", MEASURE, path, dtype], capture_output=True, text=True, check=True)
    grown, total = map(float, done.stdout.split())
    assert low <= grown <= high
    assert total == 8 * 1024 * 2048
