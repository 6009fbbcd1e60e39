"""Released models as diffusers and transformers build them: names and shapes on the meta device, in no memory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import torch

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Released:
    """A class with the configuration of a released model, and what a file of it is."""

    cls: str
    kind: str
    architecture: str | None
    variant: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    confidence: str = "header"

    def __str__(self) -> str:
        return f"{self.cls}-{self.architecture}-{self.variant}"


def shapes(cls: str, config: dict[str, Any]) -> Shapes:
    """Names and shapes of the state of a diffusers model."""
    with torch.device("meta"):
        model = getattr(importlib.import_module("diffusers"), cls)(**config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def text_shapes(cls: str, config: str, sizes: dict[str, Any]) -> Shapes:
    """Names and shapes of the state of a transformers model."""
    library = importlib.import_module("transformers")
    with torch.device("meta"):
        model = getattr(library, cls)(getattr(library, config)(**sizes))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


SDXL_DOWN = ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
SDXL_UP = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]
SD1 = {"cross_attention_dim": 768, "sample_size": 64}
SD2 = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
SDXL = {
    "down_block_types": SDXL_DOWN, "up_block_types": SDXL_UP, "block_out_channels": [320, 640, 1280],
    "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20], "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
REFINER = {
    **SDXL, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [384, 768, 1536, 1536], "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24], "cross_attention_dim": 1280, "projection_class_embeddings_input_dim": 2560,
}  # fmt: skip
KOLORS = {
    **SDXL, "encoder_hid_dim": 4096, "encoder_hid_dim_type": "text_proj",
    "projection_class_embeddings_input_dim": 5632,
}  # fmt: skip
X4 = {
    "in_channels": 7, "block_out_channels": [256, 512, 512, 1024], "cross_attention_dim": 1024, "attention_head_dim": 8,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True, "num_class_embeds": 1000,
    "only_cross_attention": [True, True, True, False],
}  # fmt: skip
KL = {
    "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
HUNYUAN_DIT = {
    "num_attention_heads": 16, "attention_head_dim": 88, "in_channels": 4, "patch_size": 2, "hidden_size": 1408,
    "mlp_ratio": 4.3637, "sample_size": 128, "num_layers": 40, "activation_fn": "gelu-approximate",
}  # fmt: skip
HIDREAM = {
    "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 16, "num_single_layers": 32,
    "attention_head_dim": 128, "num_attention_heads": 20, "caption_channels": [4096, 4096], "text_emb_dim": 2048,
    "axes_dims_rope": (64, 32, 32), "max_resolution": (128, 128), "llama_layers": list(range(48)),
}  # fmt: skip
OMNIGEN = {"rope_scaling": {"short_factor": [1] * 48, "long_factor": [1] * 48, "type": "su"}}
COSMOS2 = {
    "num_attention_heads": 16, "attention_head_dim": 128, "num_layers": 28, "extra_pos_embed_type": None,
}  # fmt: skip
FLUX = {"guidance_embeds": True}
SD35_MEDIUM = {
    "num_layers": 24, "num_attention_heads": 24, "pos_embed_max_size": 384, "qk_norm": "rms_norm",
    "caption_projection_dim": 1536, "dual_attention_layers": tuple(range(13)), "sample_size": 128,
}  # fmt: skip
SD35_LARGE = {
    "num_layers": 38, "num_attention_heads": 38, "pos_embed_max_size": 192, "qk_norm": "rms_norm",
    "caption_projection_dim": 2432, "sample_size": 128,
}  # fmt: skip
SD3 = {"num_layers": 24, "num_attention_heads": 24, "pos_embed_max_size": 192, "caption_projection_dim": 1536}
WAN_1_3B = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
WAN_5B = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48}
KLEIN_4B = {
    "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680,
    "guidance_embeds": False,
}  # fmt: skip
KLEIN_9B = {
    **KLEIN_4B, "num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288,
}  # fmt: skip
CASCADE_C = {
    "in_channels": 16, "out_channels": 16, "conditioning_dim": 2048, "block_out_channels": (2048, 2048),
    "num_attention_heads": (32, 32), "down_num_layers_per_block": (8, 24), "up_num_layers_per_block": (24, 8),
    "block_types_per_layer": (("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),) * 2,
    "clip_text_in_channels": 1280, "clip_text_pooled_in_channels": 1280, "clip_image_in_channels": 768,
    "clip_seq": 4, "switch_level": (False,), "patch_size": 1,
}  # fmt: skip
_RES, _ATTENTION = ("SDCascadeResBlock", "SDCascadeTimestepBlock"), "SDCascadeAttnBlock"
CASCADE_B = {
    "in_channels": 4, "out_channels": 4, "conditioning_dim": 1280, "block_out_channels": (320, 640, 1280, 1280),
    "dropout": (0, 0, 0.1, 0.1), "num_attention_heads": (0, 0, 20, 20), "down_num_layers_per_block": (2, 6, 28, 6),
    "up_num_layers_per_block": (6, 28, 6, 2), "clip_text_pooled_in_channels": 1280, "clip_seq": 4, "patch_size": 2,
    "block_types_per_layer": (_RES, _RES, (*_RES, _ATTENTION), (*_RES, _ATTENTION)), "effnet_in_channels": 16,
    "pixel_mapper_in_channels": 3, "down_blocks_repeat_mappers": (1, 1, 1, 1), "up_blocks_repeat_mappers": (3, 3, 2, 2),
}  # fmt: skip

COGVIEW4 = {"num_attention_heads": 32, "attention_head_dim": 128, "num_layers": 28}
LTX_13B = {"num_attention_heads": 32, "attention_head_dim": 128, "cross_attention_dim": 4096, "num_layers": 48}
KL_16 = {**KL, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
WAN22_VAE = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "in_channels": 12,
    "out_channels": 12,
    "is_residual": True,
    "patch_size": 2,
}
SVD_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "layers_per_block": 2,
}
PIXART_ALPHA = {"caption_channels": 4096, "use_additional_conditions": True, "sample_size": 128}
PIXART = {"caption_channels": 4096, "use_additional_conditions": False, "sample_size": 128}
WAN_I2V = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
SKYREELS = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
CONTROLNET_XL = {name: value for name, value in SDXL.items() if name != "up_block_types"}

D, V, C = "diffusion-model", "vae", "controlnet"
#: Each class of diffusers that files are of, with the configuration that was released.
MODELS = [
    Released("UNet2DConditionModel", D, "sd1", None, SD1),
    Released("UNet2DConditionModel", D, "sd1", "inpaint", {**SD1, "in_channels": 9}),
    Released("UNet2DConditionModel", D, "sd2", None, SD2),
    Released("UNet2DConditionModel", D, "sdxl", None, SDXL),
    Released("UNet2DConditionModel", D, "sdxl", "inpaint", {**SDXL, "in_channels": 9}),
    Released("UNet2DConditionModel", D, "sdxl-refiner", None, REFINER),
    Released("UNet2DConditionModel", D, "kolors", None, KOLORS),
    Released("UNet2DConditionModel", D, "sd-x4-upscaler", None, X4),
    Released("UNet2DConditionModel", D, "sd1", None, {}, "structure"),
    Released("UNetMotionModel", D, "sd1", "animatediff", {"cross_attention_dim": 768}),
    Released("UNetSpatioTemporalConditionModel", D, "svd"),
    Released("UNet3DConditionModel", "unknown", None, confidence="none"),
    Released("Kandinsky3UNet", "unknown", None, confidence="none"),
    Released("StableCascadeUNet", D, "stable-cascade-c", "full", CASCADE_C),
    Released("StableCascadeUNet", D, "stable-cascade-b", "full", CASCADE_B),
    Released("AllegroTransformer3DModel", D, "allegro"),
    Released("AuraFlowTransformer2DModel", D, "auraflow", None, {"num_mmdit_layers": 4, "num_single_dit_layers": 32}),
    Released("BriaTransformer2DModel", D, "bria"),
    Released("BriaFiboTransformer2DModel", D, "bria", "fibo"),
    Released("ChromaTransformer2DModel", D, "chroma"),
    Released("CogVideoXTransformer3DModel", D, "cogvideox", "2b", {"num_attention_heads": 30}),
    Released("CogVideoXTransformer3DModel", D, "cogvideox", "5b", {"num_attention_heads": 48, "num_layers": 42}),
    Released("CogView3PlusTransformer2DModel", D, "cogview4", "cogview3-plus"),
    Released("CogView4Transformer2DModel", D, "cogview4", None, COGVIEW4),
    Released("CosmosTransformer3DModel", D, "cosmos1", "7b-t2w"),
    Released("CosmosTransformer3DModel", D, "cosmos-predict2", "2b-t2i", COSMOS2),
    Released("FluxTransformer2DModel", D, "flux1", "dev", FLUX),
    Released("FluxTransformer2DModel", D, "flux1", "schnell"),
    Released("FluxTransformer2DModel", D, "flux1", "fill", {**FLUX, "in_channels": 384}),
    Released("FluxTransformer2DModel", D, "flux1", "depth-or-canny", {**FLUX, "in_channels": 128}),
    Released("Flux2Transformer2DModel", D, "flux2", "dev"),
    Released("Flux2Transformer2DModel", D, "flux2", "klein-4b", KLEIN_4B),
    Released("Flux2Transformer2DModel", D, "flux2", "klein-9b", KLEIN_9B),
    Released("HiDreamImageTransformer2DModel", D, "hidream-i1", None, HIDREAM),
    Released("HunyuanDiT2DModel", D, "hunyuan-dit", "1.1", HUNYUAN_DIT),
    Released("HunyuanDiT2DModel", D, "hunyuan-dit", "1.2", {**HUNYUAN_DIT, "use_style_cond_and_image_meta_size": False}),
    Released("HunyuanVideoTransformer3DModel", D, "hunyuan-video", "t2v", FLUX),
    Released("HunyuanVideoTransformer3DModel", D, "hunyuan-video", "i2v", {**FLUX, "in_channels": 33}),
    Released("HunyuanVideo15Transformer3DModel", D, "hunyuan-video", "video-1.5"),
    Released("HunyuanImageTransformer2DModel", D, "hunyuan-video", "image-2.1"),
    Released("Kandinsky5Transformer3DModel", D, "kandinsky5", "lite", {"model_dim": 1792, "ff_dim": 7168}),
    Released("LongCatImageTransformer2DModel", D, "longcat-image", None, {"num_layers": 10, "num_single_layers": 20}),
    Released("LTXVideoTransformer3DModel", D, "ltx-video"),
    Released("LTXVideoTransformer3DModel", D, "ltx-video", "13b", LTX_13B),
    Released("LTX2VideoTransformer3DModel", D, "ltx-video-2"),
    Released("Lumina2Transformer2DModel", D, "lumina2"),
    Released("MochiTransformer3DModel", D, "mochi"),
    Released("NucleusMoEImageTransformer2DModel", "unknown", None, confidence="none"),
    Released("OmniGenTransformer2DModel", D, "omnigen", None, OMNIGEN),
    Released("OvisImageTransformer2DModel", D, "ovis"),
    Released("PixArtTransformer2DModel", D, "pixart", None, PIXART),
    Released("PixArtTransformer2DModel", D, "pixart", "alpha", PIXART_ALPHA),
    Released("QwenImageTransformer2DModel", D, "qwen-image"),
    Released("SanaTransformer2DModel", D, "sana"),
    Released("SanaVideoTransformer3DModel", D, "sana", "video"),
    Released("SanaWMTransformer3DModel", D, "sana", "world-model"),
    Released("AceStepTransformer1DModel", D, "ace-step", "1.5"),
    Released("SD3Transformer2DModel", D, "sd3", "medium", SD3),
    Released("SD3Transformer2DModel", D, "sd3", "3.5-medium", SD35_MEDIUM),
    Released("SD3Transformer2DModel", D, "sd3", "3.5-large", SD35_LARGE),
    Released("StableAudioDiTModel", D, "stable-audio"),
    Released("WanTransformer3DModel", D, "wan", "t2v-14b"),
    Released("WanTransformer3DModel", D, "wan", "2.1-t2v-1.3b", WAN_1_3B),
    Released("WanTransformer3DModel", D, "wan", "2.2-ti2v-5b", WAN_5B),
    Released("WanTransformer3DModel", D, "wan", "i2v-2.1", WAN_I2V),
    Released("WanTransformer3DModel", D, "wan", "2.2-i2v-14b", {"in_channels": 36}),
    Released("WanVACETransformer3DModel", D, "wan", "vace"),
    Released("WanAnimateTransformer3DModel", D, "wan", "animate"),
    Released("SkyReelsV2Transformer3DModel", D, "wan", "t2v-14b", SKYREELS),
    Released("HeliosTransformer3DModel", D, "wan", "helios"),
    Released("AnyFlowFARTransformer3DModel", D, "wan", "anyflow"),
    Released("ZImageTransformer2DModel", D, "z-image"),
    Released("Krea2Transformer2DModel", D, "krea2"),
    Released("ErnieImageTransformer2DModel", D, "ernie-image"),
    Released("Ideogram4Transformer2DModel", D, "ideogram4"),
    Released("AutoencoderKL", V, "kl-f8-4ch", None, KL),
    Released("AutoencoderKL", V, "ae-16ch", None, KL_16),
    Released("AutoencoderKL", V, "kl-f8-4ch", None, {}, "structure"),
    Released("AutoencoderKLFlux2", V, "flux2-vae"),
    Released("AutoencoderKLAllegro", "unknown", None, confidence="none"),
    Released("AutoencoderKLCogVideoX", V, "cogvideox-vae", None, {"block_out_channels": (128, 256, 256, 512)}),
    Released("AutoencoderKLCosmos", V, "cosmos-vae"),
    Released("AutoencoderKLHunyuanVideo", V, "hunyuan-video-vae"),
    Released("AutoencoderKLHunyuanVideo15", V, "hunyuan-video-vae", "1.5"),
    Released("AutoencoderKLKVAE", "unknown", None, confidence="none"),
    Released("AutoencoderKLKVAEVideo", "unknown", None, confidence="none"),
    Released("AutoencoderKLLTXVideo", V, "ltx-vae"),
    Released("AutoencoderKLLTX2Video", V, "ltx-vae"),
    Released("AutoencoderKLMochi", V, "mochi-vae"),
    Released("AutoencoderKLQwenImage", V, "wan-qwen-vae"),
    Released("AutoencoderKLQwenImage21", "unknown", None, confidence="none"),
    Released("AutoencoderKLTemporalDecoder", V, "svd-vae", None, SVD_VAE),
    Released("AutoencoderKLWan", V, "wan-qwen-vae"),
    Released("AutoencoderKLWan", V, "wan22-vae", None, WAN22_VAE),
    Released("AutoencoderTiny", V, "taesd"),
    Released("AutoencoderDC", V, "dc-ae"),
    Released("ControlNetModel", C, "sd1", None, {"cross_attention_dim": 768}),
    Released("ControlNetModel", C, "sd2", None, {"cross_attention_dim": 1024, "use_linear_projection": True}),
    Released("ControlNetModel", C, "sdxl", "large", CONTROLNET_XL),
    Released("FluxControlNetModel", C, "flux1", "instantx"),
    Released("FluxControlNetModel", C, "flux1", "union", {"num_mode": 10}),
    Released("QwenImageControlNetModel", C, "qwen-image", "instantx"),
    Released("SD3ControlNetModel", C, "sd3", "instantx", {"num_attention_heads": 24, "caption_projection_dim": 1536}),
    Released("SanaControlNetModel", C, "sana"),
    Released("SparseControlNetModel", C, "sd1", "sparsectrl"),
    Released("MotionAdapter", "motion-module", "sd1", "v2"),
    Released("T2IAdapter", "t2i-adapter", "sd1", None, {"adapter_type": "full_adapter"}),
    Released("T2IAdapter", "t2i-adapter", "sdxl", None, {"adapter_type": "full_adapter_xl", "downscale_factor": 16}),
]  # fmt: skip

CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
VISION_H = {**CLIP_G, "num_attention_heads": 16, "patch_size": 14}
SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
T5XXL = {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"}
QWEN3_4B = {"hidden_size": 2560, "num_hidden_layers": 36, "num_key_value_heads": 8, "head_dim": 128}
LLAMA_8B = {"num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256}
T, N = "text-encoder", "clip-vision"
#: Class, configuration class, sizes; kind, architecture and variant.
TEXT_MODELS = [
    ("CLIPTextModel", "CLIPTextConfig", CLIP_L, T, "clip-l", None),
    ("CLIPTextModel", "CLIPTextConfig", CLIP_H, T, "openclip-h", None),
    ("CLIPTextModelWithProjection", "CLIPTextConfig", CLIP_G, T, "clip-g", None),
    ("T5EncoderModel", "T5Config", T5XXL, T, "t5xxl", None),
    ("UMT5EncoderModel", "UMT5Config", {**T5XXL, "vocab_size": 256384}, T, "t5xxl", "umt5"),
    ("T5EncoderModel", "T5Config", {}, T, "t5", "small"),
    ("CLIPVisionModelWithProjection", "CLIPVisionConfig", VISION_H, N, None, "h"),
    ("SiglipVisionModel", "SiglipVisionConfig", {**SIGLIP, "patch_size": 14, "image_size": 384}, N, None, "siglip-384"),
    ("SiglipTextModel", "SiglipTextConfig", {}, "unknown", None, None),
    ("BlipForConditionalGeneration", "BlipConfig", {}, "unknown", None, None),
    ("Gemma2Model", "Gemma2Config", {}, T, "llm", "gemma"),
    ("Qwen3Model", "Qwen3Config", QWEN3_4B, T, "llm", "qwen3-4b"),
    ("Qwen3ForCausalLM", "Qwen3Config", QWEN3_4B, T, "llm", "qwen3-4b"),
    ("LlamaModel", "LlamaConfig", LLAMA_8B, T, "llm", "llama-3.1-8b"),
]
