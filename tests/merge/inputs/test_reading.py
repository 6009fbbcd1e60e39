"""Packed models are merged as the floats that they stand for: fp8 with scales, four bits, blocks of GGUF."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from aligned_models import DENOISER, State, average, check, opened, put, state
from safetensors import safe_open
from safetensors.torch import load_file

from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelError
from modelhub.merge.execute import merge
from modelhub.merge.inputs.align import check_together
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import simple_recipe


def scaled(tensors: State, words: str) -> tuple[State, dict[str, Any]]:
    """Matrices in fp8 with a scale beside each, and what they stand for."""
    packed: State = {}
    plain: dict[str, Any] = {}
    for name, tensor in tensors.items():
        plain[name] = tensor.double().numpy()
        packed[name] = tensor
        if name.endswith(".weight") and tensor.ndim == 2:
            scale = tensor.float().abs().max() / 448 + 1e-6
            packed[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            packed[name.removesuffix("weight") + words] = scale.float()
            plain[name] = (packed[name].float().numpy() * np.float32(scale)).astype(np.float64)
    return packed, plain


MARKED: dict[str, Callable[[State], State]] = {
    "scale_weight": lambda tensors: {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)},
    "weight_scale": lambda tensors: {
        name.removesuffix("weight_scale") + "comfy_quant": torch.tensor(
            [*b'{"format": "float8_e4m3fn"}'], dtype=torch.uint8
        )
        for name in tensors
        if name.endswith("weight_scale")
    },
}


@pytest.mark.parametrize("words", MARKED)
def test_scaled_fp8_is_merged_as_what_it_stands_for(tmp_path: Path, words: str):
    mine, its = state("flux-schnell", 1), state("flux-schnell", 2, dtype=torch.bfloat16)
    packed, plain = scaled(its, words)
    declared = json.dumps({"layers": {"x": {"format": "float8_e4m3fn"}}})
    b = put(tmp_path / "b.safetensors", packed | MARKED[words](packed), {"_quantization_metadata": declared})
    a = put(tmp_path / "a.safetensors", mine)
    found, lacking = average(a, b)
    assert lacking == []
    check(found, {name: (tensor.double().numpy() + plain[name]) / 2 for name, tensor in mine.items()})
    found, lacking = average(b, a)
    assert lacking == []
    check(found, {name: (mine[name].double().numpy() + plain[name]) / 2 for name in its})
    with opened(b, a) as models:
        check_together([*models.values()])
        first = models["A"]
        assert {first.dtype(name) for name in first.source.header.tensors} == {"BF16"}
        assert "_quantization_metadata" not in first.source.header.metadata
        assert any("packed (" in note for note in first.notes(first=True)) and len(first.notes(first=False)) == 1
        assert models["B"].notes(first=False) == [] and models["B"].dtype("img_in.weight") == "F16"


def test_plain_fp8_stays_fp8(tmp_path: Path):
    eight = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in state("flux-schnell", 1).items()}
    with opened(put(tmp_path / "a.safetensors", eight)) as models:
        model = models["A"]
        assert {model.dtype(name) for name in model.source.header.tensors} == {"F8_E4M3"}
        assert model.notes(first=True) == []


#: The 16 numbers of NF4, from the paper (Dettmers et al. 2023, appendix E).
NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
], np.float32)  # fmt: skip


def test_nf4_is_merged_as_what_it_stands_for(tmp_path: Path):
    mine, packed, plain = state("flux-schnell", 1), State(), {}
    numbers = np.random.default_rng(0)
    for name, tensor in state("flux-schnell", 2, dtype=torch.bfloat16).items():
        packed[name], plain[name] = tensor, tensor.double().numpy()
        if name.startswith("double_blocks.3.") and tensor.ndim == 2:
            codes, absmax = (
                numbers.integers(0, 16, tensor.numel()),
                numbers.random(-(-tensor.numel() // 64), np.float32),
            )
            packed[name] = torch.from_numpy((codes[::2] << 4 | codes[1::2]).astype(np.uint8)).reshape(-1, 1)
            said = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(tensor.shape)}
            packed[f"{name}.absmax"], packed[f"{name}.quant_map"] = (
                torch.from_numpy(absmax),
                torch.from_numpy(NF4.copy()),
            )
            mark = f"{name}.quant_state.bitsandbytes__nf4"
            packed[mark] = torch.tensor([*json.dumps(said).encode()], dtype=torch.uint8)
            scales = np.repeat(absmax, 64)[: tensor.numel()]
            plain[name] = (NF4[codes] * scales).astype(np.float64).reshape(tensor.shape)
    found, lacking = average(put(tmp_path / "a.safetensors", mine), put(tmp_path / "b.safetensors", packed))
    assert lacking == []
    check(found, {name: (tensor.double().numpy() + plain[name]) / 2 for name, tensor in mine.items()})
    with opened(tmp_path / "b.safetensors") as models:
        assert set(models["A"].source.header.tensors) == set(mine)
        assert models["A"].dtype("double_blocks.3.img_attn.qkv.weight") == "BF16"


def gguf_file(path: Path, tensors: State) -> dict[str, Any]:
    """Matrices of whole blocks in Q8_0, the rest in F16, as the package gguf writes them; and what they stand for."""
    writer = gguf.GGUFWriter(path, "flux")
    plain = {}
    for name, tensor in tensors.items():
        array = tensor.float().numpy()
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            blocks = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            plain[name] = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0).astype(np.float64)
        else:
            writer.add_tensor(name, array.astype(np.float16))
            plain[name] = array.astype(np.float16).astype(np.float64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return plain


def in_blocks(seed: int) -> State:
    """A Flux with rows of whole blocks of GGUF."""
    numbers = np.random.default_rng(seed)
    return {
        name: torch.from_numpy(numbers.standard_normal([-(-n // 32) * 32 for n in tensor.shape])).half()
        for name, tensor in state("flux-schnell", 0).items()
    }


def test_gguf_is_merged_as_what_it_stands_for(tmp_path: Path):
    mine, its = in_blocks(1), in_blocks(2)
    a = put(tmp_path / "a.safetensors", {DENOISER + name: tensor for name, tensor in mine.items()})
    plain = gguf_file(tmp_path / "b.gguf", its)
    expected = {name: (tensor.double().numpy() + plain[name]) / 2 for name, tensor in mine.items()}
    found, lacking = average(a, tmp_path / "b.gguf")
    assert lacking == []
    check(found, {DENOISER + name: array for name, array in expected.items()})
    check(average(tmp_path / "b.gguf", a)[0], expected)
    with opened(tmp_path / "b.gguf") as models:
        first = models["A"]
        assert first.dtype("double_blocks.0.img_attn.qkv.weight") == "BF16"
        assert first.dtype("double_blocks.0.img_attn.qkv.bias") == "F16"
        assert not any(key.startswith("gguf.") for key in first.source.header.metadata)


#: What llama.cpp calls the tensors of a T5 encoder, as its source lists them.
LLAMA = {
    "shared.": "token_embd.", "encoder.final_layer_norm": "enc.output_norm", "encoder.block.": "enc.blk.",
    "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b", "layer.0.SelfAttention.q": "attn_q",
    "layer.0.SelfAttention.k": "attn_k", "layer.0.SelfAttention.v": "attn_v", "layer.0.SelfAttention.o": "attn_o",
    "layer.0.layer_norm": "attn_norm", "layer.1.DenseReluDense.wi_0": "ffn_gate", "layer.1.layer_norm": "ffn_norm",
    "layer.1.DenseReluDense.wi_1": "ffn_up", "layer.1.DenseReluDense.wo": "ffn_down",
}  # fmt: skip


def test_a_t5_of_llama_cpp_is_merged_with_one_of_transformers(tmp_path: Path):
    mine, its = state("t5xxl", 1), state("t5xxl", 2)
    shared = {name: tensor for name, tensor in its.items() if name != "encoder.embed_tokens.weight"}
    names = {}
    for name in shared:
        names[name] = name
        for old, new in LLAMA.items():
            names[name] = names[name].replace(old, new)
    plain = gguf_file(tmp_path / "b.gguf", {names[name]: tensor for name, tensor in shared.items()})
    found, lacking = average(put(tmp_path / "a.safetensors", mine), tmp_path / "b.gguf")
    assert lacking == []
    was = names | {"encoder.embed_tokens.weight": names["shared.weight"]}
    check(found, {name: (tensor.double().numpy() + plain[was[name]]) / 2 for name, tensor in mine.items()})


def test_what_cannot_be_unpacked_is_refused_with_the_name_of_the_model(tmp_path: Path):
    tensors = state("flux-schnell", 1)
    foreign = tensors | {"double_blocks.0.img_attn.qkv.SCB": torch.ones(144)}
    svd = {name: tensor for name, tensor in tensors.items() if name != "double_blocks.0.img_attn.qkv.weight"}
    svd["double_blocks.0.img_attn.qkv.qweight"] = torch.ones(144, 24, dtype=torch.int8)
    a = put(tmp_path / "a.safetensors", tensors)
    for number, packed in enumerate((foreign, svd)):
        with opened(a, put(tmp_path / f"packed{number}.safetensors", packed)) as models:
            with pytest.raises(ModelError, match=rf"B \(packed{number}\).* cannot be unpacked") as caught:
                check_together([*models.values()])
            assert "fp16 or bf16" in caught.value.hint


def written(goal: Path, *paths: Path) -> tuple[State, list[str], dict[str, str]]:
    """A quarter of the second: what is written, what is said of it, and its metadata."""
    recipe = simple_recipe("weighted-sum", [str(path) for path in paths], parameters={"alpha": 0.25})
    with Catalog.open() as catalog, Opener(catalog) as opener:
        made = plan(recipe, opener)
        merge(made, goal)
    with safe_open(goal, "pt") as file:
        return load_file(goal), made.report.warnings, file.metadata()


def test_a_merge_of_packed_weights_is_written_in_bf16_without_their_scales(tmp_path: Path):
    mine, its = state("flux-schnell", 1), state("flux-schnell", 2)
    packed, plain = scaled(mine, "scale_weight")
    declared = {"_quantization_metadata": json.dumps({"layers": {"x": {"format": "float8_e4m3fn"}}})}
    a = put(tmp_path / "a.safetensors", packed | MARKED["scale_weight"](packed), declared)
    result, said, metadata = written(tmp_path / "out.safetensors", a, put(tmp_path / "b.safetensors", its))
    assert result.keys() == mine.keys()
    for name, tensor in result.items():
        eight = packed[name].dtype == torch.float8_e4m3fn
        assert tensor.dtype == (torch.bfloat16 if eight else torch.float16)
        exact = 0.75 * plain[name] + 0.25 * its[name].double().numpy()
        # rounded once: half a step of 8 bits, or of 11
        np.testing.assert_allclose(tensor.double().numpy(), exact, rtol=2.0 ** (-7.99 if eight else -10.99), atol=1e-7)
    assert any("A (a) is packed (scaled-fp8" in text for text in said) and any("BF16" in text for text in said)
    assert "_quantization_metadata" not in metadata


def test_a_merge_of_a_pickle_and_a_gguf_is_written(tmp_path: Path):
    mine, its = in_blocks(1), in_blocks(2)
    plain = gguf_file(tmp_path / "b.gguf", its)
    torch.save({"state_dict": {DENOISER + name: tensor for name, tensor in mine.items()}}, tmp_path / "a.ckpt")
    result, said, _ = written(tmp_path / "out.safetensors", tmp_path / "a.ckpt", tmp_path / "b.gguf")
    assert result.keys() == {DENOISER + name for name in mine}
    for name, tensor in mine.items():
        exact = 0.75 * tensor.double().numpy() + 0.25 * plain[name]
        np.testing.assert_allclose(result[DENOISER + name].double().numpy(), exact, rtol=2.0**-10.99, atol=1e-7)
    assert any("B (b) is packed (gguf)" in text for text in said)
