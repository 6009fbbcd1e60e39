"""Quantiles of the beta distribution against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelhub.preview.sampling.beta import cumulative, quantile

SHAPES = [(0.6, 0.6), (1.0, 1.0), (0.5, 2.0), (3.0, 0.2), (0.1, 0.1), (20.0, 30.0)]


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_quantiles_equal_those_of_scipy(alpha: float, beta: float) -> None:
    parts = [*np.linspace(0, 1, 20), 1e-4, 1 - 1e-6]
    found = [quantile(part, alpha, beta) for part in parts]
    np.testing.assert_allclose(found, stats.beta.ppf(parts, alpha, beta), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_the_distribution_equals_that_of_scipy(alpha: float, beta: float) -> None:
    places = [-1.0, 0.0, 1e-12, 0.01, 0.3, 0.5, 0.77, 1 - 1e-9, 1.0, 2.0]
    found = [cumulative(place, alpha, beta) for place in places]
    np.testing.assert_allclose(found, stats.beta.cdf(places, alpha, beta), rtol=1e-10, atol=1e-14)


def test_very_small_quantiles_keep_their_digits() -> None:
    assert quantile(1e-9, 0.5, 2.0) == pytest.approx((1e-9 / 1.5) ** 2, rel=1e-9)
    assert cumulative(quantile(1e-30, 0.6, 0.6), 0.6, 0.6) == pytest.approx(1e-30, rel=1e-9)
