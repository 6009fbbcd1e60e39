"""The Brownian tree against torchsde's, and as a Brownian motion."""

from __future__ import annotations

import gc
import warnings
import weakref
from itertools import pairwise

import pytest
import torch
import torchsde
from torch import Tensor
from torchsde._brownian import brownian_interval

from modelhub.preview.noise.brownian import BrownianTree
from modelhub.preview.noise.noise import Noise
from modelhub.preview.noise.philox import PhiloxGenerator

SHAPE = (4, 3, 2)
#: Of Stable Diffusion, of one with a zero terminal SNR, of Flux.
RANGES = [(0.029167532920837402, 14.614643096923828), (0.029, 4518.76), (0.000315751, 1.0)]


def theirs(lowest: float, highest: float, seed: int, pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """What k-diffusion makes of torchsde's tree: increments over the root of the time between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start, end = torch.tensor([lowest, highest])
        tree = torchsde.BrownianTree(start, torch.zeros(SHAPE), end, entropy=seed)
        return [-tree(after, before) / (after - before).abs().sqrt() for before, after in pairs]


def falling(lowest: float, highest: float) -> list[tuple[Tensor, Tensor]]:
    """A sampler's questions: the steps of a schedule, with a look at a midpoint before each."""
    sigmas = torch.logspace(torch.tensor(highest).log10(), torch.tensor(lowest).log10(), 9)
    sigmas[0], sigmas[-1] = highest, lowest
    pairs = []
    for before, after in pairwise(sigmas):
        pairs += [(before, (before * after).sqrt()), (before, after)]
    return pairs


@pytest.mark.parametrize(("lowest", "highest"), RANGES)
@pytest.mark.parametrize("seed", [0, 77, 2**63 - 65])
def test_equals_torchsde_bit_for_bit(lowest: float, highest: float, seed: int) -> None:
    pairs = falling(lowest, highest)
    path = Noise([5, seed], SHAPE, source="CPU").brownian(lowest, highest)
    for (before, after), expected in zip(pairs, theirs(lowest, highest, seed, pairs), strict=True):
        assert torch.equal(path(before.item(), after.item())[1], expected)


def test_with_noise_of_nvidia_it_equals_torchsde_with_these_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def randn(size: tuple[int, ...], dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
        return torch.from_numpy(PhiloxGenerator(int(seed)).randn(size)).to(device, dtype)

    monkeypatch.setattr(brownian_interval, "_randn", randn)
    pairs = falling(*RANGES[0])
    path = Noise([11], SHAPE, source="NV").brownian(*RANGES[0])
    for (before, after), expected in zip(pairs, theirs(*RANGES[0], 11, pairs), strict=True):
        assert torch.equal(path(before.item(), after.item())[0], expected)


def test_the_order_of_questions_does_not_matter() -> None:
    pairs = [(before.item(), after.item()) for before, after in falling(*RANGES[0])]
    path, backwards = (Noise([3], SHAPE).brownian(*RANGES[0]) for _ in range(2))
    found = [path(*pair) for pair in pairs]
    assert all(torch.equal(one, backwards(*pair)) for one, pair in zip(found[::-1], pairs[::-1], strict=True))


def test_what_was_drawn_before_does_not_matter_nor_does_ensd() -> None:
    plain, other = Noise([3], SHAPE), Noise([3], SHAPE, ensd=31337)
    other.initial()
    other.next()
    assert torch.equal(plain.brownian(0.1, 10)(5, 2), other.brownian(0.1, 10)(5, 2))


def test_upwards_is_the_same_the_other_way_round() -> None:
    path = Noise([3], SHAPE).brownian(0.1, 10)
    assert torch.equal(path(5, 2), -path(2, 5))


def test_increments_add_up_and_stand_still_beyond_the_ends() -> None:
    tree = BrownianTree(0.1, 10, 1, lambda seed: torch.from_numpy(PhiloxGenerator(seed).randn(SHAPE)))
    torch.testing.assert_close(tree.increment(1, 3) + tree.increment(3, 7.5), tree.increment(1, 7.5))
    assert torch.equal(tree.increment(5, 20), tree.increment(5, 10))
    assert not tree.increment(4, 4).any()


def test_noise_is_of_variance_one_and_independent_between_steps() -> None:
    path = Noise([3], (4, 96, 96)).brownian(0.03, 14.6)
    steps = torch.stack([path(14.6, 9).flatten(), path(9, 8.5).flatten(), path(8.5, 0.03).flatten()])
    torch.testing.assert_close(torch.cov(steps), torch.eye(3), rtol=0, atol=0.03)


def test_a_tree_goes_when_nobody_needs_it() -> None:
    gc.disable()
    try:
        tree = BrownianTree(0.03, 14.6, 7, lambda seed: torch.ones(4))
        tree.increment(1.0, 2.0)
        gone = weakref.ref(tree)
        del tree
        assert gone() is None
    finally:
        gc.enable()
