"""The denoiser against the forward process: a network that knows the noise must get the clean latents back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from modelhub.errors import CancelledError
from modelhub.jobs import QUIET, Job
from modelhub.preview.denoiser import Denoiser
from modelhub.preview.guidance import PREDICTIONS, guide
from modelhub.preview.noise_levels import scaled_linear
from modelhub.preview.prompts import Conditioning

LEVELS = scaled_linear()
PROMPT, NEGATIVE = torch.full((77, 8), 2.0), torch.full((77, 8), -1.0)


class Recorder:
    """A network that answers the mean of its context, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        self.calls.append((x, timesteps, context))
        return context.mean(dim=(1, 2))[:, None, None, None].expand_as(x)


def denoiser(network: object, *, cfg: float = 1.0, prediction: str = "epsilon", job: Job = QUIET) -> Denoiser:
    return Denoiser(network, LEVELS, PREDICTIONS[prediction], Conditioning(PROMPT, NEGATIVE), cfg, job)  # type: ignore[arg-type]


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("sigma", [0.03, 0.7, 5.0, 14.6])
def test_a_perfect_network_finds_the_clean_latents(prediction: str, sigma: float) -> None:
    """v = a noise - b clean with a = 1 / sqrt(s^2 + 1), b = s / sqrt(s^2 + 1): Salimans and Ho 2022."""
    clean, noise = torch.randn(2, 2, 4, 6, 6, dtype=torch.float64)
    root = math.sqrt(sigma**2 + 1)
    answer = noise if prediction == "epsilon" else (noise - sigma * clean) / root

    def network(x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        torch.testing.assert_close(x, (clean + sigma * noise) / root)
        return answer

    found = denoiser(network, prediction=prediction)(clean + sigma * noise, sigma)
    torch.testing.assert_close(found, clean)


def test_both_prompts_go_in_one_batch_and_are_guided_apart() -> None:
    network = Recorder()
    x = torch.randn(3, 4, 5, 5)
    found = denoiser(network, cfg=7.0)(x, 2.0)
    ((shown, timesteps, context),) = network.calls
    assert shown.shape == (6, 4, 5, 5)
    assert torch.equal(shown[:3], shown[3:])
    assert torch.equal(context, torch.stack([PROMPT] * 3 + [NEGATIVE] * 3))
    assert timesteps.shape == (6,)
    cond, uncond = x - 2.0 * 2.0, x - 2.0 * -1.0
    torch.testing.assert_close(found, uncond + 7.0 * (cond - uncond))


def test_cfg_one_asks_for_the_prompt_alone() -> None:
    network = Recorder()
    x = torch.randn(2, 4, 5, 5)
    found = denoiser(network, cfg=1.0)(x, 2.0)
    assert [len(call[0]) for call in network.calls] == [2]
    torch.testing.assert_close(found, x - 4.0)


def test_guidance_ends() -> None:
    cond, uncond = torch.randn(2, 3, 3)
    torch.testing.assert_close(guide(cond, uncond, 1), cond)
    assert torch.equal(guide(cond, uncond, 0), uncond)


def test_the_network_gets_fractional_timesteps() -> None:
    network = Recorder()
    sigma = math.sqrt(float(LEVELS.sigmas[500] * LEVELS.sigmas[501]))
    denoiser(network)(torch.zeros(1, 4, 2, 2), sigma)
    assert network.calls[0][1].tolist() == pytest.approx([500.5])


def test_a_cancelled_job_stops_before_the_network() -> None:
    network, job = Recorder(), Job("preview")
    job.cancel()
    with pytest.raises(CancelledError):
        denoiser(network, job=job)(torch.zeros(1, 4, 2, 2), 1.0)
    assert network.calls == []
