"""Precisions: weights of components are cast as torch casts them, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import DENOISER, Zeros, empty, filled, floats, known, layout, narrow, opened, scalar

from modelhub.convert.precision import in_precision, precision_findings
from modelhub.errors import IncompatibleError, UsageError

VAE, TE = "first_stage_model.", "cond_stage_model."


def checkpoint():
    tensors = narrow("sd15")
    tensors |= filled({"alphas_cumprod": ("F32", (1000,)), "betas": ("F64", (1000,)), "strange": ("F32", (7,))})
    return opened(tensors | {"v_pred": empty(), "model_ema.decay": scalar(0.5), "edm_mean": scalar(1.5)})


def dtypes(view, prefix):
    return {info.dtype for name, info in view.header.tensors.items() if name.startswith(prefix)}


def test_weights_of_denoiser_and_text_encoder_are_cast_and_all_else_stays():
    source = checkpoint()
    view, parts, warnings = in_precision(source, known(source), "fp16")
    assert dtypes(view, DENOISER) == {"F16"}
    assert dtypes(view, TE) == {"F16", "I64"}
    assert dtypes(view, VAE) == {"F32"}
    for name in ("alphas_cumprod", "betas", "strange", "v_pred", "model_ema.decay", "edm_mean"):
        assert view.info(name).dtype == source.info(name).dtype
        assert view.read_bytes(name) == source.read_bytes(name)
    assert warnings == []
    assert [(one.action, one.what) for one in parts] == [
        ("change", "denoiser (sd1)"),
        ("change", "text encoder (clip-l)"),
        ("keep", "VAE (kl-f8-4ch)"),
    ]
    assert "fp32 to fp16" in parts[0].reason
    assert "fp32" in parts[2].reason


@pytest.mark.parametrize(("dtype", "torch_name"), [("fp16", "float16"), ("bf16", "bfloat16"), ("fp32", "float32")])
def test_numbers_are_those_that_torch_makes(dtype, torch_name):
    import torch

    source = checkpoint()
    view, _, _ = in_precision(source, known(source), dtype)
    name = DENOISER + "input_blocks.1.0.in_layers.2.weight"
    assert torch.equal(view.tensor(name), source.tensor(name).to(getattr(torch, torch_name)))


def test_position_ids_stay_integers():
    source = checkpoint()
    view, _, _ = in_precision(source, known(source), "fp16", "fp16")
    name = TE + "transformer.text_model.embeddings.position_ids"
    assert view.info(name).dtype == "I64"
    assert floats(view, name).tolist() == list(range(77))


def test_keep_is_the_source_itself():
    source = checkpoint()
    assert in_precision(source, known(source), "keep") == (source, [], [])


def test_a_vae_is_cast_when_asked_for_and_sdxl_is_warned_of():
    for name, warned in (("sd15", False), ("sdxl", True)):
        tensors = narrow(name)
        tensors |= filled({n: ("F32", s) for n, (_, s, _) in tensors.items() if n.startswith(VAE)})
        source = opened(tensors)
        view, _, warnings = in_precision(source, known(source), "keep", "fp16")
        assert dtypes(view, VAE) == {"F16"}
        assert dtypes(view, DENOISER) == dtypes(source, DENOISER)
        assert any("black" in text for text in warnings) == warned


def test_a_file_that_is_a_vae_is_cast_by_the_dtype_alone():
    source = opened(narrow("vae-sd"))
    view, _, warnings = in_precision(source, known(source), "fp16")
    assert dtypes(view, "") == {"F16"}
    assert any("SDXL" in text for text in warnings)
    view, _, _ = in_precision(source, known(source), "fp16", "fp32")
    assert view is source


def test_weights_of_a_lora_are_cast_and_its_alphas_stay():
    entries = layout("lora-sd15-kohya")
    source = Zeros({name: ("F32", shape) for name, (_, shape) in entries.items()})
    view, _, _ = in_precision(source, known(source), "bf16")
    for name, info in view.header.tensors.items():
        assert info.dtype == ("F32" if name.endswith(".alpha") else "BF16")


def test_upscalers_and_controlnets_are_weights_throughout():
    for name in ("upscaler-realesrgan-x4plus-anime6b", "controlnet-sd15"):
        source = Zeros({tensor: ("F32", shape) for tensor, (_, shape) in layout(name).items()})
        view, parts, _ = in_precision(source, known(source), "fp16")
        assert dtypes(view, "") == {"F16"}
        assert [one.what for one in parts] == ["weights"]


def test_overflow_is_counted_once_the_view_was_read():
    tensors = narrow("sd15")
    name = DENOISER + "input_blocks.0.0.weight"
    dtype, shape, raw = tensors[name]
    values = np.frombuffer(raw, "<f4").copy()
    values[:3] = 1e6, -3.4e38, 65504
    source = opened(tensors | {name: (dtype, shape, values.tobytes())})
    view, _, _ = in_precision(source, known(source), "fp16")
    assert precision_findings(view) == []
    for each in view.header.tensors:
        view.read_bytes(each)
    (said,) = precision_findings(view)
    assert said.startswith("2 weights in 1 tensor") and name in said and said.endswith("Use bf16 or fp32.")
    view, _, _ = in_precision(source, known(source), "bf16")
    view.read_bytes(name)
    (said,) = precision_findings(view)
    assert said.startswith("1 weight in 1 tensor") and "Use" not in said, "bf16 is no help to itself"


def test_a_precision_that_is_there_changes_nothing():
    source = opened(narrow("sdxl"))
    view, parts, warnings = in_precision(source, known(source), "fp16", "fp16")
    assert (view, parts, warnings) == (source, [], [])


def test_packed_weights_are_refused_and_a_vae_beside_them_is_not():
    tensors = narrow("sd15")
    name = DENOISER + "input_blocks.1.1.proj_in.weight"
    _, shape, raw = tensors[name]
    tensors[name] = ("F8_E4M3", shape, bytes(len(raw) // 4))
    tensors[name.removesuffix(".weight") + ".scale_weight"] = scalar(2.0)
    tensors[DENOISER + "scaled_fp8"] = ("F8_E4M3", (0,), b"")
    source = opened(tensors)
    with pytest.raises(IncompatibleError, match=r"scaled-fp8.*cannot be cast"):
        in_precision(source, known(source), "fp16")
    view, _, _ = in_precision(source, known(source), "keep", "bf16")
    assert dtypes(view, VAE) == {"BF16"}
    assert view.info(name).dtype == "F8_E4M3"


def test_blocks_are_refused():
    entries = {name: ("F16", shape) for name, (_, shape) in layout("flux-schnell").items()}
    name = "double_blocks.0.img_attn.qkv.weight"
    source = Zeros(entries | {name: ("Q4_0", entries[name][1])})
    with pytest.raises(IncompatibleError, match="Q4_0"):
        in_precision(source, known(source, "gguf"), "bf16")


def test_fp8_without_scales_is_plain():
    source = Zeros({name: ("F8_E4M3", shape) for name, (_, shape) in layout("flux-dev").items()})
    view, _, _ = in_precision(source, known(source), "bf16")
    assert dtypes(view, "") == {"BF16"}


def test_an_unknown_precision_is_refused():
    source = checkpoint()
    with pytest.raises(UsageError, match="fp12"):
        in_precision(source, known(source), "fp12")
