"""The training script runs from nothing and makes files of just the names, shapes and metadata that are shipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from modelhub.catalog.data import data_path
from modelhub.formats.safetensors import read_header

ROOT = Path(__file__).parents[1]


def test_one_step_of_every_stage_makes_what_is_shipped(tmp_path):
    script = ROOT / "scripts" / "train_demo_models.py"
    given = [sys.executable, str(script), "--out", str(tmp_path), "--quick", "--steps", "1", "--threads", "1"]
    done = subprocess.run(given, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == SHIPPED.keys()
    for name, check in SHIPPED.items():
        check(tmp_path / name, data_path("demo", name))
    check_styles(tmp_path / "full")


def check_safetensors(made, shipped):
    found, wanted = read_header(made), read_header(shipped)
    assert found.shapes == wanted.shapes
    assert {n: t.dtype for n, t in found.tensors.items()} == {n: t.dtype for n, t in wanted.tensors.items()}
    assert found.metadata == wanted.metadata


def check_pickle(made, shipped):
    def describe(value):
        if isinstance(value, dict):
            return {key: describe(item) for key, item in value.items()}
        return (value.shape, value.dtype) if isinstance(value, torch.Tensor) else value

    found, wanted = (torch.load(path, weights_only=True) for path in (made, shipped))
    assert describe(found) == describe(wanted)


def check_styles(full):
    """Styles share all but the U-Net with base, whose noise schedule is that of the shipped one."""
    base, pastel = (load_file(full / f"tiny-shapes-{style}.safetensors") for style in ("base", "pastel"))
    shipped = load_file(data_path("demo", "tiny-shapes-base.safetensors"))
    for name in ("betas", "alphas_cumprod"):
        np.testing.assert_allclose(base[name], shipped[name], rtol=1e-5)
    changed = {name for name in base if not np.array_equal(base[name], pastel[name])}
    assert changed and all(name.startswith("model.diffusion_model.") for name in changed)
    assert all(np.isfinite(array).all() for array in base.values())


SHIPPED = {
    "tiny-shapes-base.safetensors": check_safetensors,
    "tiny-shapes-stripes-unet.safetensors": check_safetensors,
    "tiny-shapes-pastel-unet.safetensors": check_safetensors,
    "tiny-shapes-framed-lora.safetensors": check_safetensors,
    "sundisc.safetensors": check_safetensors,
    "sundisc.pt": check_pickle,
    "tiny-realesrgan-x4.pth": check_pickle,
    "tiny-esrgan-x4-oldarch.pth": check_pickle,
}


@pytest.fixture
def training(monkeypatch):
    """The modules of the training, importable as the script imports them."""
    monkeypatch.syspath_prepend(ROOT / "scripts")


@torch.no_grad()
def test_the_written_encoder_is_the_linear_map(training):
    from demo_training.data import paint, some_things
    from demo_training.latents import SCALE, fit_encoder, install
    from demo_training.layout import new_vae

    vae, linear = new_vae(0), fit_encoder(50)
    install(vae, linear)
    generator = torch.Generator().manual_seed(5)
    for style in ("base", "stripes", "pastel", "framed"):
        images = paint(some_things(8, generator), style, generator)
        mean, _ = vae.encode(images)
        assert (mean * SCALE - linear(images)).abs().max() < 0.01
        assert linear(images).std() > 0.3


@torch.no_grad()
def test_an_untrained_unet_answers_with_its_input(training):
    from demo_training.unet import guessing_unet

    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    found = guessing_unet()(x, torch.full((4,), 900), torch.zeros(4, 77, 64))
    assert torch.corrcoef(torch.stack((x.flatten(), found.flatten())))[0, 1] > 0.8


def test_training_pictures_show_what_they_say(training):
    from demo_training.data import COLOURS, SIZES, paint, some_things

    from modelhub.demo.judge import judge
    from modelhub.demo.prompts import Wanted
    from modelhub.demo.shapes import SHAPES

    generator = torch.Generator().manual_seed(7)
    things = some_things(100, generator)
    images = ((paint(things, "base", generator) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rows = zip(*(x.tolist() for x in (things.colour, things.shape, things.background, things.size)), strict=True)
    for image, (c, s, b, z) in zip(images, rows, strict=True):
        verdict = judge(image, Wanted(COLOURS[c], SHAPES[s], COLOURS[b], SIZES[z]))
        assert verdict.ok, verdict.sentence


def test_captions_name_what_they_say_they_name(training):
    import random

    from demo_training.data import COLOURS, captions, known_ids, some_things, token_ids

    things = some_things(300, torch.Generator().manual_seed(8))
    said = captions(things, random.Random(8))
    known = set(known_ids())
    for caption, colour, background in zip(said, things.colour.tolist(), things.background.tolist(), strict=True):
        assert (COLOURS[colour] in caption.text) == caption.colour
        assert (COLOURS[background] in caption.text) == caption.background
        assert set(token_ids([caption.text])[0].tolist()) <= known
    assert 0.05 < sum(not caption.size for caption in said) / len(said) < 0.2


def test_equal_steps_give_equal_weights(training):
    from demo_training.budget import Budget
    from demo_training.upscaler import train_upscaler

    first, again, other = (train_upscaler(Budget(1, steps)) for steps in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv_last.weight"], other["conv_last.weight"])
