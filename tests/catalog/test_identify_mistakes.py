"""Mistakes that other tools make: each is a test here."""

from __future__ import annotations

import pytest
from layouts_helper import DENOISER, adapter, header, layout, of_shapes, only, reshaped

from modelhub.catalog.identify import identify


def test_128_input_channels_are_no_flux2():
    found = identify(header(reshaped(layout("flux-dev"), "img_in.weight", (3072, 128))))
    assert found.architecture == "flux1"
    flux2 = {"double_stream_modulation_img.lin.weight": (36864, 6144), "img_in.weight": (6144, 128)}
    assert identify(of_shapes(flux2)).architecture == "flux2"


def test_the_unknown_is_not_sd1():
    assert identify(of_shapes({f"block.{index}.weight": (320, 768) for index in range(50)})).architecture is None


def test_sdxl_edit_is_not_sdxl_base_and_video_with_8_channels_is_no_edit():
    wide = reshaped(layout("sdxl"), DENOISER + "input_blocks.0.0.weight", (320, 8, 3, 3))
    assert identify(header(wide)).variant == "pix2pix"
    video = reshaped(layout("sd21"), DENOISER + "input_blocks.0.0.weight", (320, 8, 3, 3))
    video[DENOISER + "input_blocks.1.0.time_stack.emb_layers.1.bias"] = ("F16", (320,))
    found = identify(header(video))
    assert (found.architecture, found.variant) == ("svd", None)


def test_sd1_inpainting_is_decided_by_channels_and_not_by_name():
    inpaint = reshaped(layout("sd15"), DENOISER + "input_blocks.0.0.weight", (320, 9, 3, 3))
    assert identify(header(inpaint), name="model.safetensors").variant == "inpaint"
    assert identify(header(layout("sd15")), name="sd15-inpainting.safetensors").variant is None


def test_position_ids_and_logit_scale_are_no_evidence():
    bare = {name: entry for name, entry in layout("sd15").items() if "position_ids" not in name}
    assert identify(header(bare)).architecture == "sd1"
    moved = reshaped(layout("sd15"), "cond_stage_model.transformer.text_model.embeddings.position_ids", (1, 77))
    moved["cond_stage_model.transformer.text_model.embeddings.position_ids"] = ("F16", (1, 77))
    moved["cond_stage_model.logit_scale"] = ("F16", ())
    assert identify(header(moved)).architecture == "sd1"


def test_te1_modules_are_no_proof_of_sdxl():
    te1 = adapter("sdxl", "te1", "lora_te1_", down=".lora_down.weight", up=".lora_up.weight")
    flux = {**only(layout("lora-flux-kohya"), "lora_unet_"), **{name: ("F16", shape) for name, shape in te1.items()}}
    assert identify(header(flux)).architecture == "flux1"
    alone = identify(of_shapes(te1))
    assert alone.architecture is None
    assert alone.adapter["bases"] == ["flux1", "sd3", "sdxl"]


def test_factorised_lokr_is_an_adapter():
    found = identify(header(layout("lokr-sdxl")))
    assert (found.kind, found.adapter["algorithm"], found.architecture) == ("lora", ["lokr"], "sdxl")


@pytest.mark.parametrize(
    "shapes",
    [
        {
            "redux_down.bias": (4096,),
            "redux_down.weight": (4096, 12288),
            "redux_up.bias": (12288,),
            "redux_up.weight": (12288, 1152),
        },
        {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)},
        {"weight": (768,)},
        {"weight": (4, 700)},
    ],
)
def test_few_tensors_are_no_embedding(shapes):
    assert identify(of_shapes(shapes)).kind != "embedding"


@pytest.mark.parametrize(("width", "architecture"), [(768, "sd1"), (1024, "sd2"), (1280, "sdxl")])
def test_a_lone_token_is_an_embedding_if_its_width_is_a_text_encoders(width, architecture):
    found = identify(of_shapes({"<cat-toy>": (2, width)}))
    assert (found.kind, found.architecture, found.facts["vectors"]) == ("embedding", architecture, 2)


def test_two_widths_are_an_sdxl_embedding():
    found = identify(of_shapes({"clip_l": (3, 768), "clip_g": (3, 1280)}))
    assert (found.kind, found.architecture) == ("embedding", "sdxl")


@pytest.mark.parametrize(
    "name", ["il.safetensors", "illustrious.safetensors", "v2.safetensors", "ponyDiffusion.safetensors"]
)
def test_file_names_never_decide(name):
    found = identify(header(layout("sd15")), name=name)
    assert (found.architecture, found.variant, found.prediction) == ("sd1", None, None)


