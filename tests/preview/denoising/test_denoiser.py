"""The denoiser against the forward process: a network that knows the noise must get the clean latents back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from modelhub.errors import CancelledError
from modelhub.jobs import Job
from modelhub.preview.denoising.denoiser import Denoiser
from modelhub.preview.denoising.guidance import PREDICTIONS, guide, guide_by_picture
from modelhub.preview.denoising.predictors import FluxPredictor, UNetPredictor
from modelhub.preview.denoising.text import Branch, Conditioning, Script, Text
from modelhub.preview.sampling.levels import scaled_linear

LEVELS = scaled_linear()
_LAST = 99


def text(value: float, tokens: int = 77, pooled: float | None = None) -> Text:
    return Text(torch.full((tokens, 8), value), None if pooled is None else torch.full((3,), pooled))


def always(one: Text) -> Script:
    return Script(((_LAST, one),))


PROMPT, NEGATIVE = text(2.0), text(-1.0)
TOLD = Conditioning((Branch(always(PROMPT)),), always(NEGATIVE))


class Recorder:
    """A network that answers the mean of its context, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, Tensor, Tensor | None]] = []

    def __call__(self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None) -> Tensor:
        self.calls.append((x, timesteps, context, y))
        return context.mean(dim=(1, 2))[:, None, None, None].expand(len(x), 4, *x.shape[2:])


def predictor(network: object, prediction: str = "epsilon", *, rounded: bool = False) -> UNetPredictor:
    return UNetPredictor(network, LEVELS, PREDICTIONS[prediction], rounded)  # type: ignore[arg-type]


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("sigma", [0.03, 0.7, 5.0, 14.6])
def test_a_perfect_network_finds_the_clean_latents(prediction: str, sigma: float) -> None:
    """v = a noise - b clean with a = 1 / sqrt(s^2 + 1), b = s / sqrt(s^2 + 1): Salimans and Ho 2022."""
    clean, noise = torch.randn(2, 2, 4, 6, 6, dtype=torch.float64)
    root = math.sqrt(sigma**2 + 1)
    answer = noise if prediction == "epsilon" else (noise - sigma * clean) / root

    def network(x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None) -> Tensor:
        torch.testing.assert_close(x, (clean + sigma * noise) / root)
        return answer

    found = Denoiser(predictor(network, prediction), TOLD, 1.0)(clean + sigma * noise, sigma)
    torch.testing.assert_close(found, clean)


@pytest.mark.parametrize("sigma", [0.02, 0.5, 1.0])
def test_a_perfect_flow_finds_the_clean_latents(sigma: float) -> None:
    """x = (1 - s) clean + s noise, and the velocity is noise - clean."""
    clean, noise = torch.randn(2, 2, 4, 6, 6, dtype=torch.float64)
    asked: list[tuple[Tensor, Tensor | None, Tensor | None]] = []

    def network(x: Tensor, sigmas: Tensor, context: Tensor, pooled: Tensor | None, guidance: Tensor | None) -> Tensor:
        asked.append((sigmas, pooled, guidance))
        return noise - clean

    told = Conditioning((Branch(always(text(1.0, pooled=4.0))),), always(NEGATIVE))
    x = (1 - sigma) * clean + sigma * noise
    for guidance in (3.5, None):
        found = Denoiser(FluxPredictor(network, guidance), told, 1.0)(x, sigma)
        torch.testing.assert_close(found, clean)
    (sigmas, pooled, given), (_, _, none) = asked
    assert sigmas.tolist() == pytest.approx([sigma, sigma])
    assert pooled is not None and pooled.tolist() == [[4.0] * 3] * 2
    assert given is not None and given.tolist() == [3.5, 3.5]
    assert none is None


def test_both_prompts_go_in_one_batch_and_are_guided_apart() -> None:
    network = Recorder()
    x = torch.randn(3, 4, 5, 5)
    denoise = Denoiser(predictor(network), TOLD, 7.0)
    found = denoise(x, 2.0)
    ((shown, timesteps, context, y),) = network.calls
    assert shown.shape == (6, 4, 5, 5)
    assert torch.equal(shown[:3], shown[3:])
    assert torch.equal(context, torch.stack([PROMPT.tokens] * 3 + [NEGATIVE.tokens] * 3))
    assert timesteps.shape == (6,) and y is None
    cond, uncond = x - 2.0 * 2.0, x - 2.0 * -1.0
    torch.testing.assert_close(found, uncond + 7.0 * (cond - uncond))
    guided, alone = denoise.apart(x, 2.0)
    torch.testing.assert_close(guided, found)
    torch.testing.assert_close(alone, uncond)
    assert denoise.calls == 2


