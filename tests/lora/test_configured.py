"""Strengths that PEFT keeps in a configuration: of all modules, of those that a pattern names, and of hostile files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_time import at_most
from safetensors.numpy import save_file

from modelhub.formats.opening import open_source
from modelhub.lora.network import ALPHA, Network

MODULES = ("unet.down.attn1.to_q", "unet.down.attn1.to_k", "text_encoder.q_proj", "text_encoder_2.q_proj")


def network(path: Path, metadata: dict[str, str] | None = None, modules: tuple[str, ...] = MODULES) -> Network:
    tensors = {f"{name}.lora_A.weight": np.ones((4, 8), np.float32) for name in modules}
    tensors |= {f"{name}.lora_B.weight": np.ones((8, 4), np.float32) for name in modules}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)
    return Network(open_source(path), path.stem)


def alphas(found: Network) -> dict[str, float | None]:
    values = {patch.module.name: found.values(patch) for patch in found.patches}
    return {name: float(parts[ALPHA]) if ALPHA in parts else None for name, parts in values.items()}


def test_the_metadata_of_diffusers_has_all_components(tmp_path: Path) -> None:
    table = {
        "unet.r": 4, "unet.lora_alpha": 6, "unet.alpha_pattern": {"attn1.to_k": 3},
        "text_encoder.lora_alpha": 2, "text_encoder_2.lora_alpha": 8, "text_encoder_2.use_rslora": True,
    }  # fmt: skip
    found = alphas(network(tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(table)}))
    assert found == dict(zip(MODULES, (6, 3, 2, 8 * 2), strict=True)), "alpha / 4 is 8 / √4"


def test_a_tensor_goes_before_the_metadata(tmp_path: Path) -> None:
    name = MODULES[0]
    tensors = {
        f"{name}.lora_A.weight": np.ones((4, 8), np.float32), f"{name}.lora_B.weight": np.ones((8, 4), np.float32),
        f"{name}.alpha": np.array(1.5, np.float32),
    }  # fmt: skip
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": '{"unet.lora_alpha": 6, "unet.r": 4}'})
    found = Network(open_source(tmp_path / "a.safetensors"), "a")
    (patch,) = found.patches
    assert float(found.values(patch)[ALPHA]) == 1.5
    assert found.outer(patch) == {}


def test_the_file_beside_counts_only_for_the_name_that_peft_gives(tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "alpha_pattern": {"to_k": 3}}
    modules = ("base_model.model.attn.to_q", "base_model.model.attn.to_k")
    for name in ("adapter_model", "style"):
        folder = tmp_path / name
        found = network(folder / f"{name}.safetensors", modules=modules)
        (folder / "adapter_config.json").write_text(json.dumps(config))
        assert alphas(found) == dict(zip(modules, (6, 3) if name == "adapter_model" else (None, None), strict=True))


@pytest.mark.parametrize(
    "value",
    [
        "", "{", "[]", "null", '"x"', "[" * 5000, '{"unet.lora_alpha": "6"}', '{"unet.lora_alpha": true}',
        '{"unet.lora_alpha": NaN}', '{"unet.lora_alpha": 1e999}', '{"unet.lora_alpha": -' + "9" * 400 + "}", '{"unet.alpha_pattern": [1]}',
        '{"unet.lora_alpha": null, "unet.alpha_pattern": {"to_k": "x"}}', '{"unet": {"lora_alpha": 6}}',
    ],
)  # fmt: skip
def test_what_is_no_configuration_says_nothing(tmp_path: Path, value: str) -> None:
    found = network(tmp_path / "a.safetensors", {"lora_adapter_metadata": value})
    assert set(alphas(found).values()) == {None}


@pytest.mark.parametrize("text", ["{", "[]", "x" * 1000])
def test_a_broken_file_beside_says_nothing(tmp_path: Path, text: str) -> None:
    found = network(tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(text)
    assert set(alphas(found).values()) == {None}


def test_patterns_of_strangers_are_not_run(tmp_path: Path) -> None:
    table: dict[str, Any] = {"unet.lora_alpha": 6, "unet.alpha_pattern": {"(.*)*x(a+)+$" * 5: 1}}
    found = network(tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(table)})
    with at_most(1):
        assert alphas(found)[MODULES[0]] == 6
