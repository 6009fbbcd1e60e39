"""Whole pictures of small random models of every family, against pipelines and networks of diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from small_pictures import (
    DEV,
    FLUX_PARTS,
    INPAINT,
    PIX2PIX,
    REFINER,
    SD1,
    SD2,
    SDXL,
    UNET,
    Letters,
    Memory,
    Small,
    diffusers_unet,
    diffusers_vae,
    flux,
    flux_parts,
    one_thread,
)
from torch import Tensor

from modelhub.preview import render_work
from modelhub.preview.denoising.text import Conditioning
from modelhub.preview.networks.flux import Flux
from modelhub.preview.pictures.picture import Pixels
from modelhub.preview.render import Renderer
from modelhub.preview.render_pass import Begin
from modelhub.preview.render_prompts import Wording
from modelhub.preview.request import Request, Start

WIDTH, HEIGHT = 64, 72
REQUEST = Request(
    "a red (circle:1.2)", "a ring", "Euler", "Uniform", steps=3, cfg=3.5, seed=2, width=WIDTH, height=HEIGHT, rng="CPU"
)


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with one_thread(), torch.inference_mode():
        yield


def told(renderer: Renderer) -> Conditioning:
    """What the networks are told, without sizes."""
    wording = Wording(REQUEST.prompt, REQUEST.negative, 3, 1, 1, "Original", WIDTH, HEIGHT)
    return renderer._stage.main.reader.prompter(wording.prompt, wording.negative, steps=3)


def noise(channels: int = 4) -> Tensor:
    shape = (channels, HEIGHT // 8, WIDTH // 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(REQUEST.seed))[None]


def vectors(renderer: Renderer) -> dict[str, Tensor]:
    """The prompts as diffusers wants them."""
    found = told(renderer)
    pair = [found.prompt[0].script.at(1), found.negative.at(1)]
    names = {"tokens": ("prompt_embeds", "negative_prompt_embeds")}
    if pair[0].pooled is not None:
        names["pooled"] = ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    return {
        name: getattr(text, field)[None] for field, both in names.items() for name, text in zip(both, pair, strict=True)
    }


def sigmas(renderer: Renderer) -> list[float]:
    levels = renderer.model.levels
    return [*levels.at(np.linspace(999, 0, 3)), 0.0]


def scheduler(prediction: str = "epsilon") -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, steps_offset=1
    )


def pixels(renderer: Renderer, request: Request = REQUEST) -> Pixels:
    (picture,) = renderer.render(request).pictures
    assert picture.pixels.std() > 20
    return picture.pixels


def assert_same(ours: Pixels, theirs: Any) -> None:
    """`theirs` [H, W, 3] of 0..1; cut to bytes as ours are."""
    expected = (np.asarray(theirs) * 255).astype(np.uint8).astype(int)
    assert np.abs(ours.astype(int) - expected).max() <= 1


def renderer_of(family: Small) -> Renderer:
    return Renderer(family.source(), name="small", device="cpu")


@pytest.mark.parametrize(("family", "prediction"), [(SD1, "epsilon"), (SD2, "v_prediction")], ids=["sd1", "sd2"])
def test_sd1_and_sd2_equal_the_pipeline(family: Small, prediction: str) -> None:
    from diffusers import StableDiffusionPipeline

    renderer, tensors = renderer_of(family), family.tensors()
    pipeline = StableDiffusionPipeline(
        diffusers_vae(tensors), None, None, diffusers_unet(family.unet, tensors), scheduler(prediction), None, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        **vectors(renderer), width=WIDTH, height=HEIGHT, sigmas=sigmas(renderer), guidance_scale=3.5, latents=noise(),
        output_type="np",
    ).images[0]  # fmt: skip
    assert_same(pixels(renderer), expected)


def test_sdxl_equals_the_pipeline() -> None:
    from diffusers import StableDiffusionXLPipeline

    renderer, tensors = renderer_of(SDXL), SDXL.tensors()
    vae = diffusers_vae(tensors, scaling_factor=0.13025)
    pipeline = StableDiffusionXLPipeline(
        vae, None, None, None, None, diffusers_unet(SDXL.unet, tensors), scheduler(), add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        **vectors(renderer), width=WIDTH, height=HEIGHT, sigmas=sigmas(renderer), guidance_scale=3.5, latents=noise(),
        output_type="np",
    ).images[0]  # fmt: skip
    assert_same(pixels(renderer), expected)


def test_the_refiner_is_told_sizes_and_beauty() -> None:
    """Podell et al. 2023: height, width, crop, and an aesthetic score, 6.0 for the prompt and 2.5 for the other."""
    renderer, tensors = renderer_of(REFINER), REFINER.tensors()
    unet, given = diffusers_unet(REFINER.unet, tensors), vectors(renderer)
    euler = scheduler()
    euler.set_timesteps(sigmas=sigmas(renderer))
    x = noise() * euler.init_noise_sigma
    told = torch.tensor([[HEIGHT, WIDTH, 0, 0, 6.0], [HEIGHT, WIDTH, 0, 0, 2.5]])
    more = {
        "text_embeds": torch.cat([given["pooled_prompt_embeds"], given["negative_pooled_prompt_embeds"]]),
        "time_ids": told,
    }
    tokens = torch.cat([given["prompt_embeds"], given["negative_prompt_embeds"]])
    for time in euler.timesteps:
        shown = euler.scale_model_input(torch.cat([x, x]), time)
        cond, uncond = unet(shown, time, tokens, added_cond_kwargs=more).sample.chunk(2)
        x = euler.step(uncond + 3.5 * (cond - uncond), time, x).prev_sample
    assert_same(pixels(renderer), _decoded(tensors, x / 0.13025))


def _decoded(tensors: dict[str, Tensor], z: Tensor, **options: Any) -> Any:
    image = diffusers_vae(tensors, **options).decode(z).sample[0]
    return (image / 2 + 0.5).clamp(0, 1).permute(1, 2, 0)


def _certain(family: Small) -> dict[str, Tensor]:
    """The tensors of a model whose VAE encodes without chance: its log variance is as low as can be."""
    tensors = family.tensors()
    weight, bias = (tensors[f"first_stage_model.quant_conv.{leaf}"] for leaf in ("weight", "bias"))
    weight[4:], bias[4:] = 0, -40
    return tensors


def test_an_inpainting_model_without_a_picture_makes_all_of_it() -> None:
    from diffusers import StableDiffusionInpaintPipeline

    tensors = _certain(INPAINT)
    renderer = Renderer(Memory(tensors), name="small", device="cpu")
    assert renderer.model.identity.variant == "inpaint"
    pipeline = StableDiffusionInpaintPipeline(
        diffusers_vae(tensors), None, None, diffusers_unet(INPAINT.unet, tensors), scheduler(), None, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    everything = torch.ones(1, 1, HEIGHT, WIDTH)
    expected = pipeline(
        **vectors(renderer), image=torch.zeros(1, 3, HEIGHT, WIDTH), mask_image=everything, width=WIDTH, height=HEIGHT,
        sigmas=sigmas(renderer), guidance_scale=3.5, latents=noise(), strength=1.0, output_type="np",
    ).images[0]  # fmt: skip
    assert_same(pixels(renderer), expected)


def test_pix2pix_is_guided_by_text_and_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import StableDiffusionInstructPix2PixPipeline

    tensors = PIX2PIX.tensors()
    renderer = Renderer(Memory(tensors), name="small", device="cpu")
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))
    mean, _ = renderer.model.encode(image[0] * 2 - 1)
    begin = Begin(beside=mean[None], image_cfg=1.8)
    monkeypatch.setattr(render_work, "begin_with", lambda *given: begin)
    pipeline = StableDiffusionInstructPix2PixPipeline(
        diffusers_vae(tensors), None, None, diffusers_unet(PIX2PIX.unet, tensors), scheduler(), None, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler.set_timesteps = _fixed(pipeline.scheduler, sigmas(renderer))
    expected = pipeline(
        **vectors(renderer), image=image, num_inference_steps=3, guidance_scale=3.5, image_guidance_scale=1.8,
        latents=noise(), output_type="np",
    ).images[0]  # fmt: skip
    assert_same(pixels(renderer), expected)


def test_pix2pix_heeds_the_negative_prompt_at_any_cfg_scale() -> None:
    renderer = Renderer(PIX2PIX.source(), name="small", device="cpu")
    start = Start(np.zeros((64, 64, 3), np.uint8), 1.0)
    request = replace(REQUEST, start=start, cfg=1, width=64, height=64)
    one, other = (pixels(renderer, replace(request, negative=words)) for words in ("", "blurry"))
    assert (one != other).any()
    assert not any("negative" in note for note in renderer.render(replace(request, negative="blurry")).notes)


def _fixed(euler: Any, levels: list[float]) -> Any:
    """`set_timesteps` for a pipeline that takes no sigmas."""
    usual = euler.set_timesteps
    return lambda *given, **named: usual(sigmas=levels)


@pytest.mark.parametrize("guided", [True, False], ids=["dev", "schnell"])
def test_flux_follows_its_flow(guided: bool) -> None:
    """Euler down the sigmas: x' = x + (sigma' - sigma) v, decoded by diffusers' VAE with Flux's scale and shift."""
    config = DEV if guided else DEV.__class__(context=DEV.context, vector=DEV.vector, guided=False)
    tensors, parts = flux(config), flux_parts()
    renderer = Renderer(Memory(tensors), name="small", device="cpu", parts=parts, t5_tokenizer=Letters())
    assert renderer.model.levels.flow
    network = Flux(config.shapes())
    network.load_state_dict({name.removeprefix(UNET): value for name, value in tensors.items()}, assign=True)
    mu = 1.15 if guided else 1.0
    text = told(renderer).prompt[0].script.at(1)
    assert text.pooled is not None
    times = torch.arange(10_000, 0, -1) / 10_000
    table = np.exp(mu) / (np.exp(mu) + 1 / times - 1)
    levels = [float(table[int(step * 10_000 / 3)]) for step in range(3)] + [0.0]
    x = noise(16)
    for sigma, following in pairwise(levels):
        given = torch.tensor([sigma])
        guidance = torch.tensor([3.5]) if guided else None
        x = x + (following - sigma) * network(x, given, text.tokens[None], text.pooled[None], guidance)
    vae = {name: parts["vae"].tensor(name) for name in parts["vae"].header.tensors}
    expected = diffusers_vae(vae, "", latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)
    image = expected.decode(x / 0.3611 + 0.1159).sample[0]
    request = Request(
        REQUEST.prompt, sampler="Euler", schedule="Simple", steps=3, cfg=1.0, seed=2, width=WIDTH, height=HEIGHT, rng="CPU"
    )  # fmt: skip
    assert_same(pixels(renderer, request), (image / 2 + 0.5).clamp(0, 1).permute(1, 2, 0))


def test_flux_names_all_it_lacks() -> None:
    from modelhub.errors import IncompatibleError

    with pytest.raises(
        IncompatibleError, match="lacks the CLIP-L text encoder and the T5-XXL text encoder and the VAE"
    ) as caught:
        Renderer(Memory(flux()), name="bare", device="cpu")
    assert "modelhub get comfyanonymous/flux_text_encoders:clip_l.safetensors" in caught.value.hint
    assert "--t5" in caught.value.hint
    assert set(flux_parts()) == set(FLUX_PARTS)
