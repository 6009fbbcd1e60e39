"""The stages of the training, each of which leaves its result in a folder where the next ones find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from demo_training.budget import Budget
from demo_training.embedding import WORD, legacy, train_embedding
from demo_training.latents import LinearEncoder, fit_encoder
from demo_training.layout import new_text, new_unet, new_vae
from demo_training.lora import METADATA, train_lora
from demo_training.package import Tensors, checkpoint, metadata, split
from demo_training.text import train_text
from demo_training.unet import lessons, train_unet
from demo_training.upscaler import old_names, train_upscaler
from demo_training.vae import train_vae
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.writer import write
from modelhub.preview.networks.unet import UNet

Net = TypeVar("Net", bound=nn.Module)

#: Minutes of each stage that trains, in the order in which they need each other.
MINUTES = {"text": 3, "vae": 40, "base": 50, "stripes": 10, "pastel": 10, "lora": 8, "embedding": 1, "upscaler": 8}
STAGES = (*MINUTES, "full", "package")


class Workshop:
    """A folder in which stages leave their results and find those of others."""

    def __init__(self, out: Path, budget: Callable[[str], Budget]) -> None:
        self.out, self.parts, self.whole = out, out / "parts", out / "full"
        self._budget = budget
        for folder in (self.parts, self.whole):
            folder.mkdir(parents=True, exist_ok=True)

    def run(self, stage: str) -> None:
        """Run one stage."""
        if stage in ("stripes", "pastel"):
            self.style(stage)
        else:
            getattr(self, stage)()

    def text(self) -> None:
        """The text encoder."""
        self._keep("text", train_text(self._budget("text")))

    def vae(self) -> None:
        """The linear encoder, and the VAE around it."""
        linear = fit_encoder(min(1000, self._budget("vae").pool))
        self._save("linear", {"weight": linear.weight, "bias": linear.bias})
        self._keep("vae", train_vae(self._budget("vae"), linear))

    def base(self) -> None:
        """The U-Net of plain pictures."""
        budget = self._budget("base")
        text = self._again("text", new_text(0))
        self._keep("base", train_unet(budget, lessons(text, self._linear(), "base", budget.pool, 100)))

    def style(self, style: str) -> None:
        """A U-Net that goes on from base in another style."""
        budget = self._budget(style)
        lesson = lessons(self._again("text", new_text(0)), self._linear(), style, budget.pool, 101)
        self._keep(style, train_unet(budget, lesson, self._unet("base"), rate=5e-4))

    def lora(self) -> None:
        """The LoRA on base."""
        text = self._again("text", new_text(0))
        tensors = train_lora(self._budget("lora"), self._unet("base"), text, self._linear())
        write(Tensors(tensors, METADATA), self.out / "tiny-shapes-framed-lora.safetensors", force=True)

    def embedding(self) -> None:
        """The new word, in both formats."""
        vector = train_embedding(self._budget("embedding"), self._again("text", new_text(0)))
        write(Tensors({"emb_params": vector}), self.out / f"{WORD}.safetensors", force=True)
        torch.save(legacy(vector), self.out / f"{WORD}.pt")

    def upscaler(self) -> None:
        """The upscaler, under both sets of names."""
        tensors = train_upscaler(self._budget("upscaler"))
        torch.save({"params_ema": tensors}, self.out / "tiny-realesrgan-x4.pth")
        torch.save(old_names(tensors), self.out / "tiny-esrgan-x4-oldarch.pth")

    def full(self) -> None:
        """Whole checkpoints."""
        vae, text = self._again("vae", new_vae(0)), self._again("text", new_text(0))
        for style in ("base", "stripes", "pastel"):
            title = f"tiny-shapes-{style}"
            tensors = checkpoint(self._unet(style), vae, text)
            write(Tensors(tensors, metadata(title)), self.whole / f"{title}.safetensors", force=True)

    def package(self) -> None:
        """What is shipped: base whole, of the styles the U-Net."""
        split(self.whole, self.out)

    def _save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        write(Tensors(tensors), self.parts / f"{name}.safetensors", force=True)

    def _keep(self, name: str, net: nn.Module) -> None:
        self._save(name, net.state_dict())

    def _load(self, name: str) -> dict[str, Tensor]:
        with SafetensorsFile(self.parts / f"{name}.safetensors") as file:
            return {tensor: file.tensor(tensor) for tensor in file.header.tensors}

    def _linear(self) -> LinearEncoder:
        return LinearEncoder(**self._load("linear"))

    def _unet(self, name: str) -> UNet:
        return self._again(name, new_unet(0))

    def _again(self, name: str, net: Net) -> Net:
        """`net` with the weights that stage `name` left."""
        net.load_state_dict(self._load(name))
        return net.requires_grad_(False)
