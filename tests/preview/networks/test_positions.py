"""Positions as numbers: sinusoids from their formula, rotations against diffusers."""

from __future__ import annotations

import pytest
import torch

from modelhub.preview.networks.positions import axes, rotate, rotations, sinusoids


def test_sinusoids_are_cosines_then_sines() -> None:
    at_zero = sinusoids(torch.tensor([0.0]), 5)
    assert at_zero.tolist() == [[1, 1, 0, 0, 0]]
    values = sinusoids(torch.tensor([2.5]), 4)
    expected = torch.tensor([[2.5, 0.025]], dtype=torch.float64)
    torch.testing.assert_close(values.double(), torch.cat((expected.cos(), expected.sin()), dim=1), atol=1e-6, rtol=0)


def test_sinusoids_are_those_of_diffusers_in_full_precision_whatever_they_are_given() -> None:
    from diffusers.models.embeddings import get_timestep_embedding

    times = torch.tensor([0.0, 0.4, 500.0, 981.25])
    wanted = get_timestep_embedding(times, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(sinusoids(times, 256), wanted, atol=1e-6, rtol=0)
    assert torch.equal(sinusoids(times.half(), 256), sinusoids(times.half().float(), 256))


def test_the_axes_of_a_head_are_even_and_fill_it() -> None:
    assert axes(128) == (16, 56, 56)
    for width in range(2, 257, 2):
        assert sum(axes(width)) == width
        assert all(part >= 0 and part % 2 == 0 for part in axes(width))


@pytest.mark.parametrize(("width", "rows", "columns"), [(128, 64, 96), (64, 3, 5), (16, 1, 2)])
def test_rotations_are_those_of_diffusers(width: int, rows: int, columns: int) -> None:
    from diffusers.models.embeddings import apply_rotary_emb
    from diffusers.models.transformers.transformer_flux import FluxPosEmbed

    places = [(0, 0, 0)] * 7 + [(0, row, column) for row in range(rows) for column in range(columns)]
    theirs = FluxPosEmbed(10000, axes(width))(torch.tensor(places))
    ours = rotations(width, 7, rows, columns, torch.device("cpu"))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine.repeat_interleave(2, dim=1), other)
    x = torch.randn(2, 3, len(places), width, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rotate(x, ours), apply_rotary_emb(x, theirs))
    assert rotate(x.half(), ours).dtype == torch.float16
