"""Shared steps: powers and weighted sums that do not depend on their neighbours."""

import torch

from modelhub.merge.engine.blending import blend, power, shares


def test_a_power_is_the_same_wherever_it_stands() -> None:
    values = torch.rand(1003, generator=torch.Generator().manual_seed(0))
    whole = power(values, 0.37)
    torch.testing.assert_close(whole.double(), values.double() ** 0.37)
    for size in (1, 7, 100):
        assert torch.equal(torch.cat([power(part, 0.37) for part in values.split(size)]), whole)


def test_powers_of_nothing() -> None:
    zero = torch.tensor([0.0, 4.0])
    assert power(zero, 0.0).tolist() == [1.0, 1.0]
    assert power(zero, -0.5).tolist() == [0.0, 0.5]
    assert power(torch.zeros(0), 0.5).shape == (0,)


def test_one_whole_weight_is_a_copy() -> None:
    a, b = torch.rand(9), torch.rand(9)
    found = blend((a, b), (0.0, 1.0))
    assert torch.equal(found, b) and found.data_ptr() != b.data_ptr()
    assert shares((1.0, -1.0), 2) == (1.0, -1.0) and shares((), 4) == (0.25,) * 4