def test_prompts_of_other_lengths_go_in_batches_of_their_own() -> None:
    network, x = Recorder(), torch.randn(2, 4, 5, 5)
    branches = (Branch(always(text(2.0, 154, 5.0)), 0.5), Branch(always(text(3.0, 77, 6.0)), 0.25))
    found = Denoiser(predictor(network), Conditioning(branches, always(text(-1.0, 77, 7.0))), 4.0)(x, 2.0)
    assert [call[2].shape[:2] for call in network.calls] == [(2, 154), (4, 77)]
    assert [call[3][:, 0].tolist() for call in network.calls if call[3] is not None] == [[5, 5], [6, 6, 7, 7]]
    one, two, uncond = (x - 2.0 * value for value in (2.0, 3.0, -1.0))
    torch.testing.assert_close(found, uncond + 2.0 * (one - uncond) + 1.0 * (two - uncond))


def test_cfg_one_asks_for_the_prompt_alone() -> None:
    network = Recorder()
    x = torch.randn(2, 4, 5, 5)
    found = Denoiser(predictor(network), TOLD, 1.0)(x, 2.0)
    assert [len(call[0]) for call in network.calls] == [2]
    torch.testing.assert_close(found, x - 4.0)


def test_prompts_change_with_the_calls() -> None:
    network, x = Recorder(), torch.zeros(1, 4, 2, 2)
    changing = Script(((2, text(1.0)), (3, text(5.0))))
    denoise = Denoiser(predictor(network), Conditioning((Branch(changing),), always(NEGATIVE)), 1.0)
    assert [float(denoise(x, 1.0).mean()) for _ in range(4)] == [-1.0, -1.0, -5.0, -5.0]
    later = Denoiser(predictor(network), Conditioning((Branch(changing),), always(NEGATIVE)), 1.0, calls=2)
    assert float(later(x, 1.0).mean()) == -5.0


def test_what_stands_beside_goes_with_every_text_and_a_third_time_without() -> None:
    """Brooks et al. 2023, equation 3: e(0, 0) + s_I (e(I, 0) - e(0, 0)) + s_T (e(I, T) - e(I, 0))."""
    x, beside = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    seen: list[Tensor] = []

    def network(shown: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None) -> Tensor:
        seen.append(shown[:, 4:])
        return shown[:, 4:] * 0.5 + context.mean(dim=(1, 2))[:, None, None, None]

    found = Denoiser(predictor(network), TOLD, 7.0, beside=beside, image_cfg=1.5)(x, 2.0)
    assert torch.equal(seen[0], torch.cat([beside, beside, torch.zeros_like(beside)]))
    both, picture, neither = (x - 2.0 * value for value in (beside / 2 + 2.0, beside / 2 - 1.0, torch.tensor(-1.0)))
    torch.testing.assert_close(found, neither + 1.5 * (picture - neither) + 7.0 * (both - picture))


def test_guidance_ends() -> None:
    cond, uncond = torch.randn(2, 3, 3)
    torch.testing.assert_close(guide([cond], [1.0], uncond, 1), cond)
    assert torch.equal(guide([cond], [1.0], uncond, 0), uncond)
    assert torch.equal(guide_by_picture(cond, uncond, cond, 1.0), cond)


def test_the_network_gets_fractional_timesteps_or_whole_ones() -> None:
    network = Recorder()
    sigma = math.sqrt(float(LEVELS.sigmas[500] * LEVELS.sigmas[501])) * 1.0001
    for rounded in (False, True):
        Denoiser(predictor(network, rounded=rounded), TOLD, 1.0)(torch.zeros(1, 4, 2, 2), sigma)
    assert network.calls[0][1].tolist() == pytest.approx([500.5], abs=0.05)
    assert network.calls[1][1].tolist() == [501.0]


def test_a_cancelled_job_stops_before_the_network() -> None:
    network, job = Recorder(), Job("preview")
    job.cancel()
    with pytest.raises(CancelledError):
        Denoiser(predictor(network), TOLD, 7.0, job)(torch.zeros(1, 4, 2, 2), 1.0)
    assert network.calls == []
