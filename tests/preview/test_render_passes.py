"""Second passes, pictures to start from, masks and refiners: against the same steps written down with diffusers' U-Net."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_pictures import (
    DEV,
    INPAINT,
    PIX2PIX,
    SD1,
    Letters,
    Memory,
    diffusers_unet,
    diffusers_vae,
    flux,
    flux_parts,
    one_thread,
)
from torch import Tensor

from modelhub.errors import IncompatibleError, NotFoundError, UsageError
from modelhub.preview.denoising.text import Conditioning
from modelhub.preview.models import residence
from modelhub.preview.models.memory import Memory as DeviceMemory
from modelhub.preview.models.residence import Residence
from modelhub.preview.pictures.infotext import parse_infotext
from modelhub.preview.pictures.picture import Pixels
from modelhub.preview.render import Refiner, Renderer
from modelhub.preview.render_hires import LATENT_UPSCALERS, target
from modelhub.preview.render_prompts import Reader, Wording
from modelhub.preview.render_start import begin_with, blurred, encoded, fitted, latent_mask, to_image, with_kept
from modelhub.preview.render_work import Work
from modelhub.preview.request import Hires, Request, Start, Variation

Tensors = dict[str, Tensor]
REQUEST = Request(
    "a red circle", "a ring", "Euler", "Uniform", steps=6, cfg=3.5, seed=2, width=64, height=72, rng="CPU"
)


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with one_thread(), torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """A small SD1 whose VAE encodes without chance."""
    found = SD1.tensors()
    found["first_stage_model.quant_conv.weight"][4:] = 0
    found["first_stage_model.quant_conv.bias"][4:] = -40
    return found


@pytest.fixture(scope="module")
def renderer(tensors: Tensors) -> Renderer:
    return Renderer(Memory(tensors), name="small", device="cpu")


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """A soft picture of 64 x 72 pixels."""
    small = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    large = F.interpolate(small, (72, 64), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    return (large.numpy() * 255).astype(np.uint8)


def noise(height: int = 9, width: int = 8, seed: int = 2) -> Tensor:
    return torch.randn((4, height, width), generator=torch.Generator().manual_seed(seed))[None]


def denoiser(renderer: Renderer, tensors: Tensors, cfg: float = 3.5) -> Callable[[Tensor, float], Tensor]:
    """Clean latents, by diffusers' U-Net."""
    unet = diffusers_unet(SD1.unet, tensors)
    told = renderer._stage.main.reader.prompter(REQUEST.prompt, REQUEST.negative, steps=6)
    tokens = torch.stack([told.prompt[0].script.at(1).tokens, told.negative.at(1).tokens])

    def denoise(x: Tensor, sigma: float) -> Tensor:
        time = torch.tensor(renderer.model.levels.timestep(sigma))
        shown = torch.cat([x, x]) / (sigma**2 + 1) ** 0.5
        cond, uncond = unet(shown, time, tokens).sample.chunk(2)
        return x - sigma * (uncond + cfg * (cond - uncond))

    return denoise


def uniform(renderer: Renderer, steps: int) -> list[float]:
    return [*renderer.model.levels.at(np.linspace(999, 0, steps)), 0.0]


def euler(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: list[float]) -> Tensor:
    for sigma, following in pairwise(sigmas):
        x = x + (following - sigma) / sigma * (x - denoise(x, sigma))
    return x


