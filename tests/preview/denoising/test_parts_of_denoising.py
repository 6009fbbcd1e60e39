"""Masks, the refiner's switch and the sizes of SDXL, each by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modelhub.preview.denoising.masked import Masked
from modelhub.preview.denoising.sizes import scored, sizes, with_sizes
from modelhub.preview.denoising.switching import Switching
from modelhub.preview.denoising.text import Branch, Conditioning, Script, Text
from modelhub.preview.sampling.levels import scaled_linear


class Halving:
    """A denoiser that answers half of what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.shown.append(x)
        return x / 2

    def apart(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        return self(x, sigma), x / 4


MASK = torch.tensor([[1.0, 0.0], [0.5, 1.0]])[None, None]


def test_what_is_masked_out_stays_in_the_answer() -> None:
    x, kept, inner = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2), Halving()
    masked = Masked(inner, kept, MASK)
    clean, uncond = masked.apart(x, 3.0)
    assert torch.equal(inner.shown[0], x)
    torch.testing.assert_close(clean, x / 2 * MASK + kept * (1 - MASK))
    torch.testing.assert_close(uncond, x / 4 * MASK + kept * (1 - MASK))
    torch.testing.assert_close(masked(x, 3.0), clean)


def test_samplers_of_timesteps_are_shown_it_without_noise() -> None:
    """In the scaling of timesteps the shown latents are x m + kept (1 - m), and the noise seen in them is x's."""
    sigma, inner = 3.0, Halving()
    x, kept = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    scale = math.sqrt(1 + sigma**2)
    clean = Masked(inner, kept, MASK, before=True)(x, sigma)
    expected = x / scale * MASK + kept * (1 - MASK)
    torch.testing.assert_close(inner.shown[0] / scale, expected)
    torch.testing.assert_close((x - clean) / sigma, (inner.shown[0] - inner.shown[0] / 2) / sigma)


class Counting(Halving):
    """One that knows how often it was called, and which model it is."""

    def __init__(self, calls: int = 0) -> None:
        super().__init__()
        self.calls = calls

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return super().__call__(x, sigma)


@pytest.mark.parametrize(("at", "expected"), [(0.0, 0), (0.2, 2), (0.8, 8), (1.0, 10)])
def test_the_refiner_takes_over_by_timesteps(at: float, expected: int) -> None:
    """At timestep t, (999 - t) / 1000 of the way is done."""
    levels = scaled_linear()
    first, made = Counting(), []

    def second(calls: int) -> Any:
        made.append(calls)
        return Counting(calls)

    switching = Switching(first, second, levels, at)  # type: ignore[arg-type]
    for timestep in np.linspace(999, 99, 10):
        switching(torch.zeros(1, 4, 1, 1), float(levels.sigmas[int(timestep)]))
    assert first.calls == expected
    assert made == ([expected] if expected < 10 else [])
    assert switching.switched == (expected < 10)


def test_timesteps_between_two_are_cut() -> None:
    """UniPC with 10 steps is at 199.8 after 8, which A1111 cuts to 199: 0.8 of the way is done."""
    levels = scaled_linear()
    for cut, expected in ((True, 8), (False, 9)):
        first = Counting()
        second: Any = lambda calls: Counting(calls)  # noqa: E731
        switching = Switching(first, second, levels, 0.8, cut=cut)  # type: ignore[arg-type]
        for sigma in levels.at(np.linspace(999, 0, 11))[:-1]:
            switching(torch.zeros(1, 4, 1, 1), float(sigma))
        assert first.calls == expected


@pytest.mark.parametrize("timestep", [1, 51, 199, 401, 951, 999])
def test_whole_timesteps_stay_when_they_are_cut(timestep: int) -> None:
    levels = scaled_linear()
    for at, expected in (((999 - timestep) / 1000, True), ((999.5 - timestep) / 1000, False)):
        switching = Switching(Counting(), lambda calls: Counting(calls), levels, at, cut=True)  # type: ignore[arg-type, return-value]
        switching(torch.zeros(1, 4, 1, 1), float(levels.sigmas[timestep]))
        assert switching.switched == expected


def test_the_refiner_does_not_give_back() -> None:
    levels, first = scaled_linear(), Counting()
    switching = Switching(first, lambda calls: Counting(calls), levels, 0.5)  # type: ignore[arg-type, return-value]
    for timestep in (100, 900):
        switching(torch.zeros(1, 4, 1, 1), float(levels.sigmas[timestep]))
    assert first.calls == 0


def test_sizes_are_told_behind_the_vector() -> None:
    """Height, width, crop and goal as 256 cosines and sines each, as diffusers makes them of the pipeline's ids."""
    from diffusers.models.embeddings import get_timestep_embedding

    text = Text(torch.zeros(77, 8), torch.tensor([1.0, 2.0]))
    told = Conditioning((Branch(Script(((9, text),)), 0.5),), Script(((9, text),)))
    found = with_sizes(told, sizes(640, 512), scored(640, 512, 2.5))
    assert found.prompt[0].weight == 0.5
    for script, ids in ((found.prompt[0].script, (512, 640, 0, 0, 512, 640)), (found.negative, (512, 640, 0, 0, 2.5))):
        vector = script.at(1).pooled
        assert vector is not None and vector[:2].tolist() == [1, 2]
        expected = get_timestep_embedding(torch.tensor(ids), 256, flip_sin_to_cos=True, downscale_freq_shift=0)
        torch.testing.assert_close(vector[2:], expected.flatten(), atol=1e-4, rtol=1e-4)
