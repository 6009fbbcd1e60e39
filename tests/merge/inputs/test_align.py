"""Files of other prefixes, names and containers: each model is what it is, number for number against numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from aligned_models import DENOISER, State, average, check, mean, opened, put, state, without

from modelhub.errors import IncompatibleError, UnknownModelError
from modelhub.merge.inputs.align import aligned, check_together

SD_VAE, SD_CLIP = "first_stage_model.", "cond_stage_model.transformer."
FLUX_CLIP, FLUX_T5, FLUX_VAE = "text_encoders.clip_l.transformer.", "text_encoders.t5xxl.transformer.", "vae."


@pytest.mark.parametrize(
    "prefix", ["", DENOISER, "diffusion_model.", "model.model.", "model.", "module.", "net.", "unet.", "transformer."]
)
@pytest.mark.parametrize("name", ["flux-schnell", "sd15"])
def test_a_denoiser_is_the_same_below_any_prefix(tmp_path: Path, name: str, prefix: str):
    bare = state(name, 1) if name != "sd15" else without(DENOISER, state(name, 1))
    other = state(name, 2) if name != "sd15" else without(DENOISER, state(name, 2))
    a = put(tmp_path / "a.safetensors", {DENOISER + key: tensor for key, tensor in bare.items()})
    b = put(tmp_path / "b.safetensors", {prefix + key: tensor for key, tensor in other.items()})
    for first, second, start in ((a, b, DENOISER), (b, a, prefix)):
        found, lacking = average(first, second)
        assert lacking == []
        check(found, {start + key: mean(tensor, other[key]) for key, tensor in bare.items()})


def flux(seed: int) -> State:
    """A Flux with all that it needs in one file, as programs save it."""
    return {
        **state("flux-dev", seed, DENOISER), **state("clip-l", seed, FLUX_CLIP),
        **state("t5xxl", seed, FLUX_T5), **state("vae-flux", seed, FLUX_VAE),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "inside", "label", "prefixes"),
    [
        ("clip-l", FLUX_CLIP, "te1", ["", "text_encoders.clip_l.", "transformer.", SD_CLIP]),
        ("t5xxl", FLUX_T5, "t5", ["", "text_encoders.t5xxl.", "transformer."]),
        ("vae-flux", FLUX_VAE, "vae", ["", SD_VAE]),
        ("flux-dev", DENOISER, "unet", [""]),
    ],
)
def test_parts_of_a_whole_flux_by_themselves(tmp_path: Path, name: str, inside: str, label: str, prefixes: list[str]):
    whole = flux(1)
    a = put(tmp_path / "aio.safetensors", whole)
    other = state(name, 2)
    for prefix in prefixes:
        b = put(tmp_path / "b.safetensors", {prefix + key: tensor for key, tensor in other.items()})
        with opened(a, b) as models:
            check_together([*models.values()])
            assert set(models["B"].sections) == {label}
        found, lacking = average(a, b)
        check(found, {inside + key: mean(whole[inside + key], tensor) for key, tensor in other.items()})
        assert {*found, *lacking} == {*whole}
        check(average(b, a)[0], {prefix + key: mean(whole[inside + key], other[key]) for key in other})


def test_a_text_encoder_is_called_the_same_wherever_it_is(tmp_path: Path):
    files = {"sd15": state("sd15", 1), "sdxl": state("sdxl", 1), "flux": flux(1), "clip": state("clip-l", 1)}
    # CLIP-G is known by its width
    files["sdxl"]["conditioner.embedders.1.model.transformer.resblocks.30.mlp.c_fc.weight"] = torch.zeros(5120, 1280)
    paths = [put(tmp_path / f"{name}.safetensors", tensors) for name, tensors in files.items()]
    with opened(*paths) as models:
        labels = {model.parent.name: set(model.sections) for model in models.values()}
        assert labels == {
            "sd15": {"unet", "vae", "te1"}, "sdxl": {"unet", "vae", "te1", "te2"},
            "flux": {"unet", "vae", "te1", "t5"}, "clip": {"te1"},
        }  # fmt: skip
        place = ("te1", "text_model.encoder.layers.0.mlp.fc1.weight")
        assert [model.places[place].removesuffix(place[1]) for model in models.values()] == [
            SD_CLIP, "conditioner.embedders.0.transformer.", FLUX_CLIP, "",
        ]  # fmt: skip
        clip, sd, xl = models["D"], models["A"], models["B"]
        for pair in ((clip, sd), (sd, clip), (xl, clip), (models["C"], clip)):
            check_together(pair)
        with pytest.raises(IncompatibleError, match="sd1 and B .* is sdxl"):
            check_together([sd, xl])


def test_old_names_of_clip(tmp_path: Path):
    """NovelAI's first file, and many merges of it, lack a `text_model.`; some files have the weights under both."""
    new, old = state("sd15", 1), state("sd15", 2)
    wide = SD_CLIP + "text_model.encoder.layers.0.mlp.fc1.weight"
    new[wide], old[wide] = torch.ones(3072, 768).half(), torch.zeros(3072, 768).half()
    nai = {name.replace("transformer.text_model.", "transformer."): tensor for name, tensor in old.items()}
    assert SD_CLIP + "encoder.layers.0.mlp.fc1.weight" in nai
    a, b = put(tmp_path / "a.safetensors", new), put(tmp_path / "b.safetensors", nai)
    found, lacking = average(a, b)
    assert lacking == []
    check(found, {name: mean(tensor, old[name]) for name, tensor in new.items()})
    found, lacking = average(b, a)
    assert lacking == []
    check(found, {name: mean(tensor, new[was]) for (name, tensor), was in zip(nai.items(), old, strict=True)})
    stale = {name: torch.full_like(tensor, 9) for name, tensor in nai.items() if name not in old}
    with opened(a, put(tmp_path / "both.safetensors", old | stale)) as models:
        assert models["B"].places["te1", wide.removeprefix(SD_CLIP)] == wide, "programs read this one"


