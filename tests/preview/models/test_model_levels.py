"""Which noise levels a model gets: its family's, its file's where these are others, stretched where it says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelhub.catalog.identity import Identity
from modelhub.formats.views import Held
from modelhub.preview.models.parameterization import flow_levels, levels_of
from modelhub.preview.sampling.levels import scaled_linear

USUAL = scaled_linear()
DTYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64"}


def file(alphas: torch.Tensor) -> Held:
    data = alphas.contiguous().view(torch.uint8).numpy().tobytes()
    return Held({"alphas_cumprod": (DTYPES[alphas.dtype], tuple(alphas.shape), data)})


def linear(count: int = 1000) -> torch.Tensor:
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, count, dtype=torch.float64), 0)


def test_a_file_without_levels_has_those_of_its_family() -> None:
    assert levels_of(Held({}), Identity()).sigmas.tolist() == USUAL.sigmas.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_levels_that_are_only_rounded_are_those_of_the_family(dtype: torch.dtype) -> None:
    found = levels_of(file(torch.from_numpy(USUAL.alphas).to(dtype)), Identity())
    assert found.sigmas.tolist() == USUAL.sigmas.tolist()


@pytest.mark.parametrize("count", [1000, 500])
def test_other_levels_count(count: int) -> None:
    alphas = linear(count)
    found = levels_of(file(alphas.float()), Identity())
    np.testing.assert_allclose(found.sigmas, ((1 - alphas) / alphas).sqrt(), rtol=1e-3)


def test_a_last_level_of_noise_alone_is_as_in_a1111() -> None:
    alphas = linear()
    alphas[-1] = 0
    assert levels_of(file(alphas.float()), Identity()).highest == pytest.approx(4518.76, rel=1e-6)


@pytest.mark.parametrize(
    "alphas",
    [
        linear()[None],
        linear().flip(0),
        linear() * 2,
        linear() - 0.5,
        torch.full((1000,), torch.nan),
        linear().masked_fill(torch.arange(1000) == 7, torch.inf),
        torch.tensor([0.9]),
    ],
    ids=["2-D", "rising", "above 1", "negative", "NaN", "infinite", "one"],
)
def test_what_cannot_be_levels_does_not_count(alphas: torch.Tensor) -> None:
    assert levels_of(file(alphas.float()), Identity()).sigmas.tolist() == USUAL.sigmas.tolist()


def test_zero_snr_is_asked_for_or_told_by_the_file() -> None:
    told = Identity(facts={"zero_terminal_snr": True})
    assert levels_of(Held({}), told).highest == pytest.approx(4518.76, rel=1e-6)
    assert levels_of(Held({}), Identity(), zero_snr=True).highest == pytest.approx(4518.76, rel=1e-6)
    assert levels_of(Held({}), told, zero_snr=False).highest == USUAL.highest


@pytest.mark.parametrize(("guided", "mu"), [(True, 1.15), (False, 1.0)])
def test_flux_is_shifted_by_e_to_the_mu(guided: bool, mu: float) -> None:
    levels = flow_levels(guided=guided)
    assert levels.sigmas[4999] == pytest.approx(np.exp(mu) / (np.exp(mu) + 1), rel=1e-6)
