"""VAEs against models: channels by shape, and of VAEs that have the same shapes what hash, metadata and name tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
from layouts_helper import cast, header, layout, moved, of_shapes, without

from modelhub.catalog.identify import identify
from modelhub.lora.checking.answer import Answer
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.others import check_other

#: The SHA256 of released files: the fine-tuned VAE of SD 1.x (MSE), and that of SDXL.
_SD1 = "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75"
_SDXL = "63aeecb90ff7bc1c115395962d3e803571385b61938377bc7089b36e81e92e2e"


def vae(layout_name: str, name: str = "some.safetensors", metadata: dict[str, str] | None = None) -> Known:
    return Known.of_identity(identify(header(layout(layout_name), metadata), name=name), name)


def model(name: str) -> Known:
    return Known.of_identity(identify(header(layout(name)), name=name), name)


def check(one: Known, to: str, sha256: str | None = None) -> Answer:
    return check_other(one, model(to), sha256)


def reason(answer: Answer) -> str:
    return " ".join(one.id for one in answer.reasons if one.severity == answer.verdict)


@pytest.mark.parametrize(
    ("one", "to", "verdict", "why"),
    [
        ("vae-sd", "flux-dev", "incompatible", "other-latent-channels"),
        ("vae-sd", "sd3-medium", "incompatible", "other-latent-channels"),
        ("vae-flux", "sd15", "incompatible", "other-latent-channels"),
        ("vae-flux", "sdxl", "incompatible", "other-latent-channels"),
        ("vae-sd", "sd15", "caution", "latents-unknown"),
        ("vae-sd", "sd21", "caution", "latents-unknown"),
        ("vae-sd", "sdxl", "caution", "latents-unknown"),
        ("vae-flux", "flux-dev", "caution", "latents-unknown"),
        ("vae-flux", "sd3-medium", "caution", "latents-unknown"),
    ],
)
def test_channels_are_proof_and_equal_shapes_are_none(one: str, to: str, verdict: str, why: str) -> None:
    answer = check(vae(one), to)
    assert answer.verdict == verdict and why in reason(answer), answer
    assert bool(answer.mismatches) == (verdict == "incompatible")


@pytest.mark.parametrize(
    ("one", "name", "to", "verdict"),
    [
        ("vae-sd", "vae-ft-mse-840000-ema-pruned.safetensors", "sd15", "compatible"),
        ("vae-sd", "vae-ft-mse-840000-ema-pruned.safetensors", "sd21", "compatible"),
        ("vae-sd", "vae-ft-mse-840000-ema-pruned.safetensors", "sdxl", "caution"),
        ("vae-sd", "sdxl_vae.safetensors", "sdxl", "compatible"),
        ("vae-sd", "sdxl-vae-fp16-fix.safetensors", "sd15", "caution"),
        ("vae-sd", "kl-f8-anime2.ckpt", "sd15", "compatible"),
        ("vae-sd", "orangemix.vae.pt", "sdxl", "caution"),
        ("vae-flux", "ae.safetensors", "flux-dev", "compatible"),
        ("vae-flux", "flux_vae.safetensors", "sd3-medium", "caution"),
        ("vae-flux", "sd3_vae.safetensors", "sd3-medium", "compatible"),
        ("vae-sd", "orangemix-for-sdxl.safetensors", "sd15", "caution"),
    ],
)
def test_a_name_is_a_hint_and_never_proof(one: str, name: str, to: str, verdict: str) -> None:
    answer = check(vae(one, name), to)
    assert answer.verdict == verdict, answer
    assert any(name in found.say for found in answer.reasons)


def test_the_base_of_a_vae_are_the_models_that_use_it() -> None:
    assert {"sd1", "sd2", "sdxl"} <= set(check(vae("vae-sd"), "sd15").base)
    assert {"flux1", "sd3"} <= set(check(vae("vae-flux"), "sd15").base)


def test_a_known_hash_is_proof_whatever_the_file_is_called() -> None:
    misnamed = vae("vae-sd", "sdxl_vae.safetensors")
    assert check(misnamed, "sd15", _SD1).verdict == "compatible"
    wrong = check(misnamed, "sdxl", _SD1)
    assert wrong.verdict == "incompatible" and "0.18215" in wrong.headline and "0.13025" in wrong.headline
    assert check(vae("vae-sd", "mine.pt"), "sdxl", _SDXL).verdict == "compatible"
    assert check(vae("vae-sd", "mine.pt"), "sd15", _SDXL).verdict == "incompatible"
    assert check(misnamed, "sdxl", "0" * 64).verdict == "compatible", "an unknown hash says nothing"


def test_what_a_sidecar_or_the_title_says_counts() -> None:
    plain = vae("vae-sd", "model.vae.pt")
    said = replace(plain, facts={**plain.facts, "declared_base": "SDXL 1.0"})
    assert check(said, "sdxl").verdict == "compatible" and check(said, "sd15").verdict == "caution"
    titled = vae("vae-sd", "v2.safetensors", {"modelspec.title": "Pony XL VAE"})
    assert check(titled, "sdxl").verdict == "compatible" and check(titled, "sd15").verdict == "caution"


@pytest.mark.parametrize(
    ("channels", "name", "to", "verdict"),
    [
        (4, "taesd_decoder.pth", "sd15", "compatible"),
        (4, "taesdxl_decoder.pth", "sdxl", "compatible"),
        (4, "taesdxl_decoder.pth", "sd15", "caution"),
        (16, "taef1_decoder.pth", "flux-dev", "compatible"),
        (16, "taesd3_decoder.pth", "sd3-medium", "compatible"),
        (4, "taesd_decoder.pth", "flux-dev", "incompatible"),
    ],
)
def test_tiny_decoders_stand_in_for_a_vae(channels: int, name: str, to: str, verdict: str) -> None:
    shapes = {"1.weight": (64, channels, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}
    one = Known.of_identity(identify(of_shapes(shapes), name=name), name)
    assert (one.kind, one.architecture) == ("vae", "taesd")
    assert check(one, to).verdict == verdict


def test_the_vae_of_the_upscaler_is_no_other_ones() -> None:
    x4 = without(layout("vae-sd"), "encoder.down.2.downsample")
    one = Known.of_identity(identify(header(x4), name="x4.safetensors"), "x4.safetensors")
    assert one.variant == "x4-upscaler"
    assert check(one, "sd15").verdict == "incompatible"


def test_a_checkpoint_without_a_vae_is_told() -> None:
    bare = identify(header(without(layout("sd15"), "first_stage_model.")), name="a")
    answer = check_other(vae("vae-sd", "vae-ft-mse.pt"), Known.of_identity(bare, "a"))
    assert answer.verdict == "compatible" and any(one.id == "no-vae-inside" for one in answer.reasons)
    full = check(vae("vae-sd", "vae-ft-mse.pt"), "sd15")
    assert all(one.id != "no-vae-inside" for one in full.reasons)


def test_precision_and_prefix_change_nothing() -> None:
    for tensors in (cast(layout("vae-sd"), "BF16"), moved(layout("vae-sd"), "", "first_stage_model.")):
        one = Known.of_identity(identify(header(tensors), name="sdxl_vae"), "sdxl_vae")
        assert one.kind == "vae" and check(one, "sdxl").verdict == "compatible"


def test_names_that_are_no_text_are_shown_safely() -> None:
    nasty = "sdxl\n\x1b[31m[red]\u202e.pt"
    answer = check(vae("vae-sd", nasty), "sdxl")
    assert answer.verdict == "compatible"
    assert "\x1b" not in answer.headline and "\n" not in answer.headline and "\u202e" not in answer.headline
