"""Put trained parts together: full checkpoints, and of the styles only the U-Net, as they lie in catalog/demo."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from demo_training.latents import ALPHAS, BETAS
from modelhub.formats.header import Header
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed
from modelhub.formats.writer import write

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
_DTYPES = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}


class Tensors(TensorSource):
    """Tensors in memory as a source, in the order of their names."""

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
        self._tensors = {name: tensors[name].detach().contiguous() for name in sorted(tensors)}
        self.header = Header.of(((n, _DTYPES[t.dtype], tuple(t.shape)) for n, t in self._tensors.items()), metadata)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Copy the bytes."""
        flat = self._tensors[name].reshape(-1).view(torch.uint8)
        buffer[:] = flat[offset : offset + len(buffer)].numpy().tobytes()


def metadata(title: str) -> dict[str, str]:
    """The modelspec entries of one checkpoint."""
    return {
        "format": "pt",
        "modelspec.title": title,
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.resolution": "64x64",
        "modelspec.prediction_type": "epsilon",
        "modelspec.license": "CC0-1.0",
        "modelspec.description": "Tiny demo model of coloured shapes, trained from scratch on procedural images.",
    }


def checkpoint(unet: nn.Module, vae: nn.Module, text: nn.Module) -> dict[str, Tensor]:
    """The tensors of a whole checkpoint: float16 weights, and what Stable Diffusion 1 files have besides."""
    parts = {UNET: unet, VAE: vae, TEXT: text}
    named = {start + name: tensor for start, part in parts.items() for name, tensor in part.state_dict().items()}
    positions = f"{TEXT}transformer.text_model.embeddings.position_ids"
    return halved(named) | {positions: torch.arange(77)[None], "betas": BETAS, "alphas_cumprod": ALPHAS}


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors as float16, others as they are."""
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


def split(full: Path, goal: Path) -> None:
    """From the full checkpoints in `full`, write base as it is and the styles as U-Nets to `goal`.

    Raises ValueError when a style differs from base in anything but its U-Net, for then the rest would be lost.
    """
    base = full / "tiny-shapes-base.safetensors"
    if not (goal / base.name).exists() or not (goal / base.name).samefile(base):
        shutil.copyfile(base, goal / base.name)
    for style in ("stripes", "pastel"):
        with SafetensorsFile(base) as plain, SafetensorsFile(full / f"tiny-shapes-{style}.safetensors") as tuned:
            _check_rest(plain, tuned, style)
            unet = Renamed(tuned, lambda name: name if name.startswith(UNET) else None)
            write(unet, goal / f"tiny-shapes-{style}-unet.safetensors", force=True)


def _check_rest(plain: TensorSource, tuned: TensorSource, style: str) -> None:
    """Raise ValueError unless both have the same names, and the same bytes in all but the U-Net."""
    if plain.header.shapes != tuned.header.shapes:
        raise ValueError(f"{style} and base do not have the same tensors")
    for name in plain.header.tensors:
        if not name.startswith(UNET) and plain.read_bytes(name) != tuned.read_bytes(name):
            raise ValueError(f"{name} of {style} differs from base")
