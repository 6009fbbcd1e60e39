"""Merges beside their parents: which pictures are compared, and under which names."""

from __future__ import annotations

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.grids.axes import model_axis, read_axis
from modelhub.preview.grids.cells import cells
from modelhub.preview.grids.family import Family, check_comparable, compared
from modelhub.preview.grids.painting import Painted
from modelhub.preview.grids.wish import Wish
from modelhub.preview.pictures.picture import Picture
from modelhub.preview.request import Hires, Request

REQUEST = Request("a cat", seed=7)


def painted(axes):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pictures = {}
    for cell in cells(Wish("a"), REQUEST, axes):
        pixels = np.roll(noise, cell.place[0], axis=0)
        pictures[cell.place] = Painted(cell, Picture(pixels, cell.request.seed, "", 0.0, 0.0, ()), ())
    return pictures


def test_models_of_one_name_in_different_folders_are_told_apart() -> None:
    models = model_axis("model", ["a/model.safetensors", "b/model.safetensors", "c/"])
    assert models.labels == ["model", "model", "c"]
    axes = [models, read_axis("seed=1,2", REQUEST)]
    (one,) = compared(axes, Family(0, (0,), (1, 2)), painted(axes))
    assert one.report.merge == "model (1)"


def test_the_axis_over_the_size_of_the_second_pass_beats_a_size_in_pixels() -> None:
    axis = read_axis("hires=1.5", REQUEST)
    request = Request("a cat", hires=Hires(width=512, height=512))
    _, found = axis.apply(Wish("a"), request, axis.values[0])
    assert found.hires == Hires(scale=1.5)


def test_pictures_that_will_have_other_sizes_are_known_before_they_are_rendered() -> None:
    axes = [model_axis("model", ["a", "b"]), read_axis("size=64x64,128x128", REQUEST), read_axis("seed=1,2", REQUEST)]
    places = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    family = Family(0, (0,), (1,))
    check_comparable(axes, family, {place: (64 * (place[1] + 1),) * 2 for place in places})
    check_comparable(axes, family, {place: (64 * (1 + place[0] * place[1]),) * 2 for place in places})
    with pytest.raises(UsageError, match="different sizes"):
        check_comparable(axes, family, {place: (64 * (1 + place[0]),) * 2 for place in places})
