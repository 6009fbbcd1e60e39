"""A small checkpoint of SD 1's layout with random weights, and adapters for its layers, written as real files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

Arrays = dict[str, np.ndarray]
ROOT = Path(__file__).parents[3]
BASE = ROOT / "catalog" / "demo" / "tiny-shapes-base.safetensors"
BLOCK = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0"
MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
#: Modules, the tensors that they change, and the blocks of these.
LAYERS = {
    f"{MODULE}_attn1_to_q": (f"{BLOCK}.attn1.to_q.weight", "IN01"),
    f"{MODULE}_ff_net_0_proj": (f"{BLOCK}.ff.net.0.proj.weight", "IN01"),
    "lora_unet_mid_block_resnets_0_conv1": ("model.diffusion_model.middle_block.0.in_layers.2.weight", "M00"),
    "lora_unet_up_blocks_3_resnets_2_conv_shortcut": (
        "model.diffusion_model.output_blocks.11.0.skip_connection.weight", "OUT11",
    ),
    "lora_te_text_model_encoder_layers_1_mlp_fc1": (
        "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.weight", "BASE",
    ),
}  # fmt: skip


def base(folder: Path, dtype: type = np.float32) -> tuple[Path, Arrays]:
    """The demo's model with its weights in another precision, and these."""
    arrays = load_file(BASE)
    found = {name: value.astype(dtype) if value.dtype.kind == "f" else value for name, value in arrays.items()}
    save_file(found, folder / "base.safetensors")
    return folder / "base.safetensors", found


def lora(shape: tuple[int, ...], seed: int, rank: int = 3, alpha: float | None = 2.0) -> Arrays:
    """The parts of a random LoRA for a weight of this shape."""
    rng = np.random.default_rng(seed)
    kernel = shape[2:]
    parts = {
        "lora_down.weight": rng.normal(size=(rank, shape[1], *kernel)).astype(np.float32) * 0.2,
        "lora_up.weight": rng.normal(size=(shape[0], rank, *(1 for _ in kernel))).astype(np.float32) * 0.2,
    }
    return parts if alpha is None else {**parts, "alpha": np.array(alpha, np.float32)}


def product(parts: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    """alpha / rank · up @ down in fp64."""
    down, up = parts["lora_down.weight"].astype(np.float64), parts["lora_up.weight"].astype(np.float64)
    scale = float(parts.get("alpha", down.shape[0])) / down.shape[0]
    return scale * (up.reshape(len(up), -1) @ down.reshape(len(down), -1)).reshape(shape)


def write_modules(path: Path, modules: Mapping[str, Arrays]) -> Path:
    """A file of modules, `module.part` for each of their parts."""
    tensors = {f"{module}.{part}": np.ascontiguousarray(v) for module, p in modules.items() for part, v in p.items()}
    save_file(tensors, path)
    return path
