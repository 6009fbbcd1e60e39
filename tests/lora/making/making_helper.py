"""Files for tests of making adapters: small models of catalog/demo with known changes, and adapters of known products."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

DEMO = Path(__file__).parents[3] / "catalog" / "demo"
UNET = DEMO / "tiny-shapes-pastel-unet.safetensors"
BASE = DEMO / "tiny-shapes-base.safetensors"
Arrays = dict[str, np.ndarray[Any, Any]]
#: Some layers of a U-Net: kohya's name, tensor below the prefix, shape.
LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
LINEAR_TENSOR = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
CONV_TENSOR = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
PIXEL = "lora_unet_down_blocks_0_attentions_0_proj_in"
PIXEL_TENSOR = "model.diffusion_model.input_blocks.1.1.proj_in.weight"


def header_metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "np") as file:
        return file.metadata() or {}


def tuned(tmp_path: Path, changes: Mapping[str, Any], base: Path = UNET, name: str = "tuned") -> Path:
    """A copy of a model, with something added to some of its tensors, in fp32."""
    tensors = {key: value.astype(np.float32) for key, value in load_file(base).items()}
    for key, change in changes.items():
        tensors[key] = tensors[key] + np.asarray(change, np.float32).reshape(tensors[key].shape)
    path = tmp_path / f"{name}.safetensors"
    save_file(tensors, path)
    return path


def kohya(module: str, up: Any, down: Any, alpha: float | None = None, dtype: Any = np.float32) -> Arrays:
    """The tensors of a LoRA module."""
    found = {f"{module}.lora_up.weight": up.astype(dtype), f"{module}.lora_down.weight": down.astype(dtype)}
    return found if alpha is None else {**found, f"{module}.alpha": np.array(alpha, np.float32)}


def peft(module: str, up: Any, down: Any) -> Arrays:
    return {f"{module}.lora_B.weight": up.astype(np.float32), f"{module}.lora_A.weight": down.astype(np.float32)}


def products(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """What each module of a LoRA file adds, alpha / rank · up @ down, in float64: [out, in · kernel]."""
    tensors = {key: value.astype(np.float64) for key, value in load_file(path).items()}
    found = {}
    for down_end, up_end in ((".lora_down.weight", ".lora_up.weight"), (".lora_A.weight", ".lora_B.weight")):
        for key, down in tensors.items():
            if key.endswith(down_end) and key.removesuffix(down_end) + up_end in tensors:
                module = key.removesuffix(down_end)
                up, rank = tensors[module + up_end], down.shape[0]
                scale = float(tensors.get(f"{module}.alpha", np.array(rank))) / rank
                found[module] = scale * up.reshape(len(up), -1) @ down.reshape(rank, -1)
    return found


def decaying(rows: int, columns: int, power: float, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A matrix with singular values 1, 2^-power, 3^-power, …, and these, in float64."""
    rng = np.random.default_rng(seed)
    least = min(rows, columns)
    left, _ = np.linalg.qr(rng.standard_normal((rows, least)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, least)))
    values = np.arange(1, least + 1, dtype=np.float64) ** -power
    return (left * values) @ right.T, values
