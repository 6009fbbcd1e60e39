"""Pictures of the demo's models: what went wrong is said, and nothing is said of those that are as they should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from small_pictures import one_thread
from torch import Tensor

from modelhub.catalog.data import data_path
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.preview.checking.figures import Pixels, figures, neighbourliness
from modelhub.preview.checking.looks import looks
from modelhub.preview.pictures.picture import to_pixels
from modelhub.preview.render import Renderer
from modelhub.preview.request import Request

SHAPES = (
    "a red circle on a blue background",
    "a white star on a green background",
    "a black ring on a yellow background",
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with one_thread(), SafetensorsFile(data_path("demo", "tiny-shapes-base.safetensors")) as source:
        yield Renderer(source, name="base", device="cpu")


def decoded(renderer: Renderer, latents: Tensor) -> Pixels:
    with torch.inference_mode():
        return to_pixels(renderer.model.decode(latents))


@pytest.mark.parametrize("prompt", SHAPES)
def test_nothing_is_said_of_good_pictures(renderer: Renderer, prompt: str) -> None:
    for picture in renderer.render(Request(prompt, steps=8, cfg=3.5, seed=20, batch=4)).pictures:
        assert picture.warnings == ()
        assert looks(picture.pixels) == ()


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_random_latents_are_noise(renderer: Renderer, spread: float) -> None:
    latents = torch.randn((4, 24, 24), generator=torch.Generator().manual_seed(3)) * spread
    (sentence,) = looks(decoded(renderer, latents), latents)
    assert "noise" in sentence and "steps" in sentence


def test_latents_far_out_of_range_are_said(renderer: Renderer) -> None:
    latents = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(1)) * 14.6
    (sentence,) = looks(decoded(renderer, latents), latents)
    assert "times as wide" in sentence and "prediction type" in sentence


def test_a_wrong_scale_washes_out(renderer: Renderer) -> None:
    latents = torch.linspace(-1, 1, 8).expand(4, 8, 8) * torch.tensor([1.0, -1.0, 0.5, 1.0])[:, None, None]
    pale = decoded(renderer, latents * 0.1)
    assert figures(pale).span < 84
    (sentence,) = looks(pale, latents)
    assert "washed out" in sentence and "--vae" in sentence


@pytest.mark.parametrize(
    ("pixels", "word"),
    [
        (np.zeros((64, 64, 3), np.uint8), "black"),
        (np.full((64, 64, 3), 90, np.uint8), "one flat colour"),
        (np.full((64, 64, 3), (215, 40, 45), np.uint8), "one flat colour"),
        (np.random.default_rng(0).integers(100, 106, (64, 64, 3), np.uint8), "almost one flat colour"),
        (np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "noise"),
    ],
)
def test_pixels_alone(pixels: Pixels, word: str) -> None:
    (sentence,) = looks(pixels)
    assert word in sentence and sentence.endswith(".")


@pytest.mark.parametrize(
    ("back", "shape"),
    [((240, 240, 240), (232, 226, 228)), ((20, 20, 20), (40, 34, 30)), ((45, 75, 215), (52, 82, 208))],
)
def test_a_shape_in_the_colour_of_its_background_is_what_was_asked_for(
    back: Sequence[int], shape: Sequence[int]
) -> None:
    pixels = np.full((64, 64, 3), back, np.uint8)
    pixels[16:48, 16:48] = shape
    grain = np.random.default_rng(0).integers(-3, 4, pixels.shape)
    assert looks(np.clip(pixels + grain, 0, 255).astype(np.uint8), torch.randn((4, 8, 8))) == ()


def test_values_that_are_no_numbers() -> None:
    pixels, latents = np.zeros((64, 64, 3), np.uint8), torch.zeros(4, 8, 8)
    assert "denoiser" in looks(pixels, torch.full((4, 8, 8), math.nan))[0]
    assert "VAE" in looks(pixels, latents, torch.full((3, 64, 64), math.inf))[0]


def test_stripes_and_checks_of_any_width_are_no_noise() -> None:
    rows = np.arange(128)[:, None, None]
    for width in (4, 8, 12, 16, 24):
        stripes = np.broadcast_to(np.where(rows // width % 2 == 0, 40, 220), (128, 128, 3)).astype(np.uint8)
        assert looks(stripes) == ()
        assert looks(stripes.transpose(1, 0, 2)) == ()


def test_figures_of_what_is_known() -> None:
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, 16:] = (200, 100, 0)
    found = figures(half)
    assert found.mean == pytest.approx(50) and found.saturation == pytest.approx(100) and found.span == 200
    assert found.contrast == pytest.approx((0.299 * 200 + 0.587 * 100) / 2, rel=1e-4)
    smooth = figures(np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None, None] * 4, (32, 32, 3)))
    assert smooth.detail == pytest.approx(0, abs=1e-3) and smooth.structure > 0.5
    assert found.spread == pytest.approx(np.sqrt((100**2 + 50**2) / 3), rel=1e-4) and found.low == 0
    names = {"mean", "std", "spread", "low", "span", "saturation", "contrast", "detail", "structure"}
    assert set(found.as_dict()) == names


def test_neighbours_of_noise_have_nothing_in_common() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 200, 200))
    assert abs(neighbourliness(noise)) < 0.02
    smooth = (noise[:, :-1] + noise[:, 1:]) / 2
    assert neighbourliness(smooth) == pytest.approx(0.5, abs=0.02)
    assert neighbourliness(np.ones((1, 4, 4))) == 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2, 3), (9, 15, 3), (16, 8, 3)])
def test_pictures_of_any_size_are_measured(shape: tuple[int, int, int]) -> None:
    looks(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
