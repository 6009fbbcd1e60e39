"""Models in every container, packed or not: their layers have the sizes that their weights stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import tiny_pipelines
import torch
from check_helper import DENOISER, layers_of, whole
from layouts_helper import layout, of_shapes
from safetensors.torch import load_file, save_file

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.data import data_path
from modelhub.catalog.identify import identify
from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.formats.opening import open_source
from modelhub.lora.checking.answer import Answer
from modelhub.lora.checking.fit import fit
from modelhub.lora.checking.judging import judge
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.models import Model, read_model

BASE, LORA = data_path("demo", "tiny-shapes-base.safetensors"), data_path("demo", "tiny-shapes-framed-lora.safetensors")
Read = Callable[[Path], Model]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def call(path: Path) -> Model:
        with Catalog.open(tmp_path / "home") as catalog, Opener(catalog) as opener:
            return read_model(opener(str(path)))

    return call


def answer_of(model: Model, lora: Path = LORA) -> Answer:
    with open_source(lora) as source:
        header = source.header
    met = fit(read_adapter(header.shapes), model.layers, sized=model.sized)
    return judge(met, Known.of_identity(identify(header), "l"), Known.of_identity(model.identity, "m"))


def unet() -> dict[str, torch.Tensor]:
    return {name: one for name, one in load_file(BASE).items() if name.startswith(DENOISER)}


def test_a_pickle(read: Read, tmp_path: Path):
    torch.save({"state_dict": load_file(BASE)}, tmp_path / "base.ckpt")
    answer = answer_of(read(tmp_path / "base.ckpt"))
    assert (answer.verdict, answer.counts) == ("compatible", {"unet": {"ok": 192}})


def test_fp8_with_scales(read: Read, tmp_path: Path):
    packed = {}
    for name, one in unet().items():
        is_matrix = name.endswith(".weight") and one.dim() > 1
        packed[name] = one.to(torch.float8_e4m3fn) if is_matrix else one
        if is_matrix:
            packed[name.removesuffix("weight") + "scale_weight"] = torch.tensor(1.0)
    save_file({**packed, "scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "fp8.safetensors")
    model = read(tmp_path / "fp8.safetensors")
    assert (model.sized, answer_of(model).counts) == (True, {"unet": {"ok": 192}})


def test_four_bits(read: Read, tmp_path: Path):
    """bitsandbytes keeps the bytes of a weight in a column, and its shape in JSON beside it."""
    packed = {}
    for name, one in unet().items():
        if not name.endswith(("attn1.to_q.weight", "attn2.to_k.weight")):
            packed[name] = one
            continue
        state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": list(one.shape)}
        packed |= {
            name: torch.zeros(one.numel() // 2, 1, dtype=torch.uint8),
            f"{name}.absmax": torch.ones(one.numel() // 64),
            f"{name}.quant_map": torch.linspace(-1, 1, 16),
            f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
        }
    save_file(packed, tmp_path / "nf4.safetensors")
    model = read(tmp_path / "nf4.safetensors")
    assert (model.sized, answer_of(model).counts) == (True, {"unet": {"ok": 192}})


def test_gguf(read: Read, tmp_path: Path):
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "sd1")
    for name, one in unet().items():
        array = one.float().numpy()
        kind = gguf.GGMLQuantizationType.Q8_0 if array.ndim == 2 and array.shape[1] % 32 == 0 else None
        writer.add_tensor(
            name.removeprefix(DENOISER), gguf.quants.quantize(array, kind) if kind else array, raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = read(tmp_path / "a.gguf")
    assert (model.sized, answer_of(model).counts) == (True, {"unet": {"ok": 192}})
    assert "quantised" not in {one.id for one in answer_of(model).reasons}  # what was read are the weights


def _nunchaku() -> dict[str, torch.Tensor]:
    """A few tensors of Flux as nunchaku packs them: names of its own for fused layers."""
    tensors = {}
    for layer in ("transformer_blocks.0.qkv_proj_context", "single_transformer_blocks.0.qkv_proj"):
        tensors |= {
            f"{layer}.qweight": torch.zeros(9216, 1536, dtype=torch.int8),
            f"{layer}.wscales": torch.zeros(48, 9216),
        }
    for name, shape in (
        ("time_text_embed.text_embedder.linear_1", (3072, 768)), ("time_text_embed.guidance_embedder.linear_1", (3072, 256)),
        ("x_embedder", (3072, 64)),
    ):  # fmt: skip
        tensors[f"{name}.weight"] = torch.zeros(shape, dtype=torch.bfloat16)
    return tensors


@pytest.mark.parametrize(("lora", "verdict"), [("lora-flux-diffusers", "caution"), ("lora-sdxl-kohya", "incompatible")])
def test_what_cannot_be_unpacked_is_judged_by_its_names(read: Read, tmp_path: Path, lora: str, verdict: str):
    save_file(_nunchaku(), tmp_path / "svdq.safetensors")
    model = read(tmp_path / "svdq.safetensors")
    assert (model.sized, model.identity.architecture) == (False, "flux1")
    small = {
        name: torch.zeros(shape, dtype=torch.float16) for name, (_, shape) in layout(lora).items() if "_te" not in name
    }
    small = dict(list(small.items())[:12])
    save_file(small, tmp_path / "lora.safetensors")
    answer = answer_of(model, tmp_path / "lora.safetensors")
    assert answer.verdict == verdict
    assert (answer.checked, answer.unchecked[0]) == (("names",), "sizes of the layers")
    assert any("dims not checkable" in one.say for one in answer.reasons)


def test_a_folder_of_diffusers(read: Read, tmp_path: Path):
    folder = tmp_path / "pipe"
    network = tiny_pipelines.unet()
    network.save_pretrained(folder / "unet")
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]})
    )
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    wide = {f"unet.{module}.lora_A.weight": torch.zeros(4, 12), f"unet.{module}.lora_B.weight": torch.zeros(8, 4)}
    save_file(wide, tmp_path / "lora.safetensors")
    model = read(folder)
    answer = answer_of(model, tmp_path / "lora.safetensors")
    assert (model.sized, answer.verdict, answer.counts) == (True, "compatible", {"unet": {"ok": 1}})


def test_unsized_layers_are_compared_by_name():
    wrong = of_shapes(
        {
            "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": (7, 4),
            "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 7),
        }
    )
    adapter = read_adapter(wrong.shapes)
    assert fit(adapter, layers_of(whole("sd15"))).counts == {"unet": {"dim-mismatch": 1}}
    assert fit(adapter, layers_of(whole("sd15")), sized=False).counts == {"unet": {"ok": 1}}


def test_numbers_are_not_read(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A check looks at headers: weights that cannot be read hinder nothing."""
    path = tmp_path / "base.safetensors"
    data = np.fromfile(BASE, dtype=np.uint8)
    data[-1_000_000:] = 255  # numbers that are none
    data.tofile(path)
    assert answer_of(read(path)).verdict == "compatible"
