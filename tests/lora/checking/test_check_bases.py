"""Every adapter of the table of measured votes against every checkpoint: counts, verdicts, and what the user sees."""

from __future__ import annotations

import json
import re

import pytest
from adapters_helper import respelled
from check_helper import check, having, ids, low_rank, released, whole
from layouts_helper import adapter, header, layout, of_shapes, only, without

from modelhub.formats.header import Header

KOHYA = {"down": ".lora_down.weight", "up": ".lora_up.weight"}
PEFT = {"down": ".lora_A.weight", "up": ".lora_B.weight"}


def _sd2() -> Header:
    unet = adapter("sd2", "denoiser", "lora_unet_", **KOHYA)
    return of_shapes({**unet, **adapter("sd2", "te", "lora_te_", **KOHYA)})


def _sdxl(pattern: str) -> Header:
    shapes = adapter("sdxl", "denoiser", "lora_unet_", **KOHYA)
    return of_shapes({name: shape for name, shape in shapes.items() if re.search(pattern, name)})


_MADE: dict[str, Header] = {}


def _lora(name: str) -> Header:
    if name not in _MADE:
        _MADE[name] = LORAS[name][0]()
    return _MADE[name]


SD15, SDXL, FLUX = "lora-sd15-kohya", "lora-sdxl-kohya", "lora-flux-kohya"
#: Adapter, its modules, and the bases that it votes for.
LORAS = {
    "sd1": (lambda: whole(SD15), 264, ["sd1"]),
    "sd2": (_sd2, 336, ["sd2"]),
    "sdxl": (lambda: whole(SDXL), 986, ["sdxl"]),
    "sdxl, diffusers names": (lambda: _sdxl(""), 722, ["sdxl"]),
    "sdxl, PEFT": (lambda: of_shapes(adapter("sdxl", "denoiser", "unet.", **PEFT)), 722, ["sdxl"]),
    "LoHa": (lambda: whole("loha-sd15"), 264, ["sd1"]),
    "LoKr": (lambda: whole("lokr-sdxl"), 986, ["sdxl"]),
    "flux, kohya": (lambda: whole(FLUX), 304, ["flux1"]),
    "flux, diffusers": (lambda: whole("lora-flux-diffusers"), 266, ["flux1"]),
    "sd1, attention to itself": (lambda: having(SD15, "_attn1_"), 64, ["sd1", "sd2"]),
    "sd1, that and proj_in": (lambda: having(SD15, "_attn1_|_proj_in"), 80, ["sd1"]),
    "sdxl, one block": (lambda: _sdxl("down_blocks_1.*_attn1_"), 16, ["sdxl"]),
    "sdxl, CLIP-L alone": (lambda: having(SDXL, "^lora_te1_"), 72, ["flux1", "sd3", "sdxl"]),
    "sdxl, CLIP-G alone": (lambda: having(SDXL, "^lora_te2_"), 192, ["sd3", "sdxl"]),
}
MODELS = {
    "sd1": lambda: whole("sd15"),
    "sd2": lambda: whole("sd21"),
    "sdxl": lambda: whole("sdxl"),
    "sdxl-refiner": lambda: released("sdxl-refiner"),
    "flux1": lambda: whole("flux-dev"),
    "sd3": lambda: whole("sd3-medium"),
}
#: What fits and does so wholly; and what fits with a word of caution, because it fits others as well.
FITS = {
    ("sd1", "sd1"), ("sd2", "sd2"), ("sdxl", "sdxl"), ("sdxl, diffusers names", "sdxl"), ("sdxl, PEFT", "sdxl"),
    ("LoHa", "sd1"), ("LoKr", "sdxl"), ("flux, kohya", "flux1"), ("flux, diffusers", "flux1"),
    ("sd1, that and proj_in", "sd1"), ("sdxl, one block", "sdxl"),
}  # fmt: skip
AMBIGUOUS = {
    ("sd1, attention to itself", "sd1"), ("sd1, attention to itself", "sd2"),
    ("sdxl, CLIP-L alone", "sdxl"), ("sdxl, CLIP-G alone", "sdxl"),
}  # fmt: skip
#: Files of these two have no text encoders here: there is nothing to apply a LoRA of one to.
NOTHING = {("sdxl, CLIP-L alone", "flux1"), ("sdxl, CLIP-L alone", "sd3"), ("sdxl, CLIP-G alone", "sd3")}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lora", LORAS)
def test_every_adapter_against_every_checkpoint(lora, model):
    _, modules, bases = LORAS[lora]
    answer = check(_lora(lora), MODELS[model]())
    assert answer.base == tuple(bases)
    assert sum(count for table in answer.counts.values() for count in table.values()) == modules
    if (lora, model) in FITS:
        assert (answer.verdict, answer.vote["fit"], answer.mismatches) == ("compatible", modules, ())
    elif (lora, model) in AMBIGUOUS:
        assert (answer.verdict, answer.vote["fit"]) == ("caution", modules)
        assert "base-ambiguous" in ids(answer)
    elif (lora, model) in NOTHING:
        assert (answer.verdict, ids(answer)) == ("partial", {"nothing-to-apply"})
        assert "Nothing to apply here" in answer.headline
    else:
        assert answer.verdict == "incompatible", answer.headline
        assert "other-architecture" in ids(answer)


