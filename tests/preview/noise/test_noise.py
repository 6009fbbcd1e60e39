"""Noise belongs to the seed: not to the batch, not to the order, not to the global generator."""

from __future__ import annotations

import pytest
import torch

from modelhub.errors import NotFoundError
from modelhub.preview.noise.noise import Noise
from modelhub.preview.noise.philox import PhiloxGenerator
from modelhub.preview.noise.sources import find_source
from modelhub.preview.noise.variation import blend, pasted
from modelhub.preview.request import SOURCES, Variation

SHAPE = (4, 6, 5)


def cpu(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))


def nvidia(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.from_numpy(PhiloxGenerator(seed).randn(shape))


def test_first_draw_is_that_of_a_fresh_generator_of_the_source() -> None:
    assert torch.equal(Noise([7], SHAPE).initial()[0], nvidia(7))
    assert torch.equal(Noise([7], SHAPE, source="nv").initial()[0], nvidia(7))
    assert torch.equal(Noise([7], SHAPE, source="CPU").initial()[0], cpu(7))
    assert torch.equal(Noise([7], SHAPE, source="GPU").initial()[0], cpu(7))


def test_apple_devices_draw_on_the_cpu() -> None:
    drawn = find_source("GPU")(7, torch.device("mps"))(SHAPE)
    assert torch.equal(drawn, cpu(7))


def test_an_unknown_source_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match="There is no source of noise 'TPU'") as caught:
        Noise([1], SHAPE, source="TPU")
    assert ", ".join(SOURCES) in caught.value.hint


@pytest.mark.parametrize("source", SOURCES)
def test_a_batch_draws_what_single_pictures_draw(source: str) -> None:
    batch = Noise([3, 4, 5], SHAPE, source=source, ensd=31337)
    together = [batch.initial(), batch.next(), batch.next()]
    path = batch.brownian(0.1, 10.0)(5.0, 2.0)
    for place, seed in enumerate((3, 4, 5)):
        alone = Noise([seed], SHAPE, source=source, ensd=31337)
        for draw in together:
            assert torch.equal(draw[place], (alone.initial() if draw is together[0] else alone.next())[0])
        assert torch.equal(path[place], alone.brownian(0.1, 10.0)(5.0, 2.0)[0])


def test_later_draws_go_on_where_the_first_ended() -> None:
    generator = torch.Generator("cpu").manual_seed(1)
    noise = Noise([1], SHAPE, source="CPU")
    for drawn in (noise.initial(), noise.next()):
        assert torch.equal(drawn[0], torch.randn(SHAPE, generator=generator))


def test_with_ensd_later_draws_are_the_first_of_another_seed() -> None:
    noise = Noise([1], SHAPE, source="CPU", ensd=31337)
    assert torch.equal(noise.initial()[0], cpu(1))
    assert torch.equal(noise.next()[0], cpu(31338))


def test_initial_starts_again_and_global_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    noise = Noise([1, 2], SHAPE, dtype=torch.float64, source="CPU")
    first = noise.initial()
    noise.next()
    assert torch.equal(noise.initial(), first)
    assert first.dtype == torch.float64
    assert first.shape == (2, *SHAPE)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("source", SOURCES)
def test_neighbouring_seeds_are_unrelated(source: str) -> None:
    one, other = Noise([1, 2], (4, 64, 64), source=source).initial()
    assert abs(torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1].item()) < 0.03


def test_variations_of_a_batch_turn_towards_seeds_that_count_up() -> None:
    noise = Noise([1, 1], SHAPE, source="CPU", variation=Variation(50, 0.3))
    first = noise.initial()
    assert torch.equal(first[0], blend(cpu(1), cpu(50), 0.3))
    assert torch.equal(first[1], blend(cpu(1), cpu(51), 0.3))
    plain = Noise([1], SHAPE, source="CPU")
    plain.initial()
    assert torch.equal(noise.next()[0], plain.next()[0])


def test_a_variation_of_strength_0_is_none() -> None:
    assert torch.equal(Noise([1], SHAPE, variation=Variation(50, 0.0)).initial(), Noise([1], SHAPE).initial())


@pytest.mark.parametrize("source", ["NV", "CPU"])
def test_noise_of_another_size_stands_in_the_middle_of_the_first(source: str) -> None:
    draw = {"NV": nvidia, "CPU": cpu}[source]
    noise = Noise([9], SHAPE, source=source, resize_from=(4, 3))
    assert torch.equal(noise.initial()[0], pasted(draw(9, (4, 4, 3)), draw(9)))
    plain = Noise([9], SHAPE, source=source)
    plain.initial()
    assert torch.equal(noise.next(), plain.next())


def test_a_variation_is_made_before_it_is_pasted() -> None:
    noise = Noise([9], SHAPE, source="CPU", resize_from=(4, 3), variation=Variation(2, 0.5)).initial()[0]
    assert torch.equal(noise, pasted(blend(cpu(9, (4, 4, 3)), cpu(2, (4, 4, 3)), 0.5), cpu(9)))
