"""Pairs that shapes alone do not settle: variants of a model, its kin, what was pruned, and input layers."""

from __future__ import annotations

import pytest
from check_helper import DENOISER, check, having, ids, joined, lacking, low_rank, released, whole
from layouts_helper import header, layout, of_shapes, only, reshaped

from modelhub.formats.header import Header

SD15, SDXL, FLUX = "lora-sd15-kohya", "lora-sdxl-kohya", "lora-flux-kohya"


def _input(channels: int) -> Header:
    """What kohya writes for a LoRA of the first layer."""
    return of_shapes(
        {"lora_unet_conv_in.lora_down.weight": (4, channels, 3, 3), "lora_unet_conv_in.lora_up.weight": (320, 4, 1, 1)}
    )


def _wide(name: str, channels: int) -> Header:
    return header(reshaped(layout(name), DENOISER + "input_blocks.0.0.weight", (320, channels, 3, 3)))


@pytest.mark.parametrize(("name", "lora"), [("sd15", SD15), ("sdxl", SDXL)])
@pytest.mark.parametrize("channels", [8, 9])
def test_models_with_more_input_channels(name, lora, channels):
    model = _wide(name, channels)
    answer = check(whole(lora), model)
    assert (answer.verdict, answer.mismatches) == ("compatible", ())
    assert "inpaint-input" in ids(answer)
    other = check(joined(whole(lora), _input(4)), model)
    assert (other.verdict, other.counts["unet"]["dim-mismatch"]) == ("incompatible", 1)
    assert other.mismatches[0].say.endswith(
        f"LoRA in 4, checkpoint {DENOISER}input_blocks.0.0.weight [320, {channels}, 3, 3]"
    )
    assert check(joined(whole(lora), _input(channels)), model).verdict == "compatible"
    assert check(joined(whole(lora), _input(channels)), whole(name)).verdict == "incompatible"


def test_attention_to_itself_is_the_same_in_sd1_and_sd2():
    for name in ("sd15", "sd21"):
        answer = check(having(SD15, "_attn1_"), whole(name))
        assert (answer.verdict, answer.base) == ("caution", ("sd1", "sd2"))
    told = header(dict(having_layout("_attn1_")), {"ss_base_model_version": "sd_v2"})
    assert check(told, whole("sd21")).verdict == "compatible"
    differs = check(told, whole("sd15"))
    assert (differs.verdict, "metadata-base-differs" in ids(differs)) == ("caution", True)


