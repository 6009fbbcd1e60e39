"""From images to bytes, and what is said about pictures that cannot be right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from modelhub.preview.pictures.approximation import Approximation
from modelhub.preview.pictures.picture import develop, to_pixels

LATENTS = torch.zeros(4, 2, 2)


@pytest.mark.parametrize(
    ("value", "byte"), [(-1, 0), (1, 255), (-3, 0), (9, 255), (0, 127), (0.999, 254), (math.nan, 0), (math.inf, 255)]
)
def test_bytes_are_cut_and_clamped(value: float, byte: int) -> None:
    assert to_pixels(torch.full((3, 2, 2), float(value))).tolist() == [[[byte] * 3] * 2] * 2


def test_channels_come_last_and_rows_stay_rows() -> None:
    image = torch.full((3, 2, 4), -1.0)
    image[0, 1, 3] = 1.0
    pixels = to_pixels(image)
    assert pixels.shape == (2, 4, 3)
    assert pixels.dtype == np.uint8
    assert np.argwhere(pixels).tolist() == [[1, 3, 0]]


@pytest.mark.parametrize(
    ("image", "warning"),
    [
        (torch.full((3, 8, 8), -1.0), "black"),
        (torch.full((3, 8, 8), 0.3), "one flat colour"),
        (torch.linspace(0, 0.03, 64).expand(3, 8, 64), "almost one flat colour"),
        (torch.linspace(-0.1, 0.1, 64).expand(3, 8, 64), "washed out"),
        (torch.full((3, 8, 8), math.nan), "VAE"),
    ],
)
def test_what_cannot_be_right_is_said(image: Tensor, warning: str) -> None:
    (sentence,) = develop(image, LATENTS, 1, "").warnings
    assert warning in sentence


def test_broken_latents_are_blamed_on_the_denoiser() -> None:
    broken = torch.full_like(LATENTS, math.nan)
    (sentence,) = develop(torch.full((3, 8, 8), math.nan), broken, 1, "").warnings
    assert "denoiser" in sentence


def test_a_good_picture_has_its_mean_and_spread_and_no_warning() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(3, 64, 64)
    picture = develop(ramp, torch.linspace(-1, 1, 8).expand(4, 8, 8), 5, "text")
    assert picture.warnings == ()
    assert picture.mean == pytest.approx(127, abs=3)
    assert picture.std == pytest.approx(255 / math.sqrt(12), abs=3)
    assert (picture.seed, picture.infotext) == (5, "text")


def test_the_approximation_of_a_linear_decoder_is_exact() -> None:
    matrix, offset = torch.randn(3, 4) * 0.2, torch.tensor([0.1, -0.2, 0.3])[:, None, None]

    def decode(latents: Tensor) -> Tensor:
        image = torch.einsum("oc,chw->ohw", matrix, latents) + offset
        return image.repeat_interleave(8, 1).repeat_interleave(8, 2)

    latents = torch.randn(4, 5, 7)
    found = Approximation(decode, 4, torch.device("cpu"))(latents)
    assert found.shape == (5, 7, 3)
    assert np.abs(found.astype(int) - to_pixels(decode(latents))[::8, ::8].astype(int)).max() <= 1
