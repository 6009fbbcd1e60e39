"""Prune: every tensor of the source is kept or dropped for a reason, and what is kept keeps its bytes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import (
    DENOISER,
    Zeros,
    dropped_names,
    empty,
    floats,
    kept_names,
    known,
    layout,
    narrow,
    opened,
    pruned,
    scalar,
    trained,
)

from modelhub.convert.conversion import carry_out
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.errors import IncompatibleError, UsageError

VAE, TE = "first_stage_model.", "cond_stage_model.transformer."


def test_training_leaves_and_all_that_makes_pictures_stays():
    tensors = trained()
    conversion = pruned(tensors)
    gone = {name for name in tensors if name.startswith("model_ema.")} | {
        "global_step",
        "first_stage_model.loss.logvar",
    }
    assert dropped_names(conversion) == gone
    assert set(conversion.view.header.tensors) == tensors.keys() - gone
    for name in conversion.view.header.tensors:
        assert conversion.view.read_bytes(name) == tensors[name][2]
    reasons = {one.what: one.reason for one in conversion.parts}
    assert "training" in reasons["EMA weights"]
    assert "may matter" in reasons["unknown: some.extra"]


def test_sizes_and_counts_add_up():
    tensors = trained()
    conversion = pruned(tensors, ema="use", strict=True)
    assert sum(one.size for one in conversion.parts) == sum(len(raw) for _, _, raw in tensors.values())
    assert sum(len(one.names) for one in conversion.parts) == len(tensors)


def test_strict_leaves_schedules_and_unknown_tensors_out_but_never_markers():
    conversion = pruned(trained(), strict=True)
    assert {"betas", "posterior_variance", "some.extra"} <= dropped_names(conversion)
    assert {"v_pred", "ztsnr"} <= set(conversion.view.header.tensors)


@pytest.mark.parametrize(
    "marker", ["v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.sigma_max", "scaled_fp8", "blocks.0.comfy_quant"]
)
def test_markers_are_always_kept(marker):
    conversion = pruned(narrow("sdxl") | {marker: scalar(1)}, strict=True)
    assert marker in conversion.view.header.tensors


def test_an_empty_tensor_is_a_marker_whatever_its_name():
    assert "__new_marker__" in pruned(narrow("sdxl") | {"__new_marker__": empty()}, strict=True).view.header.tensors


def test_only_leaves_the_noise_schedule_out():
    view = pruned(trained(), only=("denoiser",)).view
    assert set(view.header.tensors) == {n for n in trained() if n.startswith(DENOISER)} | {"v_pred", "ztsnr"}


@pytest.mark.parametrize("wish", [{}, {"strict": True}, {"ema": "use"}, {"ema": "keep", "dtype": "fp16"}])
def test_the_result_is_what_it_was(wish):
    tensors = trained()
    before = known(opened(tensors))
    after = known(pruned(tensors, **wish).view)
    assert (after.kind, after.architecture, after.prediction) == (before.kind, "sd1", "v")
    assert after.facts["zero_terminal_snr"]


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "sd3-medium", "flux-dev", "vae-sd", "clip-l", "t5xxl"])
def test_released_models_have_nothing_to_prune(name):
    source = Zeros(layout(name))
    conversion = prune(source, known(source), Pruning())
    assert not conversion.changes
    assert set(conversion.view.header.tensors) == set(source.header.tensors)


@pytest.mark.parametrize(
    "name", ["controlnet-sd15", "lora-sdxl-kohya", "lokr-sdxl", "upscaler-realesrgan-x4plus", "upscaler-esrgan-old-x4"]
)
def test_files_without_components_are_kept_whole(name):
    source = Zeros(layout(name))
    for strict in (False, True):
        assert not prune(source, known(source), Pruning(strict=strict)).changes


def test_profiler_junk_of_upscalers_goes():
    entries = layout("upscaler-realesrgan-x4plus-anime6b") | {
        "total_ops": ("F64", (1,)),
        "body.0.total_params": ("F64", (1,)),
    }
    source = Zeros(entries)
    assert dropped_names(prune(source, known(source), Pruning())) == {"total_ops", "body.0.total_params"}


def test_metadata_tells_what_was_done_and_no_longer_lies():
    old = {"modelspec.title": "T", "modelspec.hash_sha256": "0xab", "sshs_model_hash": "cd", "sshs_legacy_hash": "ef"}
    conversion = pruned(trained(), old, dtype="fp16")
    metadata = conversion.view.header.metadata
    assert metadata["modelspec.title"] == "T"
    assert not {"modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash"} & metadata.keys()
    (warning,) = [text for text in conversion.warnings if "no longer says" in text]
    assert all(key in warning for key in old.keys() - {"modelspec.title"})
    done = json.loads(metadata["modelhub.pruned"])
    assert (done["dtype"], done["dropped"]["EMA weights"]) == ("fp16", 688)


def test_metadata_of_an_unchanged_model_stays():
    old = {"modelspec.hash_sha256": "0xab", "format": "pt"}
    assert dict(pruned(narrow("sd15"), old).view.header.metadata) == old


def test_precisions_and_their_sizes():
    conversion = pruned(trained(), dtype="fp16", vae_dtype="bf16")
    actions = {(one.action, one.what) for one in conversion.parts}
    assert {("change", "denoiser (sd1)"), ("change", "VAE (kl-f8-4ch)"), ("keep", "noise schedule")} <= actions
    tensors = conversion.view.header.tensors
    assert tensors[VAE + "decoder.conv_in.weight"].dtype == "BF16"
    assert tensors["betas"].dtype == "F32"


def test_overflow_is_warned_of_after_writing(tmp_path):
    tensors = narrow("sd15")
    name = DENOISER + "out.2.weight"
    dtype, shape, raw = tensors[name]
    values = np.frombuffer(raw, "<f4").copy()
    values[0] = 1e6
    conversion = pruned(tensors | {name: (dtype, shape, values.tobytes())}, dtype="fp16")
    report = carry_out(conversion, tmp_path / "small.safetensors")
    assert any("1 weight in 1 tensor" in text for text in report.conversion.warnings)
    assert floats(conversion.view, name)[0] == np.inf


def test_packed_weights_keep_their_scales_and_markers():
    tensors = narrow("sd15")
    name = DENOISER + "input_blocks.1.1.proj_in.weight"
    _, shape, raw = tensors[name]
    tensors[name] = ("F8_E4M3", shape, bytes([0x38]) * (len(raw) // 4))
    scale = name.removesuffix(".weight") + ".scale_weight"
    tensors |= {scale: scalar(2.0), DENOISER + "scaled_fp8": ("F8_E4M3", (0,), b"")}
    assert {scale, DENOISER + "scaled_fp8"} <= set(pruned(tensors, strict=True).view.header.tensors)
    conversion = pruned(tensors, dtype="fp16")
    assert scale in dropped_names(conversion)
    assert floats(conversion.view, name).tolist() == [2.0] * (len(raw) // 4)


def test_blocks_of_gguf_need_a_precision():
    entries = layout("flux-schnell")
    name = "double_blocks.0.img_attn.qkv.weight"
    source = Zeros(entries | {name: ("Q8_0", entries[name][1])})
    identity = known(source, "gguf")
    with pytest.raises(IncompatibleError, match="Q8_0") as raised:
        prune(source, identity, Pruning())
    assert "--dtype" in raised.value.hint
    view = prune(source, identity, Pruning(dtype="bf16")).view
    assert view.info(name).dtype == "BF16"


def test_copies_need_no_torch(tmp_path, make_file):
    path = make_file(
        "a.safetensors",
        {
            name: np.frombuffer(raw, "<f4").reshape(shape)
            for name, (dtype, shape, raw) in trained().items()
            if dtype == "F32" and raw
        },
    )
    script = """
