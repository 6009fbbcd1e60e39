"""Whole pictures: goals and cuts, transparency apart, and what is noted in their texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.errors import UsageError
from modelhub.formats.whole_images import WholeImage
from modelhub.preview.pictures.infotext import parse_infotext
from modelhub.preview.upscaling.upscaler import Upscaler
from modelhub.preview.upscaling.whole import Goal, natural_goal, noted, upscale

RNG = np.random.default_rng(0)
INFOTEXT = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64"


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="nearest")


UPSCALER = Upscaler("2x-plain", "esrgan-new", 2, 3, Doubling(), Doubling(), torch.device("cpu"))


def _pixels(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("goal", "old", "before", "after", "name"),
    [
        (Goal(4), (10, 7), (40, 28), (40, 28), "x4"),
        (Goal(1.5), (11, 7), (16, 10), (16, 10), "x1.5"),
        (Goal(0.01), (10, 7), (1, 1), (1, 1), "x0.01"),
        (Goal(size=(64, 64)), (32, 16), (128, 64), (64, 64), "64x64"),
        (Goal(size=(30, 64)), (32, 16), (128, 64), (30, 64), "30x64"),
        (Goal(size=(100, 33)), (33, 11), (100, 33), (100, 33), "100x33"),
    ],
)
def test_goals(goal: Goal, old: tuple[int, int], before: tuple[int, int], after: tuple[int, int], name: str) -> None:
    assert (goal.before_cut(*old), goal.after_cut(*old), str(goal)) == (before, after, name)
    image = upscale(WholeImage(_pixels(old[1], old[0])), goal, "lanczos")
    assert image.size == after


def test_the_middle_is_kept() -> None:
    pixels = _pixels(8, 16)
    found = upscale(WholeImage(pixels), Goal(size=(16, 16)), UPSCALER)
    assert np.array_equal(found.pixels, pixels.repeat(2, 0).repeat(2, 1)[:, 8:24])


def test_transparency_goes_its_own_way() -> None:
    pixels, alpha = _pixels(8, 6), RNG.integers(0, 256, (8, 6), dtype=np.uint8)
    found = upscale(WholeImage(pixels, alpha), Goal(2), UPSCALER)
    assert found.alpha is not None
    assert np.array_equal(found.pixels, pixels.repeat(2, 0).repeat(2, 1)), "colours do not depend on transparency"
    assert np.array_equal(found.alpha, alpha.repeat(2, 0).repeat(2, 1))
    cut = upscale(WholeImage(pixels, alpha), Goal(size=(12, 8)), UPSCALER)
    assert cut.alpha is not None and np.array_equal(cut.alpha, alpha.repeat(2, 0).repeat(2, 1)[4:12])


@pytest.mark.parametrize("value", [0, 77, 255])
def test_even_transparency_stays_even(value: int) -> None:
    class Wild(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.rand(1, 3, x.shape[-2] * 2, x.shape[-1] * 2)

    wild = Upscaler("wild", "esrgan-new", 2, 3, Wild(), Wild(), torch.device("cpu"))
    found = upscale(WholeImage(_pixels(4, 4), np.full((4, 4), value, np.uint8)), Goal(2), wild)
    assert found.alpha is not None and found.alpha.shape == (8, 8) and (found.alpha == value).all()


def test_what_was_done_is_noted_as_a1111_does() -> None:
    image = WholeImage(_pixels(8, 8), texts={"parameters": INFOTEXT, "workflow": "{}"}, profile=b"icc")
    found = upscale(image, Goal(2), UPSCALER)
    done = "Postprocess upscale by: 2, Postprocess upscaler: 2x-plain"
    assert found.texts == {"parameters": f"{INFOTEXT}, {done}", "workflow": "{}", "postprocessing": done}
    assert found.profile == b"icc"
    settings = parse_infotext(found.texts["parameters"]).settings
    assert settings["Postprocess upscaler"] == "2x-plain" and settings["Size"] == "64x64"
    cut = upscale(image, Goal(size=(9, 9)), "LANCZOS").texts["postprocessing"]
    assert cut == "Postprocess upscale to: 9x9, Postprocess crop to: 9x9, Postprocess upscaler: Lanczos"


@pytest.mark.parametrize("text", ["", "a plain description, nothing more", '{"prompt": 1}'])
def test_what_is_no_infotext_stays_as_it_is(text: str) -> None:
    texts = {"parameters": text} if text else {}
    assert noted(texts, {"Postprocess upscaler": "x"}) == {**texts, "postprocessing": "Postprocess upscaler: x"}


def test_names_with_commas_are_quoted() -> None:
    settings = {"Postprocess upscale by": "2", "Postprocess upscaler": 'my, "best": one'}
    found = noted({"parameters": INFOTEXT}, settings)["parameters"]
    assert parse_infotext(found).settings["Postprocess upscaler"] == 'my, "best": one'


def test_how_large_is_natural() -> None:
    assert natural_goal(UPSCALER) == Goal(2)
    with pytest.raises(UsageError, match="Lanczos makes pictures of any size"):
        natural_goal("lanczos")