def developed(tensors: Tensors, latents: Tensor) -> Any:
    image = diffusers_vae(tensors).decode(latents / 0.18215).sample[0]
    return ((image / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0).numpy().astype(np.uint8)


def latents_of(tensors: Tensors, pixels: Pixels) -> Tensor:
    image = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    return diffusers_vae(tensors).encode(image).latent_dist.mean * 0.18215


def assert_same(renderer: Renderer, request: Request, expected: Pixels) -> None:
    (found,) = renderer.render(request).pictures
    assert found.pixels.shape == expected.shape
    assert np.abs(found.pixels.astype(int) - expected.astype(int)).max() <= 1
    assert expected.std() > 20


@pytest.mark.parametrize("mode", ["Latent", "Latent (bicubic antialiased)", "Latent (nearest-exact)"])
def test_hires_fix_goes_on_from_enlarged_latents(renderer: Renderer, tensors: Tensors, mode: str) -> None:
    """A1111: int(4 / 0.6) = 6 steps planned, of which 4 remain, with fresh noise of the same seed at the new size."""
    denoise = denoiser(renderer, tensors)
    first = euler(denoise, noise() * uniform(renderer, 6)[0], uniform(renderer, 6))
    how = LATENT_UPSCALERS[mode]
    large = F.interpolate(first, (13, 12), mode=how.mode, antialias=how.antialias)
    rest = uniform(renderer, 6)[2:]
    second = euler(denoise, large + noise(13, 12) * rest[0], rest)
    hires = Hires(1.5, upscaler=mode, steps=4, denoise=0.6)
    request = replace(REQUEST, hires=hires)
    assert_same(renderer, request, developed(tensors, second))
    settings = parse_infotext(renderer.infotext(request)).settings
    assert {"Hires upscale": "1.5", "Hires upscaler": mode, "Hires steps": "4"}.items() <= settings.items()
    assert settings["Size"] == "64x72"


def test_hires_fix_through_pixels(renderer: Renderer, tensors: Tensors) -> None:
    from PIL import Image

    denoise = denoiser(renderer, tensors, 2.0)
    first = euler(denoiser(renderer, tensors), noise() * uniform(renderer, 6)[0], uniform(renderer, 6))
    small = Image.fromarray(developed(tensors, first))
    large = np.array(small.resize((128, 144), Image.Resampling.LANCZOS))
    rest = uniform(renderer, 12)[6:]
    second = euler(denoise, latents_of(tensors, large) + noise(18, 16) * rest[0], rest)
    hires = Hires(2.0, upscaler="None", denoise=0.5, cfg=2.0)
    assert_same(renderer, replace(REQUEST, hires=hires), developed(tensors, second))


def test_nothing_is_sampled_again_at_a_strength_of_0(renderer: Renderer) -> None:
    (found,) = renderer.render(replace(REQUEST, hires=Hires(2.0, upscaler="Latent", denoise=0.0))).pictures
    assert found.pixels.shape == (144, 128, 3)


@pytest.mark.parametrize(
    ("hires", "expected"),
    [
        (Hires(1.5), (768, 1152, 768, 1152)),
        (Hires(1.33), (680, 1021, 680, 1021)),
        (Hires(width=1024, height=1024), (1024, 1536, 1024, 1024)),
        (Hires(width=512, height=2048), (1365, 2048, 512, 2048)),
    ],
)
def test_how_large_the_second_pass_is(hires: Hires, expected: tuple[int, ...]) -> None:
    assert target(hires, 512, 768) == expected


def test_what_does_not_fit_is_cut_off(renderer: Renderer) -> None:
    hires = Hires(width=128, height=96, upscaler="Latent", steps=2)
    (found,) = renderer.render(replace(REQUEST, hires=hires)).pictures
    assert found.pixels.shape == (96, 128, 3)


def test_the_second_pass_is_told_of_the_size_before_the_cut(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1111 tells SDXL hr_upscale_to: pixels that no latent stands for and those to be cut off count, too."""
    told, read = [], Reader.__call__

    def spy(self: Reader, wording: Wording, *, guided: bool) -> Conditioning:
        told.append((wording.width, wording.height))
        return read(self, wording, guided=guided)

    monkeypatch.setattr(Reader, "__call__", spy)
    request = replace(REQUEST, steps=1)
    renderer.render(replace(request, hires=Hires(1.3, steps=2)))
    renderer.render(replace(request, hires=Hires(width=128, height=96, steps=2)))
    assert told == [(64, 72), (83, 93), (64, 72), (128, 144)]


@pytest.mark.parametrize("strength", [0.5, 0.99])
def test_a_picture_to_start_from(renderer: Renderer, tensors: Tensors, picture: Pixels, strength: float) -> None:
    """A1111: int(strength * 6) + 1 of 6 steps."""
    rest = uniform(renderer, 6)[6 - int(strength * 6) - 1 :]
    x = latents_of(tensors, picture) + noise() * rest[0]
    expected = developed(tensors, euler(denoiser(renderer, tensors), x, rest))
    request = replace(REQUEST, width=None, height=None, start=Start(picture, strength))
    assert_same(renderer, request, expected)
    assert parse_infotext(renderer.infotext(request)).settings["Denoising strength"] == str(strength)


def test_an_ordinary_model_inpaints(renderer: Renderer, tensors: Tensors, picture: Pixels) -> None:
    """What is masked out stays in every answer of the model, and the pixels there are those of the picture."""
    mask = np.zeros((72, 64), np.uint8)
    mask[:40] = 255
    latents, inner = latents_of(tensors, picture), denoiser(renderer, tensors)
    new = torch.zeros(1, 1, 9, 8)
    new[..., :5, :] = 1
    rest = uniform(renderer, 6)[1:]
    x = euler(lambda x, s: inner(x, s) * new + latents * (1 - new), latents + noise() * rest[0], rest)
    expected = developed(tensors, x * new + latents * (1 - new))
    expected[40:] = picture[40:]
    start = Start(picture, 0.75, mask, mask_blur=0)
    assert_same(renderer, replace(REQUEST, start=start), expected)


@pytest.mark.parametrize("sampler", ["DDIM", "DPM adaptive", "DPM++ 2M SDE", "UniPC"])
def test_other_samplers_start_from_pictures_and_keep_what_is_masked(
    renderer: Renderer, picture: Pixels, sampler: str
) -> None:
    mask = np.zeros((72, 64), np.uint8)
    mask[:40] = 255
    request = replace(REQUEST, sampler=sampler, schedule="Automatic", start=Start(picture, 0.8, mask, mask_blur=0))
    (found,) = renderer.render(request).pictures
    assert np.array_equal(found.pixels[40:], picture[40:])
    assert np.abs(found.pixels[:40].astype(int) - picture[:40]).mean() > 5
    assert not any("not numbers" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "change",
    [
        {"sampler": "DPM adaptive"},
        {"sampler": "DPM++ SDE", "steps": 3},
        {"variation": Variation(9, 0.4)},
        {"hires": Hires(1.5, steps=2, upscaler="Lanczos")},
        {"start": Start(np.full((72, 64, 3), 128, np.uint8), 0.6)},
        {"resize_from": (64, 64), "rng": "NV", "ensd": 31337, "sampler": "Euler a"},
    ],
    ids=["made one by one", "Brownian", "variation", "hires", "start", "resized noise"],
)
def test_a_picture_does_not_depend_on_its_batch(renderer: Renderer, change: dict[str, Any]) -> None:
    request = replace(REQUEST, batch=2, **change)
    batch = renderer.render(request).pictures
    (alone,) = renderer.render(request.one(1)).pictures
    assert np.abs(batch[1].pixels.astype(int) - alone.pixels.astype(int)).max() <= 2
    assert (batch[1].seed, batch[1].infotext) == (alone.seed, alone.infotext)
    assert np.abs(batch[0].pixels.astype(int) - batch[1].pixels.astype(int)).max() > 5


def test_a_refiner_goes_on_with_prompts_of_its_own(renderer: Renderer, tensors: Tensors) -> None:
    """From the first sigma on at which 60 % of the timesteps are done."""
    other = SD1.tensors(seed=7)
    both = Renderer(Memory(tensors), name="small", device="cpu", refiner=Refiner(Memory(other), "fine", "ab" * 32))
    one, two = denoiser(renderer, tensors), denoiser(Renderer(Memory(other), name="fine", device="cpu"), other)
    sigmas = uniform(renderer, 6)
    times = np.linspace(999, 0, 6)

    def switched(x: Tensor, sigma: float) -> Tensor:
        return (two if (999 - round(times[sigmas.index(sigma)])) / 1000 >= 0.6 else one)(x, sigma)

    expected = developed(tensors, euler(switched, noise() * sigmas[0], sigmas))
    request = replace(REQUEST, switch_at=0.6)
    assert_same(both, request, expected)
    settings = parse_infotext(both.infotext(request)).settings
    assert (settings["Refiner"], settings["Refiner switch at"]) == ("fine [ababababab]", "0.6")


def test_with_a_second_pass_the_refiner_is_for_that(tensors: Tensors) -> None:
    plain = Renderer(Memory(tensors), name="small", device="cpu")
    same = Renderer(Memory(tensors), name="small", device="cpu", refiner=Refiner(Memory(tensors), "same"))
    other = Renderer(Memory(tensors), name="small", device="cpu", refiner=Refiner(Memory(SD1.tensors(7)), "other"))
    request = replace(REQUEST, hires=Hires(1.5, steps=2), switch_at=0.0, steps=2)
    found = [one.render(request).pictures[0].pixels.astype(int) for one in (plain, same, other)]
    assert np.abs(found[0] - found[1]).max() <= 1
    assert np.abs(found[0] - found[2]).max() > 5
    without = [one.render(replace(request, hires=None)).pictures[0].pixels.astype(int) for one in (plain, other)]
    assert np.abs(without[0] - without[1]).max() > 5


def test_networks_are_on_the_device_while_they_compute_and_no_longer(
    tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device with a memory of its own, of which nothing but the bookkeeping is another: pictures are the same."""
    request = replace(REQUEST, switch_at=0.6, steps=3)
    refiner = Refiner(Memory(SD1.tensors(7)), "other")
    plain = Renderer(Memory(tensors), name="small", device="cpu", refiner=refiner).render(request).pictures[0]
    monkeypatch.setattr(residence, "memory_of", lambda device: DeviceMemory(device, lambda: 1 << 40))
    apart = Renderer(Memory(tensors), name="small", device="cpu", refiner=refiner)
    here = apart.model.residence
    assert here.is_apart and apart._stage.refiner is not None
    main, second = apart.model, apart._stage.refiner.model
    assert second.residence is here
    used: list[object] = []
    usual = Residence.use
    monkeypatch.setattr(
        Residence, "use", lambda self, network, size=0: used.append(network) or usual(self, network, size)
    )
    found = apart.render(request).pictures[0]
    assert np.array_equal(found.pixels, plain.pixels)
    order = [one for one in dict.fromkeys(used) if one in (main.network, second.network, main.vae)]
    assert order == [main.network, second.network, main.vae]
    assert not {*main.encoders.values(), *second.encoders.values()} & set(here._guests)
    assert {main.encoders["clip-l"], second.encoders["clip-l"]} <= set(used)
    assert all(guest.uses == 0 for guest in here._guests.values())


def test_an_inpainting_model_sees_mask_and_rest(picture: Pixels) -> None:
    """As diffusers prepares them: the mask by the nearest pixel, the picture grey where the mask is."""
    from diffusers import StableDiffusionInpaintPipeline

    found = INPAINT.tensors()
    found["first_stage_model.quant_conv.weight"][4:] = 0
    found["first_stage_model.quant_conv.bias"][4:] = -40
    model = Renderer(Memory(found), name="small", device="cpu").model
    mask = np.zeros((72, 64), np.uint8)
    mask[10:41, 9:33] = 255
    begin = begin_with(model, Start(picture, 1.0, mask, mask_blur=0), 64, 72, [1, 2])
    assert begin.beside is not None and begin.beside.shape == (2, 5, 9, 8)
    pipeline = StableDiffusionInpaintPipeline(
        diffusers_vae(found), None, None, diffusers_unet(INPAINT.unet, found), None, None, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    hole = torch.from_numpy(mask / 255.0).float()[None, None]
    seen = to_image(picture)[None] * (hole < 0.5)
    expected = pipeline.prepare_mask_latents(hole, seen, 1, 72, 64, torch.float32, "cpu", torch.Generator(), False)
    torch.testing.assert_close(begin.beside[:1], torch.cat(expected, dim=1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(begin.beside[0], begin.beside[1], atol=1e-5, rtol=1e-5)


def test_flux_fill_sees_a_mask_in_cells(picture: Pixels) -> None:
    """As diffusers packs them: latents of the masked picture, then 8 x 8 pixels of mask as 64 channels."""
    from diffusers import FluxFillPipeline

    from modelhub.preview.networks.flux import pack

    parts = flux_parts()
    vae = {name: parts["vae"].tensor(name) for name in parts["vae"].header.tensors}
    vae["encoder.conv_out.weight"][16:], vae["encoder.conv_out.bias"][16:] = 0, -40
    config = replace(DEV, inputs=96)
    model = Renderer(
        Memory(flux(config)), name="fill", device="cpu", parts={**parts, "vae": Memory(vae)}, t5_tokenizer=Letters()
    ).model
    assert model.beside == "fill"
    size = (80, 64)
    start = Start(fitted(picture, *size), 1.0, np.zeros(size[::-1], np.uint8), mask_blur=0)
    assert start.mask is not None
    start.mask[10:41, 9:33] = 255
    begin = begin_with(model, start, *size, [1])
    assert begin.beside is not None
    reference = diffusers_vae(
        vae, "", latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611,
        shift_factor=0.1159,
    )  # fmt: skip
    pipeline = FluxFillPipeline(None, reference, None, None, None, None, None)
    hole = torch.from_numpy(start.mask / 255.0).float()[None, None]
    seen = to_image(start.pixels)[None] * (1 - hole)
    mask, latents = pipeline.prepare_mask_latents(
        hole, seen, 1, 16, 1, 64, 80, torch.float32, torch.device("cpu"), torch.Generator()
    )
    torch.testing.assert_close(pack(begin.beside), torch.cat([latents, mask], dim=-1), atol=1e-5, rtol=1e-5)


def test_pix2pix_sees_the_mean_unscaled_and_nothing_without_a_picture(picture: Pixels) -> None:
    found = PIX2PIX.tensors()
    model = Renderer(Memory(found), name="small", device="cpu").model
    begin = begin_with(model, Start(picture, image_cfg=1.2), 64, 72, [1])
    assert begin.beside is not None and begin.image_cfg == 1.2
    torch.testing.assert_close(begin.beside, latents_of(found, picture) / 0.18215, atol=1e-5, rtol=1e-5)
    empty = begin_with(model, None, 64, 72, [1])
    assert empty.beside is not None and not empty.beside.any() and empty.image_cfg is None


def test_encoding_depends_on_the_seed_alone(picture: Pixels) -> None:
    model = Renderer(SD1.source(), name="small", device="cpu").model
    three = encoded(model, [to_image(picture)], [4, 5, 4])
    assert torch.equal(three[0], three[2]) and not torch.equal(three[0], three[1])
    assert torch.equal(three[1:2], encoded(model, [to_image(picture)], [5]))


def test_masks_are_blurred_and_made_small() -> None:
    """A Gaussian of sigma 2, 11 pixels wide, as scipy has it with mirrored edges."""
    from scipy.ndimage import gaussian_filter

    mask = np.zeros((40, 32), np.uint8)
    mask[:20, 7:] = 255
    expected = gaussian_filter(mask.astype(float), 2, mode="mirror", radius=5)
    assert np.abs(blurred(mask, 2).astype(float) - expected).max() <= 1
    assert np.array_equal(blurred(mask, 0), mask)
    small = latent_mask(mask, 4, 5)
    assert small.shape == (1, 1, 5, 4)
    assert small[0, 0, :, 3].tolist() == [1, 1, 0, 0, 0] or small[0, 0, :, 3].tolist() == [1, 1, 1, 0, 0]


def test_a_blurred_mask_leaves_what_is_far_away(picture: Pixels) -> None:
    mask = np.zeros((72, 64), np.uint8)
    mask[:36] = 255
    found = with_kept(np.zeros_like(picture), Start(picture, mask=mask, mask_blur=4))
    assert np.array_equal(found[60:], picture[60:]) and not found[:30].any()


def test_a_start_is_fitted_to_the_size(renderer: Renderer, picture: Pixels) -> None:
    odd = np.pad(picture, ((0, 5), (0, 3), (0, 0)), mode="edge")
    assert renderer.size(replace(REQUEST, width=None, height=None, start=Start(odd))) == (64, 72)
    assert fitted(odd, 64, 72).shape == (72, 64, 3)
    (found,) = renderer.render(replace(REQUEST, start=Start(odd), width=72, height=64, steps=2)).pictures
    assert found.pixels.shape == (64, 72, 3)


def test_an_upscaler_that_is_no_file_must_be_known_before_anything_is_rendered(
    renderer: Renderer, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Work, "latents", lambda self: pytest.fail("it renders"))
    request = replace(REQUEST, hires=Hires(2.0, upscaler="4x-Nothing"))
    with pytest.raises(NotFoundError, match="no upscaler '4x-Nothing'") as caught:
        renderer.render(request)
    assert "Lanczos" in caught.value.hint
    wrong = Renderer(Memory(tensors), name="small", device="cpu", upscaler=Memory(tensors))
    with pytest.raises(IncompatibleError, match="not an upscaler"):
        wrong.render(request)


def test_names_of_the_second_pass_are_known_in_any_case(renderer: Renderer) -> None:
    named = Hires(1.5, upscaler="Latent (nearest)", steps=1, sampler="Euler a", schedule="Karras")
    other = Hires(1.5, upscaler="latent (NEAREST)", steps=1, sampler="EULER A", schedule="karras")
    one, two = (renderer.render(replace(REQUEST, steps=1, hires=hires)).pictures[0] for hires in (named, other))
    assert np.array_equal(one.pixels, two.pixels) and one.infotext == two.infotext
    settings = parse_infotext(two.infotext).settings
    said = {"Hires upscaler": "Latent (nearest)", "Hires sampler": "Euler a", "Hires schedule type": "Karras"}
    assert said.items() <= settings.items()


@pytest.mark.parametrize(
    "change",
    [
        {"emphasis": "loud"}, {"rng": "dice"}, {"guidance": -1.0}, {"guidance": float("inf")}, {"switch_at": 1.5},
        {"variation": Variation(-1, 0.5)}, {"variation": Variation(1, 1.5)}, {"resize_from": (63, 64)},
        {"ensd": 2**70}, {"hires": Hires(), "start": Start(np.zeros((64, 64, 3), np.uint8))},
    ],
)  # fmt: skip
def test_impossible_requests_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        replace(REQUEST, **change)
    assert caught.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hires(scale=0.5), lambda: Hires(scale=float("nan")), lambda: Hires(steps=-1), lambda: Hires(denoise=2),
        lambda: Hires(width=512), lambda: Hires(width=10, height=512), lambda: Hires(cfg=-1.0),
        lambda: Hires(prompt="x" * 30_000), lambda: Start(np.zeros((8, 8, 3), np.uint8), denoise=-0.1),
        lambda: Start(np.zeros((8, 8, 3), np.uint8), image_cfg=float("nan")),
        lambda: Start(np.zeros((8, 8, 3), np.uint8), mask_blur=-1),
    ],
)  # fmt: skip
def test_impossible_passes_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.hint
