"""EMA weights: left out, kept, or put in the place of the weights that they are averages of."""

from __future__ import annotations

import pytest
import torch
from small_models import DENOISER, averaged, filled, known, narrow, opened, pruned, trained

from modelhub.convert.conversion import carry_out
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.errors import IncompatibleError, UsageError

VAE, TE = "first_stage_model.", "cond_stage_model.transformer."


def test_ema_weights_take_the_place_of_the_others():
    tensors = trained()
    view = pruned(tensors, ema="use").view
    assert not any(name.startswith("model_ema.") for name in view.header.tensors)
    for name, (_, shape, raw) in tensors.items():
        if name.startswith(DENOISER):
            assert view.info(name).shape == shape
            assert view.read_bytes(name) == tensors[averaged(name)][2] != raw
        elif name.startswith((VAE, TE)) and ".loss." not in name:
            assert view.read_bytes(name) == raw


def test_ema_use_equals_what_torch_makes_of_the_dict(tmp_path):
    from safetensors.torch import load_file

    source = opened(trained())
    whole = {name: source.tensor(name) for name in source.header.tensors}
    conversion = prune(source, known(source), Pruning(ema="use", dtype="fp16", strict=True))
    written = load_file(carry_out(conversion, tmp_path / "used.safetensors").written.path)
    expected = {}
    for name, value in whole.items():
        if name.startswith(DENOISER):
            expected[name] = whole[averaged(name)].to(torch.float16)
        elif name.startswith(TE):
            expected[name] = value.to(torch.float16) if value.is_floating_point() else value
        elif name.startswith(VAE) and ".loss." not in name:
            expected[name] = value
    expected |= {"v_pred": whole["v_pred"], "ztsnr": whole["ztsnr"]}
    assert written.keys() == expected.keys()
    assert all(
        torch.equal(written[name], value) and written[name].dtype == value.dtype for name, value in expected.items()
    )


def test_ema_keep_keeps_them():
    tensors = trained()
    view = pruned(tensors, ema="keep").view
    assert {name for name in tensors if name.startswith("model_ema.")} <= set(view.header.tensors)


def test_averages_with_dots_are_found_too():
    tensors = narrow("sd15")
    ema = {"unet_ema." + name.removeprefix(DENOISER): e[:2] for name, e in tensors.items() if name.startswith(DENOISER)}
    tensors |= filled(ema, seed=2)
    view = pruned(tensors, ema="use").view
    name = DENOISER + "out.2.weight"
    assert view.read_bytes(name) == tensors["unet_ema.out.2.weight"][2]


def test_ema_use_needs_ema_weights():
    with pytest.raises(UsageError, match="no EMA weights"):
        pruned(narrow("sd15"), ema="use")


def test_half_an_average_is_refused_and_a_few_frozen_weights_are_not():
    tensors = trained()
    names = sorted(name for name in tensors if name.startswith("model_ema.diffusion"))
    few = {name: entry for name, entry in tensors.items() if name not in names[:3]}
    conversion = pruned(few, ema="use")
    assert any("3 weights" in text for text in conversion.warnings)
    assert len(known(conversion.view).components) == 3
    half = {name: entry for name, entry in tensors.items() if name not in names[:300]}
    with pytest.raises(IncompatibleError, match="Only 386 of 686"):
        pruned(half, ema="use")


def test_averages_of_another_shape_do_not_count():
    tensors = trained()
    tensors |= filled({name: ("F32", (1, 2, 3)) for name in tensors if name.startswith("model_ema.diffusion")})
    with pytest.raises(IncompatibleError, match="Only 0 of"):
        pruned(tensors, ema="use")


def test_ema_use_without_the_denoiser_is_refused():
    with pytest.raises(UsageError, match="denoiser"):
        pruned(trained(), ema="use", only=("vae",))