def test_old_names_of_a_narrow_clip(tmp_path: Path):
    new, old = state("sd15", 1), state("sd15", 2)
    nai = {name.replace("transformer.text_model.", "transformer."): tensor for name, tensor in old.items()}
    found, lacking = average(put(tmp_path / "a.safetensors", new), put(tmp_path / "b.safetensors", nai))
    assert lacking == []
    check(found, {name: mean(tensor, old[name]) for name, tensor in new.items()})


def clip_g(seed: int) -> tuple[State, State]:
    """As much of a CLIP-G as proves that it is one, as transformers and as OpenCLIP name it."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).half()

    hf = {
        "text_model.embeddings.token_embedding.weight": some(20, 8),
        "text_model.embeddings.position_embedding.weight": some(77, 8),
        "text_model.final_layer_norm.weight": some(8), "text_model.final_layer_norm.bias": some(8),
        "text_projection.weight": some(8, 8),
    }  # fmt: skip
    openclip = dict(
        zip(
            ("token_embedding.weight", "positional_embedding", "ln_final.weight", "ln_final.bias"),
            hf.values(),
            strict=False,
        )
    )
    openclip["text_projection"] = hf["text_projection.weight"].T.contiguous()
    for layer in (0, 30):
        there, here = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for what, shape in (("weight", (8, 8)), ("bias", (8,))):
            parts = {f"{there}.self_attn.{word}_proj.{what}": some(*shape) for word in "qkv"}
            hf |= parts
            openclip[f"{here}.attn.in_proj_{what}"] = torch.cat([*parts.values()])
        hf[f"{there}.mlp.fc1.weight"] = openclip[f"{here}.mlp.c_fc.weight"] = some(*(5120, 1280) if layer else (24, 8))
    return hf, openclip


def test_clip_g_of_transformers_and_of_openclip(tmp_path: Path):
    """In SDXL query, key and value are one matrix and the projection is turned; not so in SD 3 and in files alone."""
    prefix = "conditioner.embedders.1.model."
    (_, mine), (its, as_mine), (as_its, _) = clip_g(1), clip_g(2), clip_g(1)
    rest = {name: tensor for name, tensor in state("sdxl", 1).items() if not name.startswith(prefix)}
    a = put(tmp_path / "a.safetensors", rest | {prefix + name: tensor for name, tensor in mine.items()})
    b = put(tmp_path / "b.safetensors", its)
    found, lacking = average(a, b)
    check(found, {prefix + name: mean(tensor, as_mine[name]) for name, tensor in mine.items()})
    assert set(lacking) == set(rest)
    found, lacking = average(b, a)
    assert lacking == []
    check(found, {name: mean(tensor, as_its[name]) for name, tensor in its.items()})


def test_pickles_and_shards_are_models_as_any(tmp_path: Path):
    states = [state("sd15", seed) for seed in range(3)]
    expected = {name: mean(*(one[name] for one in states)) for name in states[0]}
    ckpt = tmp_path / "a.ckpt"
    torch.save({"state_dict": states[0], "epoch": 3}, ckpt)
    plain = put(tmp_path / "b.safetensors", states[1])
    names = [*states[2]]
    shards = [tmp_path / f"c-{number + 1:05d}-of-00002.safetensors" for number in range(2)]
    for number, path in enumerate(shards):
        put(path, {name: states[2][name] for name in names[number::2]})
    for order in ((ckpt, plain, shards[0]), (plain, shards[1], ckpt), (shards[0], ckpt, plain)):
        with opened(*order) as models:
            check_together([*models.values()])
        found, lacking = average(*order)
        assert lacking == []
        check(found, expected)


def test_what_stands_beside_components_has_no_place_in_one(tmp_path: Path):
    tensors = state("sd15", 1) | {
        "v_pred": torch.zeros(0), "betas": torch.ones(5), "global_step": torch.tensor(3),
        "model_ema.diffusion_modelout2weight": torch.ones(3), SD_VAE + "loss.logvar": torch.tensor(1.0),
    }  # fmt: skip
    bare = without(DENOISER, tensors) | {"v_pred": torch.zeros(0)}
    with opened(put(tmp_path / "a.safetensors", tensors), put(tmp_path / "b.safetensors", bare)) as models:
        model = models["A"]
        assert model.place("v_pred") == models["B"].place("v_pred") == ("", "v_pred")
        assert model.place("betas") == ("", "betas")
        assert model.place(SD_VAE + "loss.logvar")[0] == ""
        assert model.place("model_ema.diffusion_modelout2weight") == ("ema", "diffusion_modelout2weight")
        roles = {model.role(model.place(name)) for name in tensors}
        assert roles == {"denoiser", "vae", "text_encoder", "ema", ""}


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [("controlnet-sd15", ["control_model.", "module."]), ("upscaler-realesrgan-x4plus", ["params_ema.", "module."])],
)
def test_what_training_code_leaves_around_every_name_is_no_part_of_it(tmp_path: Path, name: str, prefixes: list[str]):
    mine, its = (
        {key.removeprefix("control_model."): tensor for key, tensor in state(name, seed).items()} for seed in (1, 2)
    )
    a = put(tmp_path / "a.safetensors", mine)
    for prefix in prefixes:
        b = put(tmp_path / "b.safetensors", {prefix + key: tensor for key, tensor in its.items()})
        with opened(a, b) as models:
            check_together([*models.values()])
        found, lacking = average(a, b)
        assert lacking == []
        check(found, {key: mean(tensor, its[key]) for key, tensor in mine.items()})


def test_models_that_differ_in_names_alone_are_not_looked_at_twice(tmp_path: Path):
    a, b = put(tmp_path / "a.safetensors", flux(1)), put(tmp_path / "b.safetensors", state("flux-dev", 2))
    with opened(a, b) as models:
        assert aligned(models, "A") == models
        assert aligned(models, "A")["B"].source is models["B"].parent.source


def lora() -> State:
    base = "lora_unet_down_blocks_0_attentions_0_proj_"
    return {f"{base}{end}.lora_{side}.weight": torch.ones(4, 4) for end in ("in", "out") for side in ("up", "down")}


def refiner() -> State:
    import tiny_pipelines as tiny

    return {DENOISER + name: tensor.clone() for name, tensor in tiny.refiner_unet().state_dict().items()}


REFUSED: dict[str, tuple[Callable[[], State], str, str]] = {
    "lora": (lora, r"B \(b\) is of kind lora", "lora bake"),
    "embedding": (lambda: {"emb_params": torch.ones(4, 768)}, "of kind embedding", "beside any model"),
    "refiner": (refiner, "is sd1 and B .* is sdxl-refiner", "arch:sd1"),
    "strange": (lambda: {"what.is.this": torch.ones(3, 3)}, "no known architecture", "identify"),
    "vae": (lambda: state("vae-flux", 1), "no component is in both", "the same text encoder or VAE"),
    "t5": (lambda: state("t5xxl", 1), "no component is in both", "the same text encoder or VAE"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_model_of_this_kind_is_refused_in_words(tmp_path: Path, what: str):
    make, message, hint = REFUSED[what]
    a, b = put(tmp_path / "a.safetensors", state("sd15", 1)), put(tmp_path / "b.safetensors", make())
    with opened(a, b) as models, pytest.raises((IncompatibleError, UnknownModelError), match=message) as caught:
        check_together([*models.values()])
    assert hint in caught.value.hint


def test_a_refiner_with_its_base(tmp_path: Path):
    a, b = put(tmp_path / "a.safetensors", state("sdxl", 1)), put(tmp_path / "b.safetensors", refiner())
    with opened(a, b) as models, pytest.raises(IncompatibleError, match="is sdxl and B .* is sdxl-refiner") as caught:
        check_together([*models.values()])
    assert "only be merged with refiners" in caught.value.hint


def test_variants_of_other_channels_go_together_and_of_other_blocks_do_not(tmp_path: Path):
    import tiny_pipelines as tiny

    full, inpaint, distilled = (
        {name: tensor.clone() for name, tensor in tiny.unet(**wish).state_dict().items()}
        for wish in ({}, {"in_channels": 9}, {"layers_per_block": 1})
    )
    paths = [
        put(tmp_path / f"{name}.safetensors", tensors)
        for name, tensors in (("full", full), ("inpaint", inpaint), ("distilled", distilled))
    ]
    with opened(*paths) as models:
        a, b, c = models.values()
        assert [model.identity.variant for model in (a, b, c)] == [None, "inpaint", "distilled"]
        check_together([a, b])
        check_together([b, a])
        for pair in ((a, c), (c, a)):
            with pytest.raises(IncompatibleError, match="distilled.*built in other ways"):
                check_together(pair)
