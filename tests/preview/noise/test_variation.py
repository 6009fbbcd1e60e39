"""Mixed noise keeps the size of noise, and pasted noise stands in the middle."""

from __future__ import annotations

import math

import pytest
import torch

from modelhub.preview.noise.variation import blend, pasted


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_quarter_turn_is_sine_and_cosine() -> None:
    one, other = torch.zeros(1, 2, 1), torch.zeros(1, 2, 1)
    one[0, 0], other[0, 1] = 3.0, 5.0
    turned = blend(one, other, 1 / 3)
    assert turned.flatten().tolist() == pytest.approx([3 * math.cos(math.pi / 6), 5 * math.sin(math.pi / 6)])


def test_every_column_is_turned_on_its_own() -> None:
    one, other = noise(1, 2, 6, 5), noise(2, 2, 6, 5)
    whole = blend(one, other, 0.4)
    for column in range(5):
        alone = blend(one[:, :, column : column + 1], other[:, :, column : column + 1], 0.4)
        torch.testing.assert_close(whole[:, :, column : column + 1], alone)


def test_ends_are_the_two_noises_and_the_middle_is_as_strong() -> None:
    one, other = noise(1, 4, 64, 64), noise(2, 4, 64, 64)
    torch.testing.assert_close(blend(one, other, 0.0), one)
    torch.testing.assert_close(blend(one, other, 1.0), other)
    assert blend(one, other, 0.5).std().item() == pytest.approx(1, abs=0.02)


def test_noise_that_is_nearly_the_same_is_mixed_straight() -> None:
    one = noise(1, 4, 8, 8)
    other = one + 1e-4 * noise(2, 4, 8, 8)
    torch.testing.assert_close(blend(one, other, 0.25), 0.25 * one + 0.75 * other, rtol=0, atol=1e-7)
    torch.testing.assert_close(blend(one, one, 0.25), one)


@pytest.mark.parametrize(
    ("small", "large", "top", "skipped"),
    [(4, 8, 2, 0), (3, 8, 2, 0), (8, 8, 0, 0), (12, 8, 0, 2), (11, 8, 0, 2), (9, 8, 0, 1)],
)
def test_the_middle_of_one_covers_the_middle_of_the_other(small: int, large: int, top: int, skipped: int) -> None:
    patch, ground = noise(1, 2, small, 6), noise(2, 2, large, 6)
    length = small if small <= large else small - 2 * skipped
    expected = ground.clone()
    expected[:, top : top + length] = patch[:, skipped : skipped + length]
    assert torch.equal(pasted(patch, ground), expected)
    flipped = pasted(patch.transpose(1, 2), ground.transpose(1, 2))
    assert torch.equal(flipped, expected.transpose(1, 2))
    assert torch.equal(ground, noise(2, 2, large, 6))
