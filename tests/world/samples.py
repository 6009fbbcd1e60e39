"""Files to offer: real layouts made narrow and filled with random numbers, and pickles both harmless and hostile."""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path

import numpy as np

from modelhub.catalog.keymaps import keymap

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
_KOHYA = {"ss_network_module": "networks.lora", "ss_network_dim": "8", "ss_network_alpha": "4"}


@cache
def model(layout: str = "sd15", seed: int = 0, narrowed: int = 64) -> bytes:
    """A safetensors file of a released model's tensors (`sd15`, `sdxl`, `vae-sd`, `flux-dev`, …), wide ones made narrow.

    sd15 is 7.2 MB, sdxl 5.1, flux-dev 6.0 and vae-sd 6.1; another seed is another file of the same family.
    """
    return filled(_narrow(_layout(layout), narrowed), seed)


@cache
def lora(layout: str = "lora-sd15-kohya", seed: int = 0, modules: int = 12) -> bytes:
    """A LoRA as kohya's scripts write it, of some modules from all over the model in their full width: about 0.5 MB."""
    tensors = _layout(layout)
    stems = list(dict.fromkeys(name.partition(".")[0] for name in tensors))
    kept = set(stems[:: max(1, len(stems) // modules)])
    chosen = {name: entry for name, entry in tensors.items() if name.partition(".")[0] in kept}
    return filled(chosen, seed, {**_KOHYA, "ss_seed": str(seed)})


@cache
def large(megabytes: float = 8, seed: int = 0) -> bytes:
    """A safetensors file of one tensor of random bytes: large enough to be broken off in the middle."""
    return filled({"weight": ("U8", (int(megabytes * 1e6),))}, seed)


def gguf() -> bytes:
    """A GGUF file with the gguf library's own writer: a FLUX denoiser by its architecture, one small tensor."""
    import tempfile

    from gguf import GGUFWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = GGUFWriter(path, "flux")
        writer.add_tensor("double_blocks.0.img_attn.norm.key_norm.scale", np.zeros(128, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def diffusers(seed: int = 0) -> dict[str, bytes]:
    """A diffusers folder of SD 1.5 by its structure, weights both in fp32 and in fp16, and the texts around them."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
    }
    unet = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": 768, "in_channels": 4, "sample_size": 64}
    texts = {
        "model_index.json": index,
        "scheduler/scheduler_config.json": {"_class_name": "PNDMScheduler", "prediction_type": "epsilon"},
        "tokenizer/tokenizer_config.json": {"tokenizer_class": "CLIPTokenizer"},
        "tokenizer/vocab.json": {"a": 0},
        "unet/config.json": unet,
        "vae/config.json": {"_class_name": "AutoencoderKL", "latent_channels": 4, "scaling_factor": 0.18215},
        "text_encoder/config.json": {"architectures": ["CLIPTextModel"], "hidden_size": 768},
    }
    made = {name: json.dumps(value, indent=2).encode() for name, value in texts.items()}
    for stem, tensors in {"unet/diffusion_pytorch_model": _unet(), **_PARTS}.items():
        for precision, dtype in ("", "F32"), (".fp16", "F16"):
            typed = {name: (dtype, shape) for name, shape in tensors.items()}
            made[f"{stem}{precision}.safetensors"] = filled(typed, seed)
    return {
        **made,
        "README.md": b"---\nlicense: mit\n---\n# A model for tests\n",
        "tokenizer/merges.txt": b"#version: 0.2\n",
    }


def picture(width: int = 64, height: int = 96) -> bytes:
    """A PNG picture, as a preview."""
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "PNG")
    return out.getvalue()


_PARTS = {
    "vae/diffusion_pytorch_model": {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)},
    "text_encoder/model": {"text_model.final_layer_norm.weight": (768,)},
}


def _unet() -> dict[str, tuple[int, ...]]:
    """The tensors of the denoiser of SD 1.5 under their diffusers names, made narrow."""
    targets = [one for one in keymap("sd1").values() if one.component == "denoiser" and one.diffusers]
    sizes = {one.diffusers: (one.out_size, one.in_size, *((3, 3) if one.rank == 4 else ())) for one in targets}
    return {f"{name}.weight": tuple(n // 64 if n >= 256 else n for n in shape) for name, shape in sizes.items()}


def embedding(seed: int = 0) -> bytes:
    """A textual inversion as torch saves it: a harmless pickle."""
    import torch

    vectors = torch.randn(2, 768, generator=torch.Generator().manual_seed(seed))
    out = io.BytesIO()
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "sample", "step": 500}, out)
    return out.getvalue()


def hostile(marker: Path) -> bytes:
    """A torch archive that makes the folder `marker` in a program that loads it; nothing here does."""
    path = str(marker).encode()
    pickled = b"cos\nmkdir\n(X" + struct.pack("<I", len(path)) + path + b"tR."
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", b"3\n")
    return out.getvalue()


def filled(tensors: Layout, seed: int = 0, metadata: Mapping[str, str] | None = None) -> bytes:
    """A whole safetensors file of small random numbers, by the library's own writer."""
    from safetensors.numpy import save

    rng = np.random.default_rng(seed)
    made = {name: _numbers(rng, dtype, shape) for name, (dtype, shape) in tensors.items()}
    return save(made, dict(metadata) if metadata else None)


def _numbers(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if dtype == "U8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if dtype.startswith(("I", "U")):
        return np.arange(prod(shape), dtype=np.int64).reshape(shape)
    return np.asarray(rng.standard_normal(shape) / 8).astype(np.float32 if dtype == "F32" else np.float16)


@cache
def _layout(name: str) -> Layout:
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


def _narrow(tensors: Layout, divisor: int) -> Layout:
    return {
        name: (dtype, tuple(size // divisor if size >= 256 else size for size in shape))
        for name, (dtype, shape) in tensors.items()
    }
