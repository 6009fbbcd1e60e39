"""A diffusers pipeline of a single file without the network: configurations from the tensors, weights assigned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

PREFIXES = {"sd1": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}


def build(path: Path, family: str, dtype: torch.dtype) -> Any:
    """The pipeline, on the CPU, computing in `dtype`. `family` is sd1 or sdxl; sizes are read from the tensors."""
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
    from safetensors.torch import load_file

    weights = load_file(path)
    unet_config = _unet_config(weights, family)
    unet = _filled(
        lambda: UNet2DConditionModel(**unet_config), convert_ldm_unet_checkpoint(dict(weights), unet_config), dtype
    )
    vae_config = _vae_config(weights, family)
    vae = _filled(lambda: AutoencoderKL(**vae_config), convert_ldm_vae_checkpoint(dict(weights), vae_config), dtype)
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    encoder = _clip_l(weights, family, dtype)
    if family == "sd1":
        return StableDiffusionPipeline(vae, encoder, None, unet, scheduler, None, None, requires_safety_checker=False)
    return StableDiffusionXLPipeline(vae, encoder, _clip_g(weights, dtype), None, None, unet, scheduler)


def embed(pipeline: Any, prompt: str, negative: str) -> dict[str, Any]:
    """Prompts as vectors. The token ids are ours: it has the same table, and its tokenizers want a download."""
    from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer

    ids = torch.tensor([clip_tokenizer().chunks(text)[0] for text in (prompt, negative)], device=pipeline.device)
    first = pipeline.text_encoder(ids, output_hidden_states=True)
    if not hasattr(pipeline, "text_encoder_2"):
        cond, uncond = first.last_hidden_state.chunk(2)
        return {"prompt_embeds": cond, "negative_prompt_embeds": uncond}
    second = pipeline.text_encoder_2(ids, output_hidden_states=True)
    vectors = torch.cat((first.hidden_states[-2], second.hidden_states[-2]), dim=-1)
    (cond, uncond), (pooled, other) = vectors.chunk(2), second[0].chunk(2)
    return {
        "prompt_embeds": cond,
        "negative_prompt_embeds": uncond,
        "pooled_prompt_embeds": pooled,
        "negative_pooled_prompt_embeds": other,
    }


def _filled(make: Any, weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> Any:
    with torch.device("meta"):
        network = make()
    weights = {name: weight.to(dtype) for name, weight in weights.items()}
    network.load_state_dict(weights, strict=False, assign=True)
    for name, buffer in list(network.named_buffers()):  # positions, which are in no state dict
        if buffer.is_meta:
            owner, _, leaf = name.rpartition(".")
            network.get_submodule(owner).register_buffer(leaf, torch.arange(buffer.shape[-1])[None], persistent=False)
    left = [name for name, weight in network.named_parameters() if weight.is_meta]
    assert not left, left
    return network.eval().requires_grad_(False)


def _unet_config(weights: Mapping[str, torch.Tensor], family: str) -> dict[str, Any]:
    inputs = "model.diffusion_model.input_blocks."
    first = weights[f"{inputs}0.0.weight"].shape[0]
    if family == "sdxl":
        return {
            "sample_size": 128, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
            "block_out_channels": (first, 2 * first, 4 * first), "cross_attention_dim": 2048,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20),
            "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        }  # fmt: skip
    widths = tuple(weights[f"{inputs}{number}.0.out_layers.3.weight"].shape[0] for number in (1, 4, 7, 10))
    context = weights[f"{inputs}1.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
    return {
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "block_out_channels": widths,
        "cross_attention_dim": context, "attention_head_dim": 8,
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    }  # fmt: skip


def _vae_config(weights: Mapping[str, torch.Tensor], family: str) -> dict[str, Any]:
    down = "first_stage_model.encoder.down."
    widths = tuple(weights[f"{down}{level}.block.1.conv2.weight"].shape[0] for level in range(4))
    return {
        "sample_size": 512, "latent_channels": 4, "layers_per_block": 2, "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
        "scaling_factor": 0.13025 if family == "sdxl" else 0.18215, "force_upcast": False,
    }  # fmt: skip


def _clip_l(weights: Mapping[str, torch.Tensor], family: str, dtype: torch.dtype) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    prefix = PREFIXES[family]
    own = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
    table = own["text_model.embeddings.token_embedding.weight"]
    layers = len({name.split(".")[3] for name in own if name.startswith("text_model.encoder.layers.")})
    config = CLIPTextConfig(
        vocab_size=len(table), hidden_size=table.shape[1], num_hidden_layers=layers,
        num_attention_heads=max(1, table.shape[1] // 64), eos_token_id=49407, bos_token_id=49406,
        intermediate_size=own["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
    )  # fmt: skip
    flat = {name.removeprefix("text_model."): weight for name, weight in own.items() if "position_ids" not in name}
    return _filled(lambda: CLIPTextModel(config), flat, dtype)


def _clip_g(weights: Mapping[str, torch.Tensor], dtype: torch.dtype) -> Any:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu",
        projection_dim=1280, eos_token_id=49407, bos_token_id=49406,
    )  # fmt: skip
    model = CLIPTextModelWithProjection(CLIPTextConfig(num_hidden_layers=1, hidden_size=64))
    found = convert_open_clip_checkpoint(model, dict(weights), prefix="conditioner.embedders.1.model.")
    return _filled(lambda: CLIPTextModelWithProjection(config), found, dtype)
