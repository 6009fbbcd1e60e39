"""What is told of an adapter, against files whose numbers are known; and how much it adds, against plain numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelhub.formats.opening import open_source
from modelhub.lora.info import info, number_of
from modelhub.lora.network import Network
from modelhub.lora.reference import reference
from modelhub.lora.strengths import strengths

DOWN, UP = ".lora_down.weight", ".lora_up.weight"
QUERY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"
KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
CONV = "lora_unet_up_blocks_1_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_3_mlp_fc1"


def _told(path: Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    save_file(dict(state), path, dict(metadata) if metadata else None)
    with open_source(path) as source:
        return info(Network(source, path.name))


def _pair(name: str, out: int, inner: int, rank: int, alpha: float | None, dtype: torch.dtype = torch.float16) -> Any:
    state = {name + DOWN: torch.zeros(rank, inner, dtype=dtype), name + UP: torch.zeros(out, rank, dtype=dtype)}
    return state | ({} if alpha is None else {f"{name}.alpha": torch.tensor(alpha, dtype=dtype)})


def test_what_a_file_is_made_of(tmp_path: Path) -> None:
    state = _pair(QUERY, 320, 320, 8, 4.0) | _pair(KEY, 320, 768, 8, 4.0) | _pair(TEXT, 3072, 768, 4, None)
    told = _told(tmp_path / "a.safetensors", state)
    assert told["bases"] == ["sd1"]
    assert told["algorithms"] == {"lora": 3} and told["rank"] == {"8": 2, "4": 1}
    assert told["alpha"] == {"values": {"4": 2}, "scales": {"0.5": 2}, "missing": 1}
    assert told["parts"] == {"attention": 2, "te1": 1}
    assert told["dtypes"] == {"F16": sum(value.numel() for value in state.values())}
    assert told["tensors"] == 8 and told["bytes"] == (tmp_path / "a.safetensors").stat().st_size
    assert any("3 of 3 names" in line for line in told["base_evidence"])


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
@pytest.mark.parametrize("shape", [(), (1,)])
def test_numbers_of_any_dtype_are_read(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.full(shape, 6).to(dtype)}, path)
    with open_source(path) as source:
        network = Network.__new__(Network)
        network.source = source
        assert number_of(network, "a") == 6.0


@pytest.mark.parametrize(
    ("value", "wanted"), [(float("nan"), "nan"), (float("inf"), "inf"), (-1.5, "-1.5"), (0.0, "0")]
)
def test_strange_alphas_are_told(tmp_path: Path, value: float, wanted: str) -> None:
    told = _told(tmp_path / "a.safetensors", _pair(QUERY, 320, 320, 2, value))
    assert told["alpha"]["values"] == {wanted: 1}


def test_an_alpha_of_several_numbers_is_none(tmp_path: Path) -> None:
    state = _pair(QUERY, 320, 320, 2, None) | {f"{QUERY}.alpha": torch.ones(7)}
    assert _told(tmp_path / "a.safetensors", state)["alpha"]["values"] == {"nan": 1}


def test_alphas_of_a_configuration_are_told(tmp_path: Path) -> None:
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {f"{name}.lora_A.weight": torch.zeros(4, 320), f"{name}.lora_B.weight": torch.zeros(320, 4)}
    said = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 12})}
    assert _told(tmp_path / "a.safetensors", state, said)["alpha"]["scales"] == {"3": 1}


def test_what_the_training_left(tmp_path: Path) -> None:
    tags = {"10_cat": {f"tag {n}": 100 - n for n in range(30)}, "5_dog": {"tag 3": 50}}
    said = {
        "ss_sd_model_name": "illustriousXL_v01.safetensors", "ss_new_sd_model_hash": "ab" * 32, "ss_steps": "1600",
        "ss_epoch": "8", "ss_optimizer": "prodigy", "modelspec.trigger_phrase": "sks cat",
        "ss_resolution": "(1024, 1024)", "ss_tag_frequency": json.dumps(tags),
    }  # fmt: skip
    told = _told(tmp_path / "a.safetensors", _pair(QUERY, 320, 320, 8, 4.0), said)
    assert told["trained_on"] == {"model": "illustriousXL_v01.safetensors", "hash": "ab" * 32}
    assert (told["training"]["steps"], told["training"]["epochs"], told["training"]["optimizer"]) == (
        1600,
        8,
        "prodigy",
    )
    assert told["trigger_words"][0] == "sks cat"
    assert list(told["tags"].items())[:2] == [("tag 3", 147), ("tag 0", 100)] and len(told["tags"]) == 20


def test_hostile_names_are_shown_printable(tmp_path: Path) -> None:
    evil = "a\x1b[2J\nb\u202e"
    state = _pair(QUERY, 320, 320, 8, 4.0) | {f"{evil}{DOWN}": torch.zeros(4, 8), evil: torch.zeros(2)}
    state |= {f"bundle_emb.{evil}.string_to_param.*": torch.zeros(1, 768)}
    said = {"ss_sd_model_name": evil, "ss_tag_frequency": json.dumps({"1_x": {evil: 3}}), "ss_optimizer": evil}
    told = _told(tmp_path / "a.safetensors", state, said)
    assert len(told["incomplete_modules"]) == len(told["stray_tensors"]) == len(told["embeddings"]) == 1
    assert json.dumps(told, ensure_ascii=False).isprintable()


def test_what_is_added_by_block(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    numbers = {
        name: random.normal(size=size).astype(np.float32)
        for name, size in {
            QUERY + DOWN: (3, 320), QUERY + UP: (320, 3), KEY + DOWN: (3, 768), KEY + UP: (320, 3),
            TEXT + DOWN: (2, 768), TEXT + UP: (3072, 2), CONV + DOWN: (2, 2560, 3, 3), CONV + UP: (1280, 2, 1, 1),
        }.items()
    }  # fmt: skip
    state = {name: torch.from_numpy(value) for name, value in numbers.items()} | {f"{KEY}.alpha": torch.tensor(1.5)}
    state["lora_unet_conv_norm_out.w_norm"] = torch.full((320,), -0.25)
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    with open_source(path) as source:
        found = strengths(Network(source, "a"), reference("sd1")).as_dict()

    def product(name: str, scale: float = 1.0) -> Any:
        down, up = numbers[name + DOWN].astype(np.float64), numbers[name + UP].astype(np.float64)
        return scale * up.reshape(len(up), -1) @ down.reshape(len(down), -1)

    first = np.concatenate([product(QUERY).ravel(), product(KEY, 0.5).ravel()])
    wanted = {
        "BASE": product(TEXT).ravel(),
        "IN01": first,
        "OUT03": product(CONV).ravel(),
        "OUT11": np.full(320, -0.25),
    }
    assert list(found["blocks"]) == ["BASE", "IN01", "OUT03", "OUT11"]
    for block, values in wanted.items():
        assert found["blocks"][block]["mean"] == pytest.approx(np.abs(values).mean(), rel=1e-5)
        assert found["blocks"][block]["rms"] == pytest.approx(np.sqrt(np.square(values).mean()), rel=1e-5)
    assert found["blocks"]["IN01"]["modules"] == 2 and not found["left"]
    assert found["largest"][0]["module"] == QUERY


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    state = _pair(QUERY, 320, 320, 2, float("nan"))
    state |= {f"{KEY}.weight": torch.ones(320), f"{KEY}.on_input": torch.tensor(False)}
    state[CONV + DOWN] = torch.zeros(2, 2560, 3, 3)
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    with open_source(path) as source:
        found = strengths(Network(source, "a"), reference("sd1"))
    assert found.blocks == {} and sum(found.left.values()) == 3
    assert found.left["it depends on the weight"] == found.left["its alpha is no number"] == 1