def test_an_sd1_lora_on_sd2_has_all_names_and_a_part_of_the_sizes():
    answer = check(whole(SD15), whole("sd21"))
    assert answer.counts == {"unet": {"dim-mismatch": 32, "ok": 160}, "te1": {"dim-mismatch": 72}}
    assert answer.headline.startswith("incompatible: sd1, 160 of 264 modules fit")
    assert answer.names["te1"] == "OpenCLIP-H"
    says = [one.say for one in answer.mismatches]
    assert (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k: LoRA in 768, checkpoint "
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight [320, 1024]"
    ) in says
    assert sum(one.count for one in answer.mismatches) == 104


def test_an_sd1_lora_finds_a_layer_of_openclip_in_its_fused_tensor():
    (worst, *_) = check(having(SD15, "_te_.*self_attn_k_proj"), whole("sd21")).mismatches
    assert worst.say.endswith(".attn.in_proj_weight rows 1024 to 2047 [1024, 1024]")
    assert worst.lora == "out 768, in 768"


def test_encoders_that_the_file_has_not():
    unet = header(only(layout("sd15"), "model.diffusion_model."))
    answer = check(whole(SD15), unet)
    assert answer.verdict == "partial"
    assert answer.counts == {"unet": {"ok": 192}, "te1": {"missing-component": 72}}
    assert "72 of 264 modules are text-encoder and need a TE supplied separately." in answer.headline
    sdxl = check(whole(SDXL), header(without(layout("sdxl"), "conditioner.embedders.1.")))
    assert (sdxl.verdict, sdxl.counts["te1"], sdxl.counts["te2"]) == (
        "partial",
        {"ok": 72},
        {"missing-component": 192},
    )


def test_a_text_encoder_by_itself_takes_its_part():
    answer = check(whole(SD15), whole("clip-l"))
    assert (answer.verdict, answer.counts["te1"]) == ("partial", {"ok": 72})
    assert "denoiser-absent" in ids(answer)
    assert check(having(SD15, "^lora_te_"), whole("clip-l")).verdict == "compatible"
    assert check(having(SDXL, "^lora_te2_"), whole("clip-l")).verdict == "partial"


def test_checkpoints_in_the_names_of_diffusers_fit_alike():
    for name, model in (("lora-sd15-kohya", "sd1"), ("lora-sdxl-kohya", "sdxl"), (FLUX, "flux1/dev")):
        answer = check(having(name, "^lora_unet_"), released(model))
        assert (answer.verdict, answer.counts["unet"].keys()) == ("compatible", {"ok"}), model
    peft = of_shapes(respelled(SDXL, "diffusers U-Net", "PEFT"))
    assert check(peft, released("sdxl")).counts["unet"] == {"ok": 722}


def test_what_nobody_knows_is_never_called_incompatible():
    strange = {f"diffusion_model.strange.{index}": (98, 99) for index in range(5)}
    answer = check(low_rank(strange), whole("sd15"))
    assert (answer.verdict, answer.base) == ("unknown", ())
    assert answer.counts == {"unet": {"unknown-name": 5}}
    nobody = of_shapes({"foo.weight": (3, 3), "bar.weight": (4, 4)})
    assert check(whole(SD15), nobody).verdict == "unknown"
    hidden = of_shapes({"model.diffusion_model.odd.weight": (640, 640), "first_stage_model.decoder.odd": (8, 8)})
    assert check(whole(SD15), hidden).verdict == "unknown"


def test_a_vae_is_no_checkpoint():
    answer = check(whole(SD15), whole("vae-sd"))
    assert (answer.verdict, ids(answer)) == ("incompatible", {"no-model"})


def test_the_answer_is_plain_json_of_the_promised_keys():
    plain = json.loads(json.dumps(check(whole(SD15), whole("sd21")).as_dict()))
    assert {"verdict", "base", "counts", "mismatches", "reasons", "vote", "lineage", "checked", "unchecked"} <= {*plain}
    assert (plain["verdict"], plain["base"]) == ("incompatible", ["sd1"])
    assert plain["reasons"][0].keys() == {"id", "say", "severity"}
    assert plain["mismatches"][0].keys() == {"component", "state", "module", "lora", "checkpoint", "say", "count"}
    assert plain["vote"] == {
        "bases": ["sd1"], "claimed": [], "also": [], "confidence": "header", "modules": 264, "fit": 160
    }  # fmt: skip