import sys
from modelhub.catalog.identify import identify
from modelhub.convert.conversion import carry_out
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.formats.opening import open_source
with open_source(sys.argv[1]) as source:
    carry_out(prune(source, identify(source.header), Pruning(only=("vae",))), sys.argv[2])
print(sorted({"torch", "numpy"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "b.safetensors"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert (tmp_path / "b.safetensors").is_file()


PREFIXES = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "model_ema.", "")
WISHES = st.builds(
    Pruning,
    ema=st.sampled_from(["keep", "drop"]),
    drop=st.sets(st.sampled_from(["vae", "te", "denoiser"]), max_size=2).map(tuple),
    strict=st.booleans(),
    keep_names=st.booleans(),
) | st.builds(
    Pruning, only=st.sets(st.sampled_from(["vae", "te", "denoiser"]), min_size=1).map(tuple), strict=st.booleans()
)


@settings(max_examples=60)
@given(data=st.data(), wish=WISHES)
def test_kept_and_dropped_are_all_and_disjoint_and_bytes_are_the_same(data, wish):
    whole = trained()
    names = data.draw(st.sets(st.sampled_from(sorted(whole)), max_size=40))
    present = data.draw(st.sets(st.sampled_from(PREFIXES), min_size=1))
    tensors = {
        name: e
        for name, e in whole.items()
        if name not in names and next(p for p in PREFIXES if name.startswith(p)) in present
    }
    source = opened(tensors)
    try:
        conversion = prune(source, known(source), wish)
    except UsageError:
        return
    kept, dropped = kept_names(conversion), dropped_names(conversion)
    assert kept | dropped == tensors.keys()
    assert not kept & dropped
    assert sum(len(one.names) for one in conversion.parts) == len(tensors)
    view = conversion.view
    assert len(view.header.tensors) == len(kept)
    by_name = {
        name: name if name in tensors else next(p + name for p in (VAE, TE, "cond_stage_model.") if p + name in tensors)
        for name in view.header.tensors
    }
    assert set(by_name.values()) == kept
    assert all(view.read_bytes(new) == tensors[old][2] for new, old in by_name.items())