def having_layout(pattern: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = having(SD15, pattern)
    return {name: (info.dtype, info.shape) for name, info in found.tensors.items()}


SMALLER = {
    "ssd-1b": r"(input_blocks\.[78]\.1|output_blocks\.[01]\.1)\.transformer_blocks\.[4-9]\.|middle_block\.1\.",
    "vega": r"(input_blocks\.[78]\.1|output_blocks\.[01]\.1)\.transformer_blocks\.[2-9]\.|middle_block\.1\.",
}


@pytest.mark.parametrize("variant", SMALLER)
def test_sdxl_with_blocks_left_out(variant):
    answer = check(whole(SDXL), lacking(layout("sdxl"), SMALLER[variant]))
    assert (answer.verdict, {"layers-missing", "block-shifted"} <= ids(answer)) == ("partly-incompatible", True)
    unet = answer.counts["unet"]
    assert "dim-mismatch" not in unet
    assert unet["missing-module"] > 0.2 * 722  # more than a model that nobody pruned could lack
    few = check(having(SDXL, r"^lora_unet_input_blocks_4_1_"), lacking(layout("sdxl"), SMALLER[variant]))
    assert (few.verdict, ids(few)) == ("caution", {"modules-fit", "block-shifted"})


def test_an_sdxl_model_that_lacks_much_and_is_no_known_variant():
    model = lacking(layout("sdxl"), r"output_blocks\.[0-2]\.1\.")
    answer = check(whole(SDXL), model)
    assert (answer.verdict, "many-layers-missing" in ids(answer)) == ("incompatible", True)
    small = check(whole(SDXL), lacking(layout("sdxl"), r"output_blocks\.5\.1\."))
    assert (small.verdict, "layers-missing" in ids(small)) == ("partly-incompatible", True)


def test_the_refiner_has_no_layer_of_sdxl():
    answer = check(having(SDXL, "^lora_unet_"), released("sdxl-refiner"))
    assert (answer.verdict, answer.counts["unet"].get("ok")) == ("incompatible", None)


def test_kolors_has_the_attention_of_sdxl():
    diffusers = low_rank(
        {f"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_{one}": (640, 2048) for one in "kv"}
    )
    answer = check(diffusers, released("kolors"))
    assert (answer.verdict, answer.counts) == ("caution", {"unet": {"ok": 2}})
    assert "sdxl-kolors" in ids(answer)
    claimed = of_shapes(diffusers.shapes, {"modelspec.architecture": "kolors/lora"})
    assert check(claimed, released("kolors")).verdict == "compatible"
    assert check(claimed, released("sdxl")).verdict == "caution"


@pytest.mark.parametrize("lora", [FLUX, "lora-flux-diffusers"])
@pytest.mark.parametrize("variant", ["dev", "schnell", "fill", "depth-or-canny"])
def test_the_family_of_flux_shares_its_blocks(lora, variant):
    for model in (released(f"flux1/{variant}"), whole(f"flux-{variant}") if variant in ("dev", "schnell") else None):
        if model is not None:
            answer = check(whole(lora), model)
            assert (answer.verdict, answer.counts["unet"].keys()) == ("compatible", {"ok"})
            assert (variant in ids(answer)) == (variant != "dev")


def test_schnell_has_no_guidance():
    guided = joined(whole(FLUX), low_rank({"lora_unet_guidance_in_in_layer": (3072, 256)}))
    assert check(guided, whole("flux-dev")).verdict == "compatible"
    answer = check(guided, whole("flux-schnell"))
    assert (answer.verdict, answer.counts["unet"]["missing-module"]) == ("partly-incompatible", 1)
    assert [one.module for one in answer.mismatches] == ["lora_unet_guidance_in_in_layer"]


@pytest.mark.parametrize(("variant", "channels"), [("dev", 64), ("fill", 384), ("depth-or-canny", 128)])
def test_input_layers_of_flux(variant, channels):
    for mine in (64, 128, 384):
        answer = check(joined(whole(FLUX), low_rank({"lora_unet_img_in": (3072, mine)})), released(f"flux1/{variant}"))
        assert answer.verdict == ("compatible" if mine == channels else "incompatible"), mine


def _control() -> Header:
    sizes = {
        "img_in": (3072, 128),
        "double_blocks.0.img_attn.qkv": (9216, 3072),
        "single_blocks.0.linear1": (21504, 3072),
    }
    biases = of_shapes({f"{name}.lora_B.bias": (out_size,) for name, (out_size, _) in sizes.items()})
    return joined(low_rank(sizes), biases, of_shapes({"double_blocks.0.img_attn.norm.query_norm.scale": (128,)}))


def test_a_control_lora_widens_the_input_of_dev():
    answer = check(_control(), whole("flux-dev"))
    assert (answer.verdict, answer.counts) == ("compatible", {"unet": {"ok": 2, "reshape": 1}})
    assert "widens-input" in ids(answer)
    assert answer.mismatches[0].say == "img_in: turns 64 channels into 128: img_in.weight [3072, 64]"
    already = check(_control(), released("flux1/depth-or-canny"))
    assert (already.verdict, "control-on-control" in ids(already)) == ("caution", True)
    assert check(_control(), released("flux1/fill")).verdict == "incompatible"


def test_kolors_with_the_names_of_diffusers_and_a_lora_with_native_ones():
    """Nothing translates the one into the other, so nothing is said against the pair."""
    answer = check(having(SDXL, "^lora_unet_input_blocks_4"), released("kolors"))
    assert answer.verdict in ("unknown", "caution")
    assert "other-architecture" not in ids(answer)


def test_chroma_has_flux_without_modulation():
    fits = check(having("lora-flux-diffusers", "attn"), released("chroma"))
    assert (fits.verdict, fits.counts["unet"].keys()) == ("caution", {"ok"})
    modulated = joined(
        whole("lora-flux-diffusers"), low_rank({"transformer.transformer_blocks.0.norm1.linear": (18432, 3072)})
    )
    answer = check(modulated, released("chroma"))
    assert (answer.verdict, answer.counts["unet"]["missing-module"]) == ("partly-incompatible", 1)
    chroma = header({name: entry for name, entry in layout("flux-dev").items() if "mod" not in name and "_in." not in name}
                    | {"distilled_guidance_layer.norms.0.scale": ("F16", (5120,))})  # fmt: skip
    native = check(whole(FLUX), chroma)
    assert (native.verdict, native.counts["unet"]) == ("partly-incompatible", {"missing-module": 76, "ok": 228})


def test_flux_2_is_another_model():
    assert check(whole("lora-flux-diffusers"), released("flux2/dev")).verdict == "incompatible"
    klein = check(whole("lora-flux-diffusers"), released("flux2/klein-4b"))
    assert (klein.verdict, "flux-flux2" in ids(klein)) == ("partly-incompatible", True)


def test_flux_with_fewer_blocks():
    lite = lacking(layout("flux-dev"), r"double_blocks\.(8|9|1\d)\.")
    answer = check(whole(FLUX), lite)
    assert (answer.verdict, answer.counts["unet"]) == ("partly-incompatible", {"missing-module": 110, "ok": 194})


def _sd3(width: int, blocks: int, *, second: bool = False) -> Header:
    names = [
        f"transformer.transformer_blocks.{at}.attn.{one}"
        for at in range(blocks)
        for one in ("to_q", "to_k", "to_v", "add_q_proj")
    ]
    more = [f"transformer.transformer_blocks.{at}.attn2.to_q" for at in range(13)] if second else []
    return low_rank(dict.fromkeys([*names, *more], (width, width)))


def test_the_three_sizes_of_sd3():
    medium, newer, large = _sd3(1536, 24), _sd3(1536, 24, second=True), _sd3(2432, 38)
    verdicts = {
        (lora, variant): check(made, released(f"sd3/{variant}")).verdict
        for lora, made in (("medium", medium), ("3.5-medium", newer), ("3.5-large", large))
        for variant in ("medium", "3.5-medium", "3.5-large")
    }
    assert verdicts == {
        ("medium", "medium"): "caution", ("medium", "3.5-medium"): "caution", ("medium", "3.5-large"): "incompatible",
        ("3.5-medium", "medium"): "partly-incompatible", ("3.5-medium", "3.5-medium"): "compatible",
        ("3.5-medium", "3.5-large"): "incompatible", ("3.5-large", "medium"): "incompatible",
        ("3.5-large", "3.5-medium"): "incompatible", ("3.5-large", "3.5-large"): "compatible",
    }  # fmt: skip
    told = of_shapes(medium.shapes, {"modelspec.architecture": "stable-diffusion-3-medium/lora"})
    assert check(told, released("sd3/medium")).verdict == "compatible"
    assert check(told, released("sd3/3.5-medium")).verdict == "caution"


def _wan(width: int, *, image: bool = False, names: tuple[str, ...] = ("attn1.to_q", "attn2.to_k")) -> Header:
    names = (*names, *(("attn2.add_k_proj",) if image else ()))
    return low_rank({f"transformer.blocks.{at}.{one}": (width, width) for at in range(30) for one in names})


def test_wan_of_equal_width():
    text, picture = _wan(5120), _wan(5120, image=True)
    for variant in ("t2v-14b", "i2v-2.1", "2.2-i2v-14b"):
        assert check(text, released(f"wan/{variant}")).verdict == "caution"
    assert "image-attention-missing" in ids(check(picture, released("wan/t2v-14b")))
    assert check(picture, released("wan/t2v-14b")).verdict == "caution"
    assert "image-attention-missing" not in ids(check(picture, released("wan/i2v-2.1")))
    for variant in ("2.1-t2v-1.3b", "2.2-ti2v-5b"):
        assert check(text, released(f"wan/{variant}")).verdict == "incompatible"
    assert check(_wan(1536), released("wan/2.1-t2v-1.3b")).verdict == "compatible"


def test_names_that_no_table_translates_prove_nothing():
    native = _wan(5120, names=("self_attn.q", "cross_attn.v"))
    answer = check(native, released("wan/t2v-14b"))
    assert (answer.verdict, ids(answer)) == ("unknown", {"names-not-known"})
    named = low_rank(
        {"diffusion_model.blocks.0.self_attn.q": (5120, 5120), "diffusion_model.blocks.0.ffn.0": (13824, 5120)}
    )
    own = of_shapes({"head.modulation": (1, 2, 5120), "blocks.0.self_attn.q.weight": (5120, 5120),
                     "blocks.0.ffn.0.weight": (13824, 5120), "patch_embedding.weight": (5120, 16, 1, 2, 2)})  # fmt: skip
    assert check(named, own).counts == {"unet": {"ok": 2}}


def test_a_whole_input_layer_beside_the_modules():
    brought = joined(_wan(5120), of_shapes({"transformer.patch_embedding.weight": (5120, 36, 1, 2, 2)}))
    answer = check(brought, released("wan/2.2-i2v-14b"))
    assert "brings-input" in ids(answer)
    assert check(brought, released("qwen-image")).verdict == "incompatible"


def test_an_encoder_that_lacks_its_last_layer():
    answer = check(whole(SD15), lacking(layout("sd15"), r"encoder\.layers\.11\."))
    assert (answer.verdict, answer.counts["te1"]) == ("partly-incompatible", {"missing-module": 6, "ok": 66})


def test_norms_that_nobody_knows_are_no_loss():
    odd = of_shapes({"lora_unet_odd_norm.w_norm": (320,), "lora_unet_odd_norm.b_norm": (320,)})
    answer = check(joined(whole(SD15), odd), whole("sd15"))
    assert (answer.verdict, "auxiliary-unknown" in ids(answer)) == ("caution", True)
    bundled = of_shapes({"bundle_emb.style.string_to_param.*": (4, 768), "lora_unet_odd.dora_scale": (320, 1)})
    answer = check(joined(whole(SD15), bundled), whole("sd15"))
    assert (answer.verdict, "embeddings-inside" in ids(answer)) == ("compatible", True)


def test_modules_of_unknown_names_and_halves_of_modules():
    odd = check(joined(whole(SD15), low_rank({"diffusion_model.strange": (8, 8)})), whole("sd15"))
    assert (odd.verdict, "unknown-names" in ids(odd)) == ("partly-incompatible", True)
    half = of_shapes({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": (320, 4)})
    without = header(
        {name: entry for name, entry in layout(SD15).items() if "down_blocks_0_attentions_0_proj_in" not in name}
    )
    broken = check(joined(without, half), whole("sd15"))
    assert (broken.verdict, broken.counts["unet"]) == ("partly-incompatible", {"incomplete": 1, "ok": 191})
    assert check(half, whole("sd15")).verdict == "incompatible"


def test_packed_models_are_compared_by_the_sizes_that_they_stand_for():
    unet = only(layout("sd15"), DENOISER)
    scaled = {name: ("F8_E4M3", shape) for name, (_, shape) in unet.items()} | {
        name.removesuffix("weight") + "scale_weight": ("F32", ()) for name in unet if name.endswith("to_k.weight")
    }
    answer = check(having(SD15, "^lora_unet_"), header(scaled))
    assert (answer.verdict, "quantised" in ids(answer)) == ("compatible", True)


def test_what_is_said_of_kindred_blocks_is_not_said_of_text_encoders():
    for part, model in (("^lora_te1_", "chroma"), ("^lora_te1_", "kolors"), ("^lora_te2_", "kolors")):
        answer = check(having(SDXL, part), released(model))
        assert (answer.verdict, "other-architecture" in ids(answer)) == ("incompatible", True), (part, model)


def test_encoders_that_are_not_there_prove_nothing_of_names_that_nobody_translates():
    answer = check(whole(SDXL), released("kolors"))
    assert (answer.verdict, ids(answer)) == ("unknown", {"names-not-known"})
