"""An upscaler: what its network is given and what becomes of its answer, tiles, cancelling; and the trained ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from upscaler_names import Rrdb, compact_enlarge, compact_weights

from modelhub.catalog.data import data_path
from modelhub.demo.palette import PALETTE
from modelhub.demo.shapes import SHAPES, SIZE, coverage
from modelhub.errors import CancelledError, IncompatibleError, UsageError
from modelhub.formats.opening import open_source
from modelhub.jobs import Event, Job
from modelhub.preview.upscaling.loading import load_upscaler
from modelhub.preview.upscaling.tiling import Pixels, Tiling
from modelhub.preview.upscaling.upscaler import Upscaler

RNG = np.random.default_rng(0)
MakeFile = Callable[..., Path]


class Nearest(nn.Module):
    """Enlarges by whole pixels, plus `change`, and notes what it was given."""

    def __init__(self, scale: int = 2, change: float = 0.0) -> None:
        super().__init__()
        self.scale, self.change = scale, change
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return F.interpolate(x, scale_factor=self.scale, mode="nearest") + self.change


def _upscaler(network: Nearest, **changes: object) -> Upscaler:
    plain = Upscaler("plain", "esrgan-new", network.scale, 3, network, network, torch.device("cpu"))
    return replace(plain, **changes)


def _noise(height: int, width: int) -> Pixels:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_the_order_of_colours(order: str) -> None:
    network, pixels = Nearest(), _noise(5, 7)
    assert np.array_equal(_upscaler(network, order=order)(pixels), pixels.repeat(2, 0).repeat(2, 1))
    (seen,) = network.seen
    expected = torch.from_numpy((pixels[..., ::-1] if order == "bgr" else pixels).copy()).permute(2, 0, 1) / 255
    assert seen.dtype == torch.float32 and torch.equal(seen, expected[None])


def test_as_a1111_blue_is_first_unless_told() -> None:
    assert _upscaler(Nearest()).order == "bgr"
    with pytest.raises(UsageError, match="grb"):
        _upscaler(Nearest(), order="grb")


def test_answers_are_clamped_and_rounded() -> None:
    pixels = np.array([[[0, 128, 254]]], np.uint8)
    assert _upscaler(Nearest(1, 0.6 / 255))(pixels).tolist() == [[[1, 129, 255]]]
    assert _upscaler(Nearest(1, 0.4 / 255))(pixels).tolist() == [[[0, 128, 254]]]
    assert _upscaler(Nearest(1, 0.7))(pixels).tolist() == [[[178, 255, 255]]]
    assert _upscaler(Nearest(1, -0.7))(pixels).tolist() == [[[0, 0, 76]]]


def test_a_network_of_one_channel_keeps_colours() -> None:
    network, pixels = Nearest(), _noise(6, 4)
    assert np.array_equal(_upscaler(network, channels=1)(pixels), pixels.repeat(2, 0).repeat(2, 1))
    assert network.seen[0].shape == (3, 1, 6, 4)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_are_no_numbers_is_said(wrong: float) -> None:
    with pytest.raises(IncompatibleError, match="plain returned values that are not numbers"):
        _upscaler(Nearest(change=wrong))(_noise(4, 4))


def _tiled(upscaler: Upscaler, size: int, overlap: int | None = None) -> Upscaler:
    return replace(upscaler, tiling=Tiling.of(size, overlap))


def test_no_tile_is_larger_than_asked_for_and_each_is_reported() -> None:
    network, events = Nearest(), []
    job = Job("test", events.append, interval=0)
    pixels = _noise(150, 200)
    found = _upscaler(network, tiling=Tiling(64, 16))(pixels, job)
    assert np.array_equal(found, pixels.repeat(2, 0).repeat(2, 1))
    assert len(network.seen) == 3 * 4 == events[-1].total == events[-1].done
    assert {event.phase for event in events} == {"upscaling"} and events[-1].unit == "tiles"
    assert max(max(tile.shape[-2:]) for tile in network.seen) <= 64


def test_other_tiles() -> None:
    assert Tiling.of(96) == Tiling(96, 32) and Tiling.of(overlap=16) == Tiling(192, 16)
    assert Tiling.of(48) == Tiling(48, 16) and Tiling.of(0) == Tiling(0, 0)
    assert Tiling.of(0).spans(5000) == [(0, 5000)]


def test_cancelling_stops_within_a_tile() -> None:
    layers = [Nearest(1) for _ in range(9)]
    network = nn.Sequential(*layers)
    job = Job("test")
    layers[3].register_forward_hook(lambda *_: job.cancel())
    upscaler = Upscaler("deep", "esrgan-new", 1, 3, network, network, torch.device("cpu"))
    with pytest.raises(CancelledError):
        upscaler(_noise(8, 8), job)
    assert [len(layer.seen) for layer in layers] == [1] * 4 + [0] * 5
    assert not any(layer._forward_pre_hooks for layer in layers), "nothing stays behind"


def test_what_is_too_large_is_refused() -> None:
    network = Nearest(64)
    with pytest.raises(UsageError, match="64000 by 6400"):
        _upscaler(network)(np.zeros((100, 1000, 3), np.uint8))
    assert network.seen == []


@pytest.mark.parametrize("fold", [2, 4])
@torch.inference_mode()
def test_folded_pixels_do_not_shift_between_tiles(fold: int, tmp_path: Path) -> None:
    oracle = Rrdb(fold=fold, blocks=1)
    weights = oracle.weights()
    torch.save(oracle.new_names(weights), tmp_path / "x.pth")
    with open_source(tmp_path / "x.pth") as source:
        upscaler = load_upscaler(source, "cpu", order="rgb", tiling=Tiling(0))
    assert upscaler.fold == fold
    pixels = _noise(83 * fold + 3, 75 * fold + 1)
    whole = upscaler(pixels)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = (oracle.enlarge(weights, x)[0].clamp(0, 1) * 255).round().permute(1, 2, 0)
    assert abs(whole.astype(int) - expected.numpy()).max() <= 1
    events: list[Event] = []
    tiled = _tiled(upscaler, 64, 24)(pixels, Job("test", events.append))
    assert events[-1].done == 4
    assert abs(tiled.astype(int) - whole).max() <= 1 and (tiled != whole).mean() < 0.01


@torch.inference_mode()
def test_a_compact_upscaler_leaves_no_seams(make_file: MakeFile) -> None:
    weights = compact_weights(3, 8, 4, 2)
    with open_source(make_file("c.safetensors", weights)) as source:
        upscaler = load_upscaler(source, "cpu", order="rgb")
    pixels = _noise(100, 130)
    tiled = _tiled(upscaler, 64, 24)(pixels)  # six convolutions see six pixels far
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = (compact_enlarge(weights, x, 2)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert (abs(tiled - expected).max() <= 1) and (tiled != expected).mean() < 1e-3


NAMES = ("tiny-realesrgan-x4", "tiny-esrgan-x4-oldarch")


def _trained(name: str, **options: str) -> Upscaler:
    with open_source(data_path("demo") / f"{name}.pth") as source:
        return load_upscaler(source, "cpu", name=name, **options)


def _picture(seed: int, side: int = SIZE) -> Pixels:
    """A shape of one colour on another."""
    rng = np.random.default_rng(seed)
    mask = coverage(SHAPES[seed % 6], [32 + rng.uniform(-8, 8)], [32 + rng.uniform(-8, 8)], [rng.uniform(14, 26)])[0]
    front, back = (np.array(PALETTE[name]) for name in rng.choice(list(PALETTE), 2, replace=False))
    large = front * mask[..., None] + back * (1 - mask[..., None])
    return np.rint(large).astype(np.uint8)


def _psnr(one: Pixels, other: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_the_trained_upscalers_beat_bicubic_in_both_namings_alike(order: str) -> None:
    new, old = (_trained(name, order=order) for name in NAMES)
    assert (new.scale, old.scale, new.architecture, old.architecture) == (4, 4, "esrgan-new", "esrgan-old")
    gains = []
    for seed in range(18):
        large = _picture(seed)
        small = np.rint(large.reshape(16, 4, 16, 4, 3).mean((1, 3))).astype(np.uint8)
        found = new(small)
        assert np.array_equal(found, old(small))
        bicubic = np.array(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        gains.append(_psnr(found, large) - _psnr(bicubic, large))
    assert np.mean(gains) > 2.0 and np.mean(np.array(gains) > 0) > 0.9, gains


def test_the_trained_upscaler_leaves_no_seams() -> None:
    upscaler = _trained(NAMES[0])
    shapes = np.concatenate([_picture(seed) for seed in range(2)], 1)
    for pixels in (shapes, _noise(100, 120)):
        whole = _tiled(upscaler, 0)(pixels).astype(int)
        for size, overlap, share in ((64, 24, 1e-3), (96, 32, 1e-4)):
            found = _tiled(upscaler, size, overlap)(pixels)
            assert abs(found - whole).max() <= 1 and (found != whole).mean() < share
        assert abs(_tiled(upscaler, 48, 0)(pixels) - whole).max() > 10, "without an overlap there are seams"


def test_events_of_loading_and_use() -> None:
    events: list[Event] = []
    with open_source(data_path("demo") / f"{NAMES[0]}.pth") as source:
        upscaler = load_upscaler(source, "cpu", Job("test", events.append))
    upscaler(_noise(16, 16), Job("test", events.append))
    assert list(dict.fromkeys(one.phase for one in events if one.done == one.total)) == ["loading", "upscaling"]


def test_what_does_not_fit_in_memory_is_said() -> None:
    network = Nearest()

    def too_much(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError, match="tile of 4 by 6 pixels does not fit") as caught:
        _upscaler(network, enlarge=too_much)(_noise(6, 4))
    assert "--tile" in caught.value.hint