def test_file_names_are_remarks():
    found = identify(header(layout("sdxl")), name="ponyXL_lightning_vpred.safetensors")
    assert set(found.facts["name_hints"]) == {"pony", "distilled", "v-prediction"}
    assert found.prediction is None
    assert "illustrious" in identify(header(layout("sdxl")), name="my_ilxl-v1.safetensors").facts["name_hints"]
    assert "name_hints" not in identify(header(layout("sdxl")), name="silky-oil.safetensors").facts


def test_norm_scales_of_a_control_lora_are_no_flux_checkpoint():
    shapes = {
        "img_in.lora_A.weight": (128, 128),
        "img_in.lora_B.weight": (3072, 128),
        "img_in.lora_B.bias": (3072,),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "double_blocks.0.img_attn.qkv.lora_A.weight": (128, 3072),
        "double_blocks.0.img_attn.qkv.lora_B.weight": (9216, 128),
    }
    found = identify(of_shapes(shapes))
    assert (found.kind, found.architecture, found.variant) == ("lora", "flux1", "control")
    assert found.adapter["modules"] == 2


def test_a_wan_lora_with_a_full_patch_embedding_is_a_lora():
    shapes = {"diffusion_model.patch_embedding.weight": (5120, 36, 1, 2, 2)}
    for index in range(40):
        shapes[f"diffusion_model.blocks.{index}.self_attn.q.lora_A.weight"] = (16, 5120)
        shapes[f"diffusion_model.blocks.{index}.self_attn.q.lora_B.weight"] = (5120, 16)
    found = identify(of_shapes(shapes))
    assert (found.kind, found.architecture) == ("lora", "wan")


def test_t2i_adapters_and_compact_upscalers_share_names():
    t2i = {"conv_in.weight": (320, 64, 3, 3), "body.0.block2.weight": (320, 320, 1, 1), "body.0.weight": (1, 1, 1, 1)}
    assert identify(of_shapes(t2i)).kind == "t2i-adapter"
    flat = {"body.0.weight": (64, 64), "body.1.weight": (64,), "body.2.weight": (64, 64)}
    assert identify(of_shapes(flat)).kind == "unknown"


def test_the_refiner_and_sd_turbo_share_a_text_encoder_prefix():
    turbo = {
        name.replace("cond_stage_model.", "conditioner.embedders.0."): entry for name, entry in layout("sd21").items()
    }
    found = identify(header(turbo))
    assert (found.kind, found.architecture) == ("checkpoint", "sd2")
    assert found.component("text_encoder").architecture == "openclip-h"


#: What diffusers calls the tensors of networks that resemble others: (names, architecture, which it must not be).
LOOKALIKES = [
    (
        {
            "conv_in.weight": (320, 8, 3, 3),
            "down_blocks.0.resnets.0.spatial_res_block.conv1.weight": (320, 320, 3, 3),
            "down_blocks.0.attentions.0.proj_in.weight": (320, 320),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
            "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
        },
        "svd",
    ),
    (
        {
            "conv_in.weight": (320, 4, 3, 3),
            "transformer_in.proj_in.weight": (512, 320),
            "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
            "down_blocks.0.attentions.0.proj_in.weight": (320, 320),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
            "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
        },
        None,
    ),
    (
        {
            "context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight": (3072, 3072),
            "transformer_blocks.0.attn.add_q_proj.weight": (3072, 3072),
            "transformer_blocks.0.attn.add_q_proj.bias": (3072,),
            "single_transformer_blocks.0.proj_mlp.weight": (12288, 3072),
        },
        "hunyuan-video",
    ),
    (
        {
            "noise_refiner.0.attn.norm_k.weight": (96,),
            "time_caption_embed.timestep_embedder.linear_1.bias": (1024,),
            "time_caption_embed.caption_embedder.1.weight": (2304, 1024),
        },
        "lumina2",
    ),
    (
        {
            "decoder.conv_in.conv.weight": (512, 128, 3, 3, 3),
            "decoder.mid_block.resnets.0.conv1.conv.weight": (512, 512, 3, 3, 3),
        },
        "ltx-vae",
    ),
    (
        {
            "decoder.conv_in.conv.weight": (512, 16, 3, 3, 3),
            "decoder.mid_block.resnets.0.norm1.norm_layer.weight": (512,),
        },
        None,
    ),
]


@pytest.mark.parametrize(("shapes", "architecture"), LOOKALIKES)
def test_networks_that_resemble_others(shapes, architecture):
    assert identify(of_shapes(shapes)).architecture == architecture


