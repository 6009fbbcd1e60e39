"""Sums: exact at their ends, and unchanged where all models agree."""

import numpy as np
import pytest
import torch
from applying import result

from modelhub.merge.registry import find_method


def test_the_ends_of_a_weighted_sum_are_exact() -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = (torch.randn(5000, generator=generator).half() for _ in range(2))
    assert torch.equal(find_method("weighted-sum").function(a, b, alpha=0.0), a)
    assert torch.equal(find_method("weighted-sum").function(a, b, alpha=1.0), b)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_an_average_leaves_alone_what_all_have(count: int) -> None:
    random = np.random.default_rng(1)
    models = [random.normal(size=300).astype(np.float32) for _ in range(count)]
    for model in models:
        model[:100] = models[0][:100]
    found = result("average", *models)
    np.testing.assert_array_equal(found[:100], models[0][:100])
    np.testing.assert_allclose(found, np.mean(models, axis=0), atol=1e-6)


def test_sums_within_sums_are_one_another() -> None:
    random = np.random.default_rng(2)
    a, b, c = (random.normal(size=300).astype(np.float32) for _ in range(3))
    twice = result("sum-twice", a, b, c, alpha=0.5, beta=0.2)
    np.testing.assert_allclose(result("triple-sum", a, b, c, alpha=0.4, beta=0.2), twice, atol=1e-6)
    np.testing.assert_allclose(result("average", a, b, c, weights=(0.8, 0.8, 0.4)), twice, atol=1e-6)
