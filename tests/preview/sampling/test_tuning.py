"""Tuning says which numbers mean nothing."""

from __future__ import annotations

import math

import pytest

from modelhub.errors import UsageError
from modelhub.preview.sampling.tuning import Tuning


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"eta": -0.1}, "eta of -0.1"),
        ({"eta": math.nan}, "eta of nan"),
        ({"eta": 1e200}, r"eta of 1e\+200"),
        ({"churn": -1.0}, "churn of -1"),
        ({"noise": math.inf}, "noise of inf"),
        ({"rho": 0.0}, "rho of 0"),
        ({"sigma_min": 0.0}, "lowest sigma of 0"),
        ({"sigma_max": -3.0}, "highest sigma of -3"),
        ({"beta_alpha": 0.0}, "alpha of 0"),
        ({"beta_beta": math.nan}, "beta of nan"),
        ({"churn_min": 2.0, "churn_max": 1.0}, "lowest sigma of churn of 2"),
        ({"order": 0}, "order of 0"),
    ],
)
def test_numbers_that_mean_nothing(settings: dict[str, float], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        Tuning(**settings)  # type: ignore[arg-type]
    assert caught.value.hint


def test_ends_of_ranges_are_inside() -> None:
    Tuning(
        eta=0.0, churn=0.0, noise=0.0, rho=0.05, sigma_min=1e-6, sigma_max=1e6, churn_min=1.0, churn_max=1.0, order=1
    )
