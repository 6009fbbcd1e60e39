"""Noise belongs to the seed: not to the batch, not to the order, not to the global generator."""

from __future__ import annotations

import torch

from modelhub.preview.noise import Noise

SHAPE = (4, 6, 5)


def test_first_draw_is_that_of_a_seeded_cpu_generator() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(7))
    assert torch.equal(Noise([7], SHAPE).initial()[0], expected)


def test_a_batch_draws_what_single_pictures_draw() -> None:
    batch = Noise([3, 4, 5], SHAPE)
    together = [batch.initial(), batch.next(), batch.next()]
    for place, seed in enumerate((3, 4, 5)):
        alone = Noise([seed], SHAPE)
        for draw in together:
            assert torch.equal(draw[place], (alone.initial() if draw is together[0] else alone.next())[0])


def test_later_draws_go_on_where_the_first_ended() -> None:
    generator = torch.Generator("cpu").manual_seed(1)
    noise = Noise([1], SHAPE)
    for drawn in (noise.initial(), noise.next()):
        assert torch.equal(drawn[0], torch.randn(SHAPE, generator=generator))


def test_initial_starts_again_and_global_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    noise = Noise([1, 2], SHAPE, dtype=torch.float64)
    first = noise.initial()
    noise.next()
    assert torch.equal(noise.initial(), first)
    assert first.dtype == torch.float64
    assert first.shape == (2, *SHAPE)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_neighbouring_seeds_are_unrelated() -> None:
    one, other = Noise([1, 2], (4, 64, 64)).initial()
    assert abs(torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1].item()) < 0.03
