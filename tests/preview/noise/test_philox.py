"""CUDA's random numbers against the known answers of Random123 and of an NVIDIA card."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelhub.preview.noise.philox import PhiloxGenerator, philox

#: Rows "philox4x32 10" of kat_vectors in Random123 1.14: counter, key, answer, in words of 32 bits.
KNOWN = (
    "00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1",
)
#: torch.manual_seed(0); torch.randn(3, 4, device="cuda"), as published with A1111's own generator.
ON_A_CARD = [
    [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
    [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
    [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
]


@pytest.mark.parametrize("row", KNOWN)
def test_known_answers(row: str) -> None:
    words = [int(word, 16) for word in row.split()]
    counter = [np.array([word], dtype=np.uint64) for word in words[:4]]
    found = philox(counter, words[4] | words[5] << 32)
    assert [int(word[0]) for word in found] == words[6:]


def test_the_first_draw_is_that_of_a_card() -> None:
    np.testing.assert_allclose(PhiloxGenerator(0).randn((3, 4)), ON_A_CARD, rtol=1e-6)


def test_each_draw_counts_up_and_each_number_has_its_own_place() -> None:
    generator = PhiloxGenerator(0)
    first, second = generator.randn((12,)), generator.randn((12,))
    np.testing.assert_array_equal(first, PhiloxGenerator(0).randn((12,)))
    assert not np.isin(second, first).any()
    np.testing.assert_array_equal(PhiloxGenerator(0).randn((5,)), first[:5])


def test_portions_do_not_show() -> None:
    many = PhiloxGenerator(3).randn((40_000,))
    words = np.zeros(1, dtype=np.uint64), np.arange(16_000, 40_000, dtype=np.uint64)
    radius, angle, _, _ = philox((words[0], words[0], words[1], words[0]), 3)
    u, v = (radius + 0.5) / 2**32, (angle + 0.5) / 2**32
    np.testing.assert_allclose(many[16_000:], np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v), rtol=1e-5, atol=1e-6)


def test_numbers_are_standard_normal() -> None:
    numbers = PhiloxGenerator(1234).randn((200_000,))
    assert numbers.dtype == np.float32
    assert stats.kstest(numbers, "norm").pvalue > 0.01


@pytest.mark.parametrize("seed", [-1, 2**64 - 1])
def test_seeds_count_modulo_two_to_the_64(seed: int) -> None:
    np.testing.assert_array_equal(PhiloxGenerator(seed).randn((4,)), PhiloxGenerator(2**64 - 1).randn((4,)))
    assert not np.array_equal(PhiloxGenerator(seed).randn((4,)), PhiloxGenerator(2**32 - 1).randn((4,)))
