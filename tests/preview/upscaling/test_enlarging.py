"""Enlarging to a goal: how often an upscaler is used, and what LANCZOS does between and behind, as in A1111."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modelhub.errors import NotFoundError, UsageError
from modelhub.jobs import QUIET
from modelhub.preview.upscaling.enlarging import enlarged, repeated
from modelhub.preview.upscaling.names import PIXEL_UPSCALERS, pixel_upscaler, without_file
from modelhub.preview.upscaling.tiling import Pixels
from modelhub.preview.upscaling.upscaler import Upscaler

RNG = np.random.default_rng(0)
LANCZOS, NEAREST = Image.Resampling.LANCZOS, Image.Resampling.NEAREST


class Counted(Upscaler):
    """Whole pixels, counted."""

    def __init__(self, scale: int) -> None:
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "used", [])

    def __call__(self, pixels: Pixels, job: object = QUIET) -> Pixels:
        self.used.append(pixels.shape[:2])  # type: ignore[attr-defined]
        return pixels.repeat(self.scale, 0).repeat(self.scale, 1)


def _a1111(pixels: Pixels, width: int, height: int, scale: int) -> tuple[Pixels, int]:
    """The steps of A1111's `resize_image` and `Upscaler.upscale`, in Pillow's words; and how often the network ran."""
    image, used = Image.fromarray(pixels), 0
    factor = max(width / image.width, height / image.height)
    if factor > 1:
        goal = (int((image.width * factor) // 8 * 8), int((image.height * factor) // 8 * 8))
        while used < 3 and (image.width < goal[0] or image.height < goal[1]):
            before = image.size
            image = image.resize((image.width * scale, image.height * scale), NEAREST)
            used += 1
            if image.size == before:
                break
        if image.size != goal:
            image = image.resize(goal, LANCZOS)
    if image.size != (width, height):
        image = image.resize((width, height), LANCZOS)
    return np.array(image), used


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(
    ("old", "goal"),
    [
        ((64, 64), (128, 128)), ((64, 48), (128, 96)), ((64, 64), (96, 96)), ((64, 64), (70, 70)), ((64, 64), (67, 67)),
        ((50, 30), (199, 130)), ((24, 24), (240, 240)), ((16, 16), (160, 160)), ((16, 16), (1040, 1040)),
        ((64, 64), (64, 64)), ((64, 64), (32, 48)), ((64, 32), (64, 64)), ((5, 5), (7, 9)), ((66, 66), (70, 70)),
    ],
)  # fmt: skip
def test_the_way_of_a1111(old: tuple[int, int], goal: tuple[int, int], scale: int) -> None:
    pixels = RNG.integers(0, 256, (old[1], old[0], 3), dtype=np.uint8)
    upscaler = Counted(scale)
    if old == (5, 5):  # where A1111 asks Pillow for a side of 0
        assert enlarged(pixels, *goal, upscaler).shape == (goal[1], goal[0], 3)
        return
    expected, used = _a1111(pixels, *goal, scale)
    found = enlarged(pixels, *goal, upscaler)
    assert np.array_equal(found, expected) and len(upscaler.used) == used


@pytest.mark.parametrize("name", ["Lanczos", "nearest", "NONE"])
def test_without_a_file(name: str) -> None:
    pixels = RNG.integers(0, 256, (33, 50, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    factor = max(75 / 50, 49 / 33)
    exact = (int(50 * factor), int(33 * factor))
    steps = {"Lanczos": [(exact, LANCZOS)], "nearest": [(exact, NEAREST)], "NONE": []}[name]
    if steps:
        steps += [((exact[0] // 8 * 8, exact[1] // 8 * 8), LANCZOS)]
    for size, how in [*steps, ((75, 49), LANCZOS)]:
        image = image.resize(size, how) if image.size != size else image
    assert np.array_equal(enlarged(pixels, 75, 49, name), np.array(image))


def test_repeated_goes_straight_to_the_goal() -> None:
    pixels = RNG.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    upscaler = Counted(4)
    found = repeated(pixels, 35, 25, upscaler)
    larger = Image.fromarray(pixels.repeat(4, 0).repeat(4, 1)).resize((35, 25), LANCZOS)
    assert np.array_equal(found, np.array(larger)) and len(upscaler.used) == 1
    assert np.array_equal(repeated(pixels, 56, 40, upscaler), pixels.repeat(4, 0).repeat(4, 1))
    assert np.array_equal(repeated(pixels, 28, 20, "Nearest"), pixels.repeat(2, 0).repeat(2, 1))


def test_what_only_restores_is_used_once() -> None:
    pixels = RNG.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    upscaler = Counted(1)
    assert repeated(pixels, 14, 10, upscaler).shape == pixels.shape and len(upscaler.used) == 1
    assert repeated(pixels, 28, 20, upscaler).shape == (20, 28, 3) and len(upscaler.used) == 2


def test_names() -> None:
    assert [pixel_upscaler(name.upper()) for name in PIXEL_UPSCALERS] == list(PIXEL_UPSCALERS)
    assert pixel_upscaler("4x-UltraSharp") is None and pixel_upscaler("latent") is None
    assert without_file("latent (BICUBIC)") == "Latent (bicubic)" and without_file("lanczos") == "Lanczos"
    pixels = np.zeros((8, 8, 3), np.uint8)
    for call in (enlarged, repeated):
        with pytest.raises(NotFoundError, match="no upscaler 'Latent'"):
            call(pixels, 16, 16, "Latent")
        with pytest.raises(UsageError, match="larger than modelhub makes"):
            call(pixels, 100_000, 100_000, "Lanczos")