def test_a_vision_encoder_without_its_usual_prefix_is_no_text_encoder():
    shapes = {
        "embeddings.patch_embedding.weight": (768, 3, 32, 32),
        "embeddings.position_embedding.weight": (50, 768),
        "encoder.layers.0.layer_norm1.weight": (768,),
        "encoder.layers.0.mlp.fc1.weight": (3072, 768),
    }
    assert identify(of_shapes(shapes)).kind == "clip-vision"


@pytest.mark.parametrize("name", ["v2-1_512-ema-pruned.ckpt", "v2-1_768-v-ema-pruned.ckpt", "model-v_pred.safetensors"])
def test_the_prediction_of_sd2_is_not_read_off_the_file_name(name):
    assert identify(header(layout("sd21")), name=name).prediction is None


@pytest.mark.parametrize("name", ["vae.safetensors", "kl-f8-anime2.ckpt", "sdxl_vae.safetensors", "ae.safetensors"])
def test_a_vae_is_not_sd1_because_its_name_says_nothing(name):
    found = identify(header(layout("vae-sd")), name=name)
    assert (found.kind, found.architecture) == ("vae", "kl-f8-4ch")
    assert {"sd1", "sd2", "sdxl"} <= set(found.facts["used_by"])


def test_a_unet_of_8_channels_is_the_edit_model_of_its_own_architecture():
    for name, architecture in (("sd15", "sd1"), ("sdxl", "sdxl")):
        wide = reshaped(layout(name), DENOISER + "input_blocks.0.0.weight", (320, 8, 3, 3))
        assert identify(header(wide)).architecture == architecture


def test_chroma_and_its_kin_have_the_blocks_of_flux_and_are_not_flux():
    pooled = ("vector_in.", "guidance_in.", "time_in.")
    blocks = {name: entry for name, entry in layout("flux-dev").items() if not name.startswith(pooled)}
    assert identify(header(blocks)).architecture is None
    chroma = {**blocks, "distilled_guidance_layer.norms.0.scale": ("BF16", (5120,))}
    assert identify(header(chroma)).architecture == "chroma"
    narrow = {**blocks, "txt_in.weight": ("BF16", (3072, 3584))}
    assert identify(header(narrow)).architecture == "longcat-image"


def test_a_small_controlnet_without_attention_is_known_by_its_added_embedding():
    shapes = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "add_embedding.linear_1.weight": (1280, 2816)}
    found = identify(of_shapes(shapes))
    assert (found.kind, found.architecture, found.variant) == ("controlnet", "sdxl", "small")


# The order of questions: kinds that share names with denoisers, denoisers, adapters, the rest.


def test_small_kinds_come_before_denoisers():
    unet = only(layout("sd15"), DENOISER)
    inner = {name.removeprefix(DENOISER): entry for name, entry in unet.items()}
    hint = {"zero_convs.0.0.weight": ("F16", (320, 320, 1, 1)), "input_hint_block.0.weight": ("F16", (16, 3, 3, 3))}
    assert identify(header(inner)).kind == "diffusion-model"
    assert identify(header({**inner, **hint})).kind == "controlnet"


def test_the_longest_prefix_names_the_denoiser():
    both = {**only(layout("sd15"), DENOISER), **layout("flux-dev")}
    found = identify(header(both))
    assert (found.architecture, found.component("denoiser").prefix) == ("sd1", DENOISER)


def test_a_denoiser_comes_before_an_adapter():
    merged = {**only(layout("sd15"), DENOISER), **layout("lora-sd15-kohya")}
    found = identify(header(merged))
    assert (found.kind, found.architecture, found.adapter) == ("diffusion-model", "sd1", None)


def test_empty_tensors_and_scalars_are_tensors():
    marked = {**layout("sdxl"), "v_pred": ("F32", (0,)), "alpha": ("F32", ()), "ztsnr": ("F32", (0,))}
    found = identify(header(marked))
    assert (found.architecture, found.prediction, found.facts["zero_terminal_snr"]) == ("sdxl", "v", True)


def test_the_name_is_weaker_than_metadata_and_metadata_weaker_than_shapes():
    claims = {"modelspec.architecture": "flux-1-schnell", "modelspec.prediction_type": "epsilon"}
    found = identify(header({**layout("sdxl"), "v_pred": ("F32", (0,))}, claims), name="pony_flux_inpaint.safetensors")
    assert (found.architecture, found.variant, found.prediction) == ("sdxl", None, "v")
    assert len(found.conflicts) == 2
