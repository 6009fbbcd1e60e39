"""The cause of a picture without numbers: the layer is named, in whichever part of the model it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from modelhub.catalog.data import data_path
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.jobs import QUIET, Job
from modelhub.preview.checking.comparing import Shot, compare
from modelhub.preview.denoising.denoiser import Denoiser
from modelhub.preview.pictures.picture import Picture
from modelhub.preview.render import Renderer, Request

ASKED = Request("a red circle", steps=2, width=64, height=64)
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."


Sick = Callable[..., Renderer]


@pytest.fixture
def sick(tmp_path: Path) -> Sick:
    """The demo model with one tensor times a factor, loaded; `wide` stores float32."""

    def make(name: str, factor: float, *, wide: bool = False) -> Renderer:
        tensors: dict[str, Tensor] = load_file(data_path("demo", "tiny-shapes-base.safetensors"))
        if wide:
            tensors = {key: tensor.float() for key, tensor in tensors.items()}
        path = tmp_path / "sick.safetensors"
        save_file({**tensors, name: tensors[name] * factor}, path)
        return Renderer(SafetensorsFile(path), name="sick", device="cpu", precision="fp32")

    return make


def picture(renderer: Renderer, seed: int = 1) -> Picture:
    (found,) = renderer.render(replace(ASKED, seed=seed)).pictures
    return found


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (UNET + "input_blocks.4.0.in_layers.2.weight", "layer input_blocks.4.0.in_layers.2 of the denoiser"),
        (VAE + "decoder.mid.block_1.conv1.weight", "layer decoder.mid.block_1.conv1 of the vae"),
        (TEXT + "encoder.layers.1.mlp.fc1.weight", "encoder.layers.1.mlp.fc1 of the clip-l"),
    ],
)
def test_weights_that_are_no_numbers_are_named(sick: Sick, name: str, part: str) -> None:
    (warning,) = picture(sick(name, float("nan"))).warnings
    assert part in warning and "Weights" in warning and "modelhub repair" in warning


def test_values_that_leave_the_range_are_told_from_broken_weights(sick: Sick) -> None:
    (warning,) = picture(sick(UNET + "input_blocks.4.0.in_layers.2.weight", 1e38, wide=True)).warnings
    assert warning.startswith("Values left the range in the layer input_blocks.4.0"), warning


def test_a_good_picture_is_not_made_twice(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelhub.preview.render_cause.first_bad_layer", pytest.fail)
    assert np.isfinite(picture(sick(UNET + "out.2.weight", 1.0)).mean)


def test_broken_weights_are_looked_for_once(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = sick(UNET + "out.2.weight", float("nan"))
    first = picture(renderer)
    monkeypatch.setattr("modelhub.preview.render_cause.first_bad_layer", pytest.fail)
    assert picture(renderer, seed=5).warnings == first.warnings
    assert "out.2 of the denoiser" in first.warnings[0]


@pytest.mark.parametrize("job", [QUIET, Job("test")], ids=["quiet", "heard"])
def test_it_is_sampled_again_only_up_to_the_first_step_without_numbers(
    sick: Sick, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer, calls, usual = sick(UNET + "out.2.weight", float("nan")), [], Denoiser.__call__
    monkeypatch.setattr(Denoiser, "__call__", lambda self, *given: calls.append(1) or usual(self, *given))
    (found,) = renderer.render(replace(ASKED, steps=6, sampler="Euler"), job).pictures
    assert len(calls) == 6 + 1 and "out.2 of the denoiser" in found.warnings[0]


def test_a_report_says_what_is_known_of_a_picture() -> None:
    good = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    black = Shot(np.zeros_like(good), warnings=("Weights in the layer X are not numbers.",))
    parents = {name: {1: Shot(good, warnings=())} for name in "AB"}
    report = compare("merge", {"merge": {1: black}, **parents})
    assert report.verdict == "broken" and "the layer X" in report.sentences[0]
