"""Prune to single components, or leave some out: the result is a file that other programs read."""

from __future__ import annotations

import pytest
from small_models import DENOISER, Zeros, filled, known, layout, narrow, pruned, trained

from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.errors import UsageError

VAE, TE = "first_stage_model.", "cond_stage_model.transformer."


@pytest.mark.parametrize(
    ("only", "kind", "first"),
    [
        ("vae", "vae", "decoder.conv_in.weight"),
        ("text_encoder", "text-encoder", "text_model.final_layer_norm.weight"),
        ("te1", "text-encoder", "text_model.final_layer_norm.weight"),
        ("clip-l", "text-encoder", "text_model.final_layer_norm.weight"),
        ("denoiser", "diffusion-model", DENOISER + "out.2.weight"),
        ("unet", "diffusion-model", DENOISER + "out.2.weight"),
    ],
)
def test_a_single_component_is_a_file_that_programs_read(only, kind, first):
    tensors = trained()
    conversion = pruned(tensors, only=(only,))
    assert first in conversion.view.header.tensors
    found = known(conversion.view)
    assert found.kind == kind
    assert found.prediction == ("v" if kind == "diffusion-model" else None)
    old = {"vae": VAE, "text-encoder": TE, "diffusion-model": ""}[kind]
    assert all(conversion.view.read_bytes(name) == tensors[old + name][2] for name in conversion.view.header.tensors)


@pytest.mark.parametrize(
    ("name", "only", "architecture"),
    [
        ("sd21", "text_encoder", "openclip-h"),
        ("sdxl", "te1", "clip-l"),
        ("sdxl", "te2", "clip-g"),
        ("sdxl", "clip_g", "clip-g"),
        ("sd3-medium", "vae", "ae-16ch"),
        ("sdxl", "vae", "kl-f8-4ch"),
    ],
)
def test_single_components_of_other_models(name, only, architecture):
    source = Zeros(layout(name))
    found = known(prune(source, known(source), Pruning(only=(only,))).view)
    assert found.architecture == architecture
    assert [one.prefix for one in found.components] == [""]


def test_keep_names_keeps_the_prefix():
    view = pruned(trained(), only=("vae",), keep_names=True).view
    assert all(name.startswith(VAE) for name in view.header.tensors)
    assert known(view).kind == "vae"


def test_several_encoders_keep_their_names():
    source = Zeros(layout("sdxl"))
    view = prune(source, known(source), Pruning(only=("te",))).view
    assert len(view.header.tensors) == 197 + 390
    assert {one.architecture for one in known(view).components} == {"clip-l", "clip-g"}


def test_dropping_is_the_rest_of_only():
    tensors = trained()
    view = pruned(tensors, drop=("vae", "text_encoder")).view
    assert known(view).kind == "diffusion-model"
    assert {"v_pred", "betas", "some.extra"} <= set(view.header.tensors)


def test_aio_files_of_flux_by_the_names_of_their_encoders():
    entries = {DENOISER + name: entry for name, entry in layout("flux-dev").items()}
    entries |= {"text_encoders.t5xxl.transformer." + name: entry for name, entry in layout("t5xxl").items()}
    entries |= {"text_encoders.clip_l.transformer." + name: entry for name, entry in layout("clip-l").items()}
    entries |= {"vae." + name: entry for name, entry in layout("vae-flux").items()}
    source = Zeros(entries)
    for word, kind, tensors in (
        ("t5", "t5xxl", 219),
        ("te1", "clip-l", 196),
        ("te2", "t5xxl", 219),
        ("vae", "ae-16ch", 244),
    ):
        view = prune(source, known(source), Pruning(only=(word,))).view
        assert (known(view).architecture, len(view.header.tensors)) == (kind, tensors)
    view = prune(source, known(source), Pruning(drop=("t5",))).view
    assert [one.architecture for one in known(view).components] == ["flux1", "clip-l", "ae-16ch"]


def test_inpainting_channels_stay():
    tensors = narrow("sd15")
    name = DENOISER + "input_blocks.0.0.weight"
    tensors |= filled({name: ("F32", (5, 9, 3, 3))})
    view = pruned(tensors, dtype="fp16", strict=True).view
    assert (view.info(name).shape, known(view).variant) == ((5, 9, 3, 3), "inpaint")


def test_what_is_not_there_is_named_with_what_is():
    with pytest.raises(UsageError, match="'te3'") as raised:
        pruned(narrow("sdxl"), only=("te3",))
    assert "text_encoder_1, text_encoder_2" in raised.value.hint
    source = Zeros(layout("lora-sd15-kohya"))
    with pytest.raises(UsageError, match="vae") as raised:
        prune(source, known(source), Pruning(drop=("vae",)))
    assert "lora" in raised.value.hint


def test_nothing_may_not_be_left():
    with pytest.raises(UsageError, match="Nothing would be left"):
        pruned(narrow("sd15"), drop=("vae", "te", "denoiser"))
    with pytest.raises(UsageError, match="two things"):
        pruned(narrow("sd15"), drop=("vae",), only=("vae",))
