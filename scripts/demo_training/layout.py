"""Names and shapes of a tiny Stable Diffusion 1 checkpoint, and networks of random weights made from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.unet import UNet
from modelhub.preview.networks.vae import Vae

Shapes = dict[str, tuple[int, ...]]
Net = TypeVar("Net", bound=nn.Module)

WIDTH, EMBEDDING, LATENTS, TOKENS, VOCABULARY = 64, 256, 4, 77, 49408
VAE_WIDTHS = (64, 64, 64, 128)


def _affine(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _conv(name: str, outputs: int, inputs: int, size: int = 3) -> Shapes:
    return _affine(name, outputs, inputs, size, size)


def _residual(name: str, inputs: int) -> Shapes:
    """A block of the U-Net, WIDTH channels out."""
    shortcut = {} if inputs == WIDTH else _conv(f"{name}.skip_connection", WIDTH, inputs, 1)
    return {
        **_affine(f"{name}.in_layers.0", inputs),
        **_conv(f"{name}.in_layers.2", WIDTH, inputs),
        **_affine(f"{name}.emb_layers.1", WIDTH, EMBEDDING),
        **_affine(f"{name}.out_layers.0", WIDTH),
        **_conv(f"{name}.out_layers.3", WIDTH, WIDTH),
        **shortcut,
    }


def _attention(name: str) -> Shapes:
    into = {f"{name}.to_{part}.weight": (WIDTH, WIDTH) for part in "qkv"}
    return {**into, **_affine(f"{name}.to_out.0", WIDTH, WIDTH)}


def _transformer(name: str) -> Shapes:
    block = f"{name}.transformer_blocks.0"
    norms = [_affine(f"{block}.norm{i}", WIDTH) for i in (1, 2, 3)]
    return {
        **_affine(f"{name}.norm", WIDTH),
        **_conv(f"{name}.proj_in", WIDTH, WIDTH, 1),
        **{key: shape for norm in norms for key, shape in norm.items()},
        **_attention(f"{block}.attn1"),
        **_attention(f"{block}.attn2"),
        **_affine(f"{block}.ff.net.0.proj", 8 * WIDTH, WIDTH),
        **_affine(f"{block}.ff.net.2", WIDTH, 4 * WIDTH),
        **_conv(f"{name}.proj_out", WIDTH, WIDTH, 1),
    }


def unet_shapes() -> Shapes:
    """Four levels of two blocks down and three up, transformers in all but the lowest, as in Stable Diffusion 1."""
    found = {**_affine("time_embed.0", EMBEDDING, WIDTH), **_affine("time_embed.2", EMBEDDING, EMBEDDING)}
    found |= _conv("input_blocks.0.0", WIDTH, LATENTS)
    for n in range(1, 12):
        if n % 3 == 0:
            found |= _conv(f"input_blocks.{n}.0.op", WIDTH, WIDTH)
            continue
        found |= _residual(f"input_blocks.{n}.0", WIDTH)
        found |= _transformer(f"input_blocks.{n}.1") if n < 9 else {}
    found |= _residual("middle_block.0", WIDTH) | _transformer("middle_block.1") | _residual("middle_block.2", WIDTH)
    for n in range(12):
        found |= _residual(f"output_blocks.{n}.0", 2 * WIDTH)
        found |= _transformer(f"output_blocks.{n}.1") if n > 2 else {}
        if n % 3 == 2 and n < 11:
            found |= _conv(f"output_blocks.{n}.{1 if n == 2 else 2}.conv", WIDTH, WIDTH)
    return found | _affine("out.0", WIDTH) | _conv("out.2", LATENTS, WIDTH)


def _vae_block(name: str, inputs: int, outputs: int) -> Shapes:
    return {
        **_affine(f"{name}.norm1", inputs),
        **_conv(f"{name}.conv1", outputs, inputs),
        **_affine(f"{name}.norm2", outputs),
        **_conv(f"{name}.conv2", outputs, outputs),
        **({} if inputs == outputs else _conv(f"{name}.nin_shortcut", outputs, inputs, 1)),
    }


def _vae_middle(name: str, width: int) -> Shapes:
    found = _vae_block(f"{name}.block_1", width, width) | _vae_block(f"{name}.block_2", width, width)
    for part in ("q", "k", "v", "proj_out"):
        found |= _conv(f"{name}.attn_1.{part}", width, width, 1)
    return found | _affine(f"{name}.attn_1.norm", width)


def vae_shapes() -> Shapes:
    """Encoder and decoder with VAE_WIDTHS channels at the four levels."""
    top, bottom = VAE_WIDTHS[0], VAE_WIDTHS[-1]
    found = _conv("encoder.conv_in", top, 3) | _vae_middle("encoder.mid", bottom)
    found |= _affine("encoder.norm_out", bottom) | _conv("encoder.conv_out", 2 * LATENTS, bottom)
    found |= _conv("decoder.conv_in", bottom, LATENTS) | _vae_middle("decoder.mid", bottom)
    found |= _affine("decoder.norm_out", top) | _conv("decoder.conv_out", 3, top)
    for level, width in enumerate(VAE_WIDTHS):
        above = VAE_WIDTHS[max(level - 1, 0)]
        below = VAE_WIDTHS[min(level + 1, 3)]
        for i in range(2):
            found |= _vae_block(f"encoder.down.{level}.block.{i}", width if i else above, width)
        for i in range(3):
            found |= _vae_block(f"decoder.up.{level}.block.{i}", width if i else below, width)
        found |= _conv(f"encoder.down.{level}.downsample.conv", width, width) if level < 3 else {}
        found |= _conv(f"decoder.up.{level}.upsample.conv", width, width) if level > 0 else {}
    found |= _conv("quant_conv", 2 * LATENTS, 2 * LATENTS, 1)
    return found | _conv("post_quant_conv", LATENTS, LATENTS, 1)


def text_shapes() -> Shapes:
    """CLIP's text encoder with two layers, below `cond_stage_model.`."""
    top = "transformer.text_model"
    found: Shapes = {
        f"{top}.embeddings.token_embedding.weight": (VOCABULARY, WIDTH),
        f"{top}.embeddings.position_embedding.weight": (TOKENS, WIDTH),
    }
    for layer in range(2):
        name = f"{top}.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= _affine(f"{name}.self_attn.{part}", WIDTH, WIDTH)
        found |= _affine(f"{name}.mlp.fc1", 4 * WIDTH, WIDTH) | _affine(f"{name}.mlp.fc2", WIDTH, 4 * WIDTH)
        found |= _affine(f"{name}.layer_norm1", WIDTH) | _affine(f"{name}.layer_norm2", WIDTH)
    return found | _affine(f"{top}.final_layer_norm", WIDTH)


def new_unet(seed: int) -> UNet:
    """A U-Net of random weights, ready to train."""
    return _started(UNet, unet_shapes(), seed)


def new_vae(seed: int) -> Vae:
    """A VAE of random weights, ready to train."""
    return _started(Vae, vae_shapes(), seed)


def new_text(seed: int) -> TextEncoder:
    """A text encoder of random weights, ready to train."""
    return _started(text_encoder, text_shapes(), seed)


def _started(make: Callable[[Shapes], Net], shapes: Shapes, seed: int) -> Net:
    net = make(shapes)
    net.to_empty(device="cpu").requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            _start(name, parameter, generator)
    return net


def _start(name: str, weight: Tensor, generator: torch.Generator) -> None:
    """Norms at 1, biases at 0, embeddings at N(0, 0.02²), matrices and kernels uniform within 1 / sqrt(inputs)."""
    if name.endswith("embedding.weight"):
        weight.normal_(0, 0.02, generator=generator)
    elif weight.ndim == 1:
        weight.fill_(1.0 if name.endswith("weight") else 0.0)
    else:
        most = 1 / math.sqrt(weight[0].numel())
        weight.uniform_(-most, most, generator=generator)
