"""Pipelines of diffusers and transformers for tests: random ones of few channels, and full-size ones without weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource

# A torchvision that does not match torch breaks the import of diffusers; without one it does not miss it.
sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]

Modules = dict[str, Any]
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def unet(**wishes: Any) -> Any:
    """A U-Net as SD 1 has it: four levels, attention in all but the last."""
    from diffusers import UNet2DConditionModel

    sizes = {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4, "cross_attention_dim": 12}
    return UNet2DConditionModel(**{"sample_size": 8, "attention_head_dim": 4, **sizes, **wishes})


def xl_unet(**wishes: Any) -> Any:
    """A U-Net as SDXL has it: three levels, no attention in the first, sizes as a vector."""
    return unet(**{
        "block_out_channels": (8, 8, 16), "use_linear_projection": True, "transformer_layers_per_block": (1, 1, 3),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 20,
        **wishes,
    })  # fmt: skip


def refiner_unet(**wishes: Any) -> Any:
    """A U-Net as SDXL's refiner has it: four levels, attention in the two between."""
    return xl_unet(**{
        "block_out_channels": (8, 8, 16, 16), "transformer_layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        **wishes,
    })  # fmt: skip


def vae(**wishes: Any) -> Any:
    """A VAE of four levels, each of a width of its own."""
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    return AutoencoderKL(**{
        "block_out_channels": (4, 8, 8, 12), "layers_per_block": 2, "norm_num_groups": 4, **blocks, **wishes,
    })  # fmt: skip


def clip(*, projection: bool = False, **wishes: Any) -> Any:
    """A CLIP text encoder, with its projection if wished."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = CLIPTextConfig(**{**sizes, "vocab_size": 49408, "projection_dim": 16, **wishes})
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def t5(**wishes: Any) -> Any:
    """A T5 text encoder."""
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": 16, "d_ff": 24, "num_layers": 2, "num_heads": 2, "d_kv": 8, "vocab_size": 50}
    return T5EncoderModel(T5Config(**{**sizes, "feed_forward_proj": "gated-gelu", **wishes}))


def flux(**wishes: Any) -> Any:
    """A Flux transformer of two double and three single blocks."""
    from diffusers import FluxTransformer2DModel

    sizes = {
        "in_channels": 4,
        "num_layers": 2,
        "num_single_layers": 3,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
    }
    rest = {
        "joint_attention_dim": 16,
        "pooled_projection_dim": 16,
        "axes_dims_rope": (2, 2, 4),
        "guidance_embeds": True,
    }
    return FluxTransformer2DModel(**{**sizes, **rest, **wishes})


def sd3(**wishes: Any) -> Any:
    """A transformer as SD 3.5 medium has it: norms of query and key, a second attention in the first block."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(**{
        "sample_size": 8, "in_channels": 4, "num_layers": 3, "attention_head_dim": 8, "num_attention_heads": 2,
        "joint_attention_dim": 32, "caption_projection_dim": 16, "pooled_projection_dim": 32, "out_channels": 4,
        "pos_embed_max_size": 8, "qk_norm": "rms_norm", "dual_attention_layers": (0,), **wishes,
    })  # fmt: skip


#: Widths of a second text encoder that could be told from the first.
BIG = {"hidden_size": 24, "num_attention_heads": 3, "projection_dim": 24}
#: Folders of pipelines: what makes each of their networks.
PIPELINES: dict[str, dict[str, Callable[[], Any]]] = {
    "sd1": {"unet": unet, "vae": vae, "text_encoder": clip},
    "sd2": {"unet": partial(unet, use_linear_projection=True), "vae": vae, "text_encoder": partial(clip, **BIG)},
    "sdxl": {
        "unet": xl_unet, "vae": vae, "text_encoder": clip, "text_encoder_2": partial(clip, projection=True, **BIG),
    },
    "flux": {"transformer": flux, "text_encoder": clip, "text_encoder_2": t5},
    "sd3": {"transformer": sd3, "text_encoder": partial(clip, projection=True), "text_encoder_3": t5},
}  # fmt: skip


def randomise(module: Any, seed: int) -> Any:
    """No two weights alike: a norm of ones would fit in the place of any other."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return module


def save(folder: Path, modules: Mapping[str, Any], scheduler: Mapping[str, Any] | None = None) -> Path:
    """A pipeline folder, its components saved by the libraries themselves."""
    index: dict[str, Any] = {"_class_name": "Pipeline"}
    for name, module in modules.items():
        module.save_pretrained(folder / name)
        index[name] = [type(module).__module__.partition(".")[0], type(module).__name__]
    if scheduler is not None:
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
        index["scheduler"] = ["diffusers", scheduler.get("_class_name", "DDIMScheduler")]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


class Unweighed(TensorSource):
    """A source whose tensors have names, dtypes and shapes, and can never be read."""

    def __init__(self, tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None):
        self.header = Header.of(((name, *info) for name, info in tensors.items()), metadata)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Fail: to plan a file no weight is read."""
        raise AssertionError(f"{name} was read")


def unweighed(modules: Modules, metadata: Mapping[str, str] | None = None) -> Unweighed:
    """A pipeline as a source, by the shapes of its modules."""
    return Unweighed(
        {
            f"{folder}.{name}": (DTYPES[tensor.dtype], tuple(tensor.shape))
            for folder, module in modules.items()
            for name, tensor in module.state_dict().items()
        },
        metadata,
    )


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules that are made here have shapes only."""
    with torch.device("meta"):
        yield
