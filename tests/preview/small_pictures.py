"""Small random models of every family, whole, under the names of their files; and the same networks in diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from flux_names import SmallFlux, clip_shapes, t5_shapes
from ldm_names import Shapes, SmallUNet, random_tensors, vae_shapes

from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource

Tensors = dict[str, torch.Tensor]
UNET, VAE = "model.diffusion_model.", "first_stage_model."
VOCABULARY, WIDTH, POOLED = 49408, 64, 48
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


class Memory(TensorSource):
    """Tensors in memory as a source."""

    def __init__(self, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
        self.tensors = {name: value.contiguous() for name, value in tensors.items()}
        entries = ((name, _DTYPES[value.dtype], tuple(value.shape)) for name, value in self.tensors.items())
        self.header = Header.of(entries, metadata)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.within(name, offset, len(buffer))
        data = self.tensors[name].reshape(-1).view(torch.uint8).numpy()
        buffer[:] = data.data[offset : offset + len(buffer)]


@dataclass(frozen=True)
class Small:
    """A family: its U-Net, and the shapes of its text encoders below their prefixes."""

    unet: SmallUNet
    encoders: dict[str, Shapes]

    def tensors(self, seed: int = 0) -> Tensors:
        """A whole checkpoint."""
        vae = vae_shapes(mult=(1, 1, 1, 1))
        parts = {UNET: self.unet.shapes(), VAE: vae, **self.encoders}
        shapes = {prefix + name: shape for prefix, part in parts.items() for name, shape in part.items()}
        return random_tensors(shapes, seed)

    def source(self, **metadata: str) -> Memory:
        """It as a source."""
        return Memory(self.tensors(), metadata)


def open_clip(layers: int = 2, width: int = WIDTH, pooled: int = 0) -> Shapes:
    """Names of a small OpenCLIP text encoder; `pooled` is the width of its projection."""
    shapes: Shapes = {"token_embedding.weight": (VOCABULARY, width), "positional_embedding": (77, width)}
    for name in ["ln_final"] + [f"transformer.resblocks.{n}.{ln}" for n in range(layers) for ln in ("ln_1", "ln_2")]:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for block in (f"transformer.resblocks.{number}" for number in range(layers)):
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        for part, sizes in {"attn.out_proj": (1, 1), "mlp.c_fc": (4, 1), "mlp.c_proj": (1, 4)}.items():
            outputs, inputs = (size * width for size in sizes)
            shapes |= {f"{block}.{part}.weight": (outputs, inputs), f"{block}.{part}.bias": (outputs,)}
    return shapes | ({"text_projection": (width, pooled)} if pooled else {})


def hf_clip() -> Shapes:
    """Names of a small CLIP text encoder at Hugging Face."""
    return clip_shapes(vocabulary=VOCABULARY, width=WIDTH)


_SD1 = SmallUNet(channels=32, depths=(1, 1), context=WIDTH)
_SDXL = SmallUNet(channels=64, depths=(0, 1), linear=True, context=2 * WIDTH, vector=POOLED + 6 * 256)
_REFINER = SmallUNet(
    channels=64, mult=(1, 2, 2, 2), depths=(0, 1, 1, 0), linear=True, context=WIDTH, vector=POOLED + 5 * 256
)
_L, _G = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

SD1 = Small(_SD1, {"cond_stage_model.transformer.": hf_clip()})
SD2 = Small(replace(_SD1, channels=64, linear=True), {"cond_stage_model.model.": open_clip()})
SDXL = Small(_SDXL, {_L: hf_clip(), _G: open_clip(pooled=POOLED)})
REFINER = Small(_REFINER, {"conditioner.embedders.0.model.": open_clip(pooled=POOLED)})
INPAINT = Small(replace(_SD1, inputs=9), SD1.encoders)
PIX2PIX = Small(replace(_SD1, inputs=8), SD1.encoders)

DEV = SmallFlux(context=32, vector=WIDTH)
FLUX_PARTS = ("clip-l", "t5xxl", "vae")


def flux(config: SmallFlux = DEV) -> Tensors:
    """The tensors of a Flux transformer alone."""
    return random_tensors({UNET + name: shape for name, shape in config.shapes().items()})


def flux_vae() -> Tensors:
    """A VAE as Flux has it."""
    return random_tensors(vae_shapes(mult=(1, 1, 1, 1), latents=16, quant=False))


def flux_parts() -> dict[str, TensorSource]:
    """What stands beside a Flux transformer."""
    t5 = random_tensors(t5_shapes(vocabulary=120, width=32))
    return {"clip-l": Memory(random_tensors(hf_clip())), "t5xxl": Memory(t5), "vae": Memory(flux_vae())}


class Letters:
    """A tokenizer for a small T5: one token for each letter."""

    def ids(self, text: str) -> list[int]:
        return [2 + ord(letter) % 110 for letter in text]


def diffusers_unet(config: SmallUNet, tensors: Tensors) -> Any:
    """The U-Net of `tensors` in diffusers."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    widths = tuple(config.channels * m for m in config.mult)
    network = UNet2DConditionModel(
        sample_size=8,
        in_channels=config.inputs,
        out_channels=4,
        block_out_channels=widths,
        layers_per_block=config.blocks,
        down_block_types=["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in config.depths],
        up_block_types=["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(config.depths)],
        cross_attention_dim=config.context,
        attention_head_dim=tuple(width // 64 for width in widths) if config.linear else 8,
        use_linear_projection=config.linear,
        addition_embed_type="text_time" if config.vector else None,
        addition_time_embed_dim=256 if config.vector else None,
        projection_class_embeddings_input_dim=config.vector or None,
    )
    given = {name: value for name, value in tensors.items() if name.startswith(UNET)}
    network.load_state_dict(convert_ldm_unet_checkpoint(given, dict(network.config)))
    return network.eval()


def diffusers_vae(tensors: Tensors, prefix: str = VAE, **options: Any) -> Any:
    """The VAE of `tensors` in diffusers."""
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        **{"scaling_factor": 0.18215, **options},
    )
    given = {VAE + name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(convert_ldm_vae_checkpoint(given, dict(network.config)))
    return network.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Small tensors on busy cores: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
