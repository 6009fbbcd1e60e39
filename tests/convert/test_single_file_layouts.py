"""Full-size pipelines without weights: the names and shapes of their single files are those of real ones."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny

from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.keymaps import keymap
from modelhub.formats.header import Header

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
SD_UNET = {"block_out_channels": (320, 640, 1280, 1280), "norm_num_groups": 32, "sample_size": 64}
XL_UNET = {
    "block_out_channels": (320, 640, 1280), "norm_num_groups": 32, "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048, "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
REFINER = {
    **XL_UNET, "block_out_channels": (384, 768, 1536, 1536), "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24), "cross_attention_dim": 1280, "projection_class_embeddings_input_dim": 2560,
}  # fmt: skip
WIDE_VAE = {"block_out_channels": (128, 256, 512, 512), "norm_num_groups": 32}
VAE_16 = {**WIDE_VAE, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
CLIP_G = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
    "projection_dim": 1280, "projection": True,
}  # fmt: skip
T5_XXL = {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "d_kv": 64, "vocab_size": 32128}
FLUX = {
    "in_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128, "num_attention_heads": 24,
    "joint_attention_dim": 4096, "pooled_projection_dim": 768, "axes_dims_rope": (16, 56, 56),
}  # fmt: skip
SD3 = {
    "sample_size": 128, "in_channels": 16, "out_channels": 16, "num_layers": 24, "attention_head_dim": 64,
    "num_attention_heads": 24, "joint_attention_dim": 4096, "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048, "pos_embed_max_size": 192, "qk_norm": None, "dual_attention_layers": (),
}  # fmt: skip

Make = Callable[[], Any]
WIDE = {
    "unet": partial(tiny.xl_unet, **XL_UNET), "vae": partial(tiny.vae, **WIDE_VAE),
    "text_encoder": partial(tiny.clip, **CLIP_L), "text_encoder_2": partial(tiny.clip, **CLIP_G),
}  # fmt: skip
PIPELINES: dict[str, dict[str, Make]] = {
    "sd15": {
        "unet": partial(tiny.unet, **SD_UNET, attention_head_dim=8, cross_attention_dim=768),
        "vae": partial(tiny.vae, **WIDE_VAE), "text_encoder": partial(tiny.clip, **CLIP_L),
    },
    "sd21": {
        "unet": partial(
            tiny.unet, **SD_UNET, attention_head_dim=(5, 10, 20, 20), cross_attention_dim=1024, use_linear_projection=True
        ),
        "vae": partial(tiny.vae, **WIDE_VAE), "text_encoder": partial(tiny.clip, **CLIP_H),
    },
    "sdxl": WIDE,
    "sdxl-refiner": {**WIDE, "unet": partial(tiny.refiner_unet, **REFINER)},
    "koala-700m": {
        **WIDE,
        "unet": partial(tiny.xl_unet, **{**XL_UNET, "layers_per_block": 1, "transformer_layers_per_block": (1, 2, 5)}),
    },
    "flux-dev": {
        "transformer": partial(tiny.flux, **FLUX), "vae": partial(tiny.vae, **VAE_16),
        "text_encoder": partial(tiny.clip, **CLIP_L), "text_encoder_2": partial(tiny.t5, **T5_XXL),
    },
    "flux-schnell": {"transformer": partial(tiny.flux, **FLUX, guidance_embeds=False)},
    "sd3-medium": {"transformer": partial(tiny.sd3, **SD3), "vae": partial(tiny.vae, **VAE_16)},
}  # fmt: skip
del PIPELINES["sdxl-refiner"]["text_encoder"]

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[Header, list[str]]]:
    """The header of each file, and the warnings on the way."""
    found = {}
    for name, parts in PIPELINES.items():
        with tiny.without_weights():
            source = tiny.unweighed({folder: make() for folder, make in parts.items()})
        view, _, warnings = single_file(source, identify(source.header, form="diffusers"))
        found[name] = (view.header, warnings)
    return found


def layout(name: str) -> Shapes:
    """Names and shapes of a real file."""
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: tuple(shape) for tensor, (_, *shape) in table.items()}


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


#: What real files have and folders lack: buffers that a program makes itself, and what is never read.
BESIDE = {
    "sd15": {"cond_stage_model.transformer.text_model.embeddings.position_ids"},
    "sdxl": {
        "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
        "conditioner.embedders.1.model.logit_scale",
    },
    "sd21": {"cond_stage_model.model.logit_scale", "cond_stage_model.model.text_projection"},
    "sd3-medium": {"model.model_sampling.sigmas"},
}
SCHEDULE = {
    "alphas_cumprod", "alphas_cumprod_prev", "betas", "log_one_minus_alphas_cumprod", "posterior_log_variance_clipped",
    "posterior_mean_coef1", "posterior_mean_coef2", "posterior_variance", "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod",
}  # fmt: skip


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "sd3-medium"])
def test_names_and_shapes_are_those_of_the_released_file(made: Any, name: str):
    shapes, real = dict(made[name][0].shapes), layout(name)
    unused_layer = "cond_stage_model.model.transformer.resblocks.23."
    beside = {
        tensor for tensor in real if tensor in SCHEDULE or tensor in BESIDE[name] or tensor.startswith(unused_layer)
    }
    assert shapes == {tensor: shape for tensor, shape in real.items() if tensor not in beside}
    assert beside >= BESIDE[name]
    assert made[name][1] == ([] if name != "sd3-medium" else [text for text in made[name][1] if "text_encoder" in text])


@pytest.mark.parametrize("name", ["flux-dev", "flux-schnell"])
def test_flux_is_put_together_of_the_released_files(made: Any, name: str):
    t5 = {tensor: shape for tensor, shape in layout("t5xxl").items() if tensor != "encoder.embed_tokens.weight"}
    clip = {tensor: shape for tensor, shape in layout("clip-l").items() if not tensor.startswith(("logit", "text_p"))}
    rest = {
        **prefixed("vae.", layout("vae-flux")),
        **prefixed("text_encoders.t5xxl.transformer.", t5),
        **prefixed("text_encoders.clip_l.transformer.", clip),
    }
    wanted = prefixed("model.diffusion_model.", layout(name)) | (rest if name == "flux-dev" else {})
    assert dict(made[name][0].shapes) == wanted


@pytest.mark.parametrize(
    ("name", "architecture", "variant"),
    [
        ("sd15", "sd1", None), ("sd21", "sd2", None), ("sdxl", "sdxl", None), ("sdxl-refiner", "sdxl-refiner", None),
        ("koala-700m", "sdxl", "koala-700m"), ("flux-dev", "flux1", "dev"), ("sd3-medium", "sd3", "medium"),
    ],
)  # fmt: skip
def test_what_the_files_are(made: Any, name: str, architecture: str, variant: str | None):
    identity = identify(made[name][0])
    assert (identity.kind, identity.architecture, identity.variant) == ("checkpoint", architecture, variant)
    assert identity.confidence == "header"
    assert all(one.architecture for one in identity.components)


@pytest.mark.parametrize("name", ["sdxl-refiner", "sdxl"])
def test_every_module_that_an_adapter_may_change_is_there(made: Any, name: str):
    shapes = made[name][0].shapes
    wanted = {target.tensor: target.rank for target in keymap(name).values()}
    assert {tensor: len(shapes.get(tensor, ())) for tensor in wanted} == wanted
