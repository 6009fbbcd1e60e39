"""Loading upscalers: what is none is refused by name, and other architectures go to spandrel, or say that it is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from upscaler_names import Rrdb

from modelhub.catalog.data import data_path
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.opening import open_source
from modelhub.preview.upscaling.loading import load_upscaler
from modelhub.preview.upscaling.tiling import Tiling

MakeFile = Callable[..., Path]
#: Enough of a SwinIR to be known as one.
SWINIR = {
    "layers.0.residual_group.blocks.0.norm1.weight": torch.ones(8),
    "layers.0.residual_group.blocks.0.attn.relative_position_index": torch.zeros(64, 64, dtype=torch.int64),
    "conv_first.weight": torch.ones(8, 3, 3, 3),
}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("tiny-shapes-base.safetensors", "a checkpoint"),
        ("tiny-shapes-framed-lora.safetensors", "a lora"),
        ("sundisc.pt", "a embedding"),
    ],
)
def test_what_is_no_upscaler(name: str, what: str) -> None:
    with open_source(data_path("demo") / name) as source, pytest.raises(IncompatibleError) as caught:
        load_upscaler(source, "cpu", name=name)
    assert f"{name} is {what.replace('a e', 'an e')}, not an upscaler" in caught.value.message and caught.value.hint


def test_what_nobody_knows(make_file: MakeFile) -> None:
    path = make_file("x.safetensors", {"a.b": torch.ones(3)})
    with open_source(path) as source, pytest.raises(IncompatibleError, match="of no kind that modelhub knows"):
        load_upscaler(source, "cpu")


def test_other_channels_are_refused(make_file: MakeFile) -> None:
    oracle = Rrdb(colours=4, blocks=1)
    path = make_file("x.safetensors", oracle.new_names(oracle.weights()))
    with open_source(path) as source, pytest.raises(IncompatibleError, match="4 channels"):
        load_upscaler(source, "cpu")


def test_a_device_that_is_not_there(make_file: MakeFile) -> None:
    oracle = Rrdb(blocks=1)
    path = make_file("x.safetensors", oracle.new_names(oracle.weights()))
    with open_source(path) as source, pytest.raises(UsageError, match="no device 'tpu'"):
        load_upscaler(source, "tpu")


@torch.inference_mode()
def test_half_precision_in_the_file_and_in_use(make_file: MakeFile) -> None:
    oracle = Rrdb(blocks=1)
    half = {name: tensor.half() for name, tensor in oracle.weights().items()}
    path = make_file("x.safetensors", oracle.new_names(half))
    x = torch.rand(1, 3, 8, 8)
    expected = oracle.enlarge({name: tensor.float() for name, tensor in half.items()}, x)
    with open_source(path) as source:
        torch.testing.assert_close(load_upscaler(source, "cpu").network(x), expected, rtol=1e-4, atol=1e-5)
        upscaler = load_upscaler(source, "cpu", dtype=torch.bfloat16)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert upscaler(pixels).shape == (32, 32, 3) and upscaler.dtype == torch.bfloat16


def test_without_spandrel(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)  # as if it were not installed
    with open_source(make_file("s.safetensors", SWINIR)) as source, pytest.raises(IncompatibleError) as caught:
        load_upscaler(source, "cpu", name="s")
    assert "SwinIR" in caught.value.message and "not installed: spandrel" in caught.value.message
    assert "pip install modelhub[upscalers]" in caught.value.hint


@pytest.mark.parametrize(
    "trouble", ["raise RuntimeError('operator torchvision::nms does not exist')", "import torchvision_is_gone"]
)
def test_spandrel_with_a_torchvision_that_does_not_fit(
    trouble: str, make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "spandrel").mkdir(parents=True)
    (tmp_path / "site" / "spandrel" / "__init__.py").write_text(trouble)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    with open_source(make_file("s.safetensors", SWINIR)) as source, pytest.raises(IncompatibleError) as caught:
        load_upscaler(source, "cpu")
    assert "cannot be imported" in caught.value.message and "torchvision" in caught.value.message
    assert f"torch {torch.__version__}" in caught.value.hint


class Descriptor:
    """As much of spandrel's as is used: it calls its model with one picture at a time."""

    def __init__(self, state: dict[str, torch.Tensor], **facts: object) -> None:
        self.state, self.model = state, nn.PixelShuffle(1)
        self.scale = self.input_channels = self.output_channels = 1
        self.purpose, self.supports_half, self.tiling = "Restoration", False, "supported"
        self.size_requirements = SimpleNamespace(multiple_of=24)
        self.__dict__.update(facts)

    def to(self, device: torch.device, dtype: torch.dtype) -> Descriptor:
        self.dtype = dtype
        return self

    def eval(self) -> Descriptor:
        return self

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[0] == 1 and x.dtype == self.dtype
        return 1 - x


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module spandrel that builds a `Descriptor` with `facts`, and keeps it as `built`; or raises `error`."""
    ours = SimpleNamespace(facts={}, built=None, error=None)
    module = ModuleType("spandrel")

    class Loader:
        def __init__(self, device: torch.device) -> None:
            pass

        def load_from_state_dict(self, state: dict[str, torch.Tensor]) -> Descriptor:
            if ours.error:
                raise ours.error
            ours.built = Descriptor(state, **ours.facts)
            return ours.built

    module.ModelLoader, module.ImageModelDescriptor = Loader, Descriptor
    module.UnsupportedModelError = type("UnsupportedModelError", (Exception,), {})
    module.ModelTiling = SimpleNamespace(INTERNAL="internal")
    ours.module = module
    monkeypatch.setitem(sys.modules, "spandrel", module)
    return ours


def test_spandrel_gets_what_we_read(spandrel: SimpleNamespace, tmp_path: Path) -> None:
    torch.save({"params_ema": SWINIR}, tmp_path / "s.pth")
    with open_source(tmp_path / "s.pth") as source:
        upscaler = load_upscaler(source, "cpu", name="s", dtype=torch.float16, tiling=Tiling(96, 16))
    assert spandrel.built.state.keys() == SWINIR.keys()
    assert all(torch.equal(tensor, SWINIR[name]) for name, tensor in spandrel.built.state.items())
    assert (upscaler.architecture, upscaler.dtype, upscaler.multiple) == ("swinir", torch.float32, 24)
    assert upscaler.tiling == Tiling(96, 16)
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    assert np.array_equal(upscaler(pixels), 255 - pixels), "of one channel: three pictures, one by one"


def test_what_tiles_by_itself_is_left_alone(spandrel: SimpleNamespace, make_file: MakeFile) -> None:
    spandrel.facts = {"tiling": "internal"}
    with open_source(make_file("s.safetensors", SWINIR)) as source:
        assert load_upscaler(source, "cpu").tiling.size == 0


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"purpose": "FaceSR"}, "does not enlarge whole pictures"),
        ({"input_channels": 4}, "takes pictures of 4 channels"),
        ({"output_channels": 3}, "gives 3"),
    ],
)
def test_what_is_not_for_pictures(
    facts: dict[str, object], said: str, spandrel: SimpleNamespace, make_file: MakeFile
) -> None:
    spandrel.facts = facts
    with open_source(make_file("s.safetensors", SWINIR)) as source, pytest.raises(IncompatibleError, match=said):
        load_upscaler(source, "cpu")


@pytest.mark.parametrize("kind", ["UnsupportedModelError", "RuntimeError", "KeyError"])
def test_what_spandrel_cannot_build(kind: str, spandrel: SimpleNamespace, make_file: MakeFile) -> None:
    error = getattr(spandrel.module, kind, None) or {"RuntimeError": RuntimeError, "KeyError": KeyError}[kind]
    spandrel.error = error("size mismatch\x1b[31m")
    with open_source(make_file("s.safetensors", SWINIR)) as source, pytest.raises(IncompatibleError) as caught:
        load_upscaler(source, "cpu")
    assert (
        "SwinIR" in caught.value.message
        and "size mismatch" in caught.value.message
        and "\x1b" not in caught.value.message
    )


_REAL = """
import sys, types
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = types.ModuleType(name)  # three names of it are imported, and not used here
sys.modules["torchvision.transforms"].InterpolationMode = sys.modules["torchvision.transforms.functional"].InterpolationMode = object
sys.modules["torchvision.transforms.functional"].rotate = sys.modules["torchvision.transforms.functional"].normalize = None
import numpy as np, torch
import spandrel
from spandrel.architectures.SwinIR import SwinIR
from spandrel.architectures.ESRGAN import ESRGAN
from modelhub.formats.opening import open_source
from modelhub.preview.upscaling.loading import load_upscaler
from modelhub.preview.upscaling.tiling import Tiling
torch.manual_seed(0)
pixels = np.random.default_rng(0).integers(0, 256, (19, 26, 3), dtype=np.uint8)
models = [SwinIR(img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, upscale=2, upsampler="pixelshuffle"),
          ESRGAN(num_filters=8, num_blocks=2, scale=4), ESRGAN(num_filters=8, num_blocks=1, scale=4, plus=True)]
for model in models:
    torch.save({"params": model.state_dict()}, sys.argv[1])
    with open_source(sys.argv[1]) as source:
        upscaler = load_upscaler(source, "cpu", tiling=Tiling(0))
    found = spandrel.ModelLoader().load_from_state_dict(model.state_dict())
    x = torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    expected = (found(x)[0] * 255).round().permute(1, 2, 0).byte().numpy()[..., ::-1]
    away = abs(upscaler(pixels).astype(int) - expected)
    assert away.max() <= 1 and away.mean() < 1e-3, upscaler.architecture
    print(upscaler.architecture, upscaler.scale)
"""


@pytest.mark.skipif(find_spec("spandrel") is None, reason="spandrel is not installed")
def test_against_spandrel_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _REAL, str(tmp_path / "x.pth")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == ["swinir 2", "esrgan-old 4", "esrgan-old 4"]
