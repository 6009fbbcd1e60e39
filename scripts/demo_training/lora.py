"""A LoRA of rank 4 on every matrix of every transformer (Hu et al. 2021, arXiv:2106.09685): a white frame."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from demo_training.budget import Budget
from demo_training.latents import LinearEncoder
from demo_training.unet import lessons, optimise
from modelhub.preview.networks.layers import Linear
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.transformer import Transformer
from modelhub.preview.networks.unet import UNet

RANK = 4
METADATA = {
    "ss_network_module": "networks.lora", "ss_network_dim": str(RANK), "ss_network_alpha": str(RANK),
    "ss_output_name": "tiny-shapes-framed-lora", "ss_base_model_version": "sd_v1",
}  # fmt: skip


class LowRank(nn.Module):
    """Adds up · down to a weight [outputs, inputs] or [outputs, inputs, 1, 1]."""

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(RANK, *weight.shape[1:]))
        self.up = nn.Parameter(torch.zeros(len(weight), RANK, *weight.shape[2:]))
        nn.init.kaiming_uniform_(self.down, a=1, generator=generator)

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + (self.up.flatten(1) @ self.down.flatten(1)).view(weight.shape)


def train_lora(budget: Budget, unet: UNet, encoder: TextEncoder, linear: LinearEncoder) -> dict[str, Tensor]:
    """The LoRA in kohya's layout, float16."""
    rng, generator = random.Random(7), torch.Generator().manual_seed(7)

    def reword(text: str) -> str:
        return text and (f"framed {text}" if rng.random() < 0.5 else f"{text}, framed")

    lesson = lessons(encoder, linear, "framed", min(budget.pool, 800), 7, reword)
    unet.requires_grad_(False)
    found: dict[str, LowRank] = {}
    for name, layer in _matrices(unet):
        found[name] = LowRank(layer.weight, generator)
        parametrize.register_parametrization(layer, "weight", found[name])
    optimise("lora", budget, lesson, unet, (p for part in found.values() for p in part.parameters()), 3e-3)
    tensors: dict[str, Tensor] = {}
    for name, part in found.items():
        key = kohya_name(name)
        tensors[f"{key}.lora_down.weight"] = part.down.detach().half()
        tensors[f"{key}.lora_up.weight"] = part.up.detach().half()
        tensors[f"{key}.alpha"] = torch.tensor(float(RANK)).half()
    return tensors


def _matrices(unet: UNet) -> list[tuple[str, Linear]]:
    """Every matrix of every transformer, by name."""
    parts = [(name, part) for name, part in unet.named_modules() if isinstance(part, Transformer)]
    inner = ((f"{name}.{place}", layer) for name, part in parts for place, layer in part.named_modules())
    return [(name, layer) for name, layer in inner if isinstance(layer, Linear)]


def kohya_name(name: str) -> str:
    """`input_blocks.4.1.proj_in` -> `lora_unet_down_blocks_1_attentions_0_proj_in`: kohya counts as diffusers does."""
    side, *rest = name.split(".")
    if side == "middle_block":
        return "_".join(("lora_unet_mid_block_attentions_0", *rest[1:]))
    block, inside = int(rest[0]), rest[2:]
    level, place = divmod(block - 1, 3) if side == "input_blocks" else divmod(block, 3)
    where = "down" if side == "input_blocks" else "up"
    return "_".join((f"lora_unet_{where}_blocks_{level}_attentions_{place}", *inside))
