"""Render: a source and a request to pictures, the same bytes every time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from modelhub.errors import UsageError
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Advance, Job
from modelhub.preview.denoiser import Denoiser
from modelhub.preview.infotext import write_infotext
from modelhub.preview.model import Model
from modelhub.preview.noise import Noise
from modelhub.preview.origin import Origin
from modelhub.preview.picture import Picture, develop
from modelhub.preview.prompts import Conditioning
from modelhub.preview.request import Request
from modelhub.preview.samplers import find_sampler
from modelhub.preview.schedules import resolve, sigmas
from modelhub.preview.tags import Used, plain, read_tags
from modelhub.text import brief

__all__ = ["Options", "Renderer", "Rendering", "Request", "check_names", "render"]


@dataclass(frozen=True, slots=True)
class Rendering:
    """Pictures in the order of their seeds, and the seconds that each phase took; "loading" is there the first time."""

    pictures: tuple[Picture, ...]
    seconds: Mapping[str, float]


class Renderer:
    """A loaded model that renders one request after another.

    `name` and the hashes go into infotexts: `sha256` is None for a merge that was never written, its text is `recipe`.
    `vae` replaces the model's own. `loras` are in the source already, and named by tags in prompts. Raises what
    `Model.load` raises.
    """

    def __init__(
        self,
        source: TensorSource,
        *,
        name: str,
        sha256: str | None = None,
        recipe: str | None = None,
        vae: TensorSource | None = None,
        vae_name: str | None = None,
        vae_sha256: str | None = None,
        loras: Sequence[Used] = (),
        device: str = "auto",
        job: Job = QUIET,
    ) -> None:
        self.name = name
        self._origin = Origin(name, sha256, recipe, vae_name, vae_sha256, tuple(loras))
        self._pending: dict[str, float] = {}
        with _timed(self._pending, "loading"):
            self.model = Model.load(source, device=device, vae=vae, name=name, job=job)

    @torch.inference_mode()
    def render(self, request: Request, job: Job = QUIET) -> Rendering:
        """Render all pictures of a request. A picture does not depend on the rest of its batch, but for rounding.

        Raises NotFoundError for an unknown sampler or schedule, UsageError for a clip skip beyond the text encoder, and
        for a LoRA in the prompt that is not in the source.
        """
        check_names(request)
        self._check_used(request)
        seconds, self._pending = self._pending, {}
        with _timed(seconds, "encoding"), job.phase("encoding", 1, "prompts") as advance:
            conditioning = self.model.conditioner(plain(request.prompt), request.negative, request.clip_skip)
            advance()
        with _timed(seconds, "sampling"), job.phase("sampling", request.steps, "steps") as advance:
            latents = self._sample(request, conditioning, advance, job)
        with _timed(seconds, "decoding"), job.phase("decoding", request.batch, "pictures") as advance:
            pictures = tuple(self._develop(request, latents, advance))
        return Rendering(pictures, seconds)

    def size(self, request: Request) -> tuple[int, int]:
        """Width and height in pixels that a request gets."""
        width, height = self.model.size
        return request.width or width, request.height or height

    def _check_used(self, request: Request) -> None:
        tags, own = read_tags(request.prompt), [one.tag for one in self._origin.loras]
        if tags != own:
            named, made = (", ".join(brief(tag.name) for tag in each) or "no LoRA" for each in (tags, own))
            raise UsageError(
                f"The prompt names {named}, and the picture would be made with {made}.",
                "Leave LoRAs out of the prompt, or load the model with them.",
            )

    def _sample(self, request: Request, conditioning: Conditioning, advance: Advance, job: Job) -> Tensor:
        """Latents [N, C, h, w]."""
        model, sampler = self.model, find_sampler(request.sampler)
        levels = sigmas(request.schedule, sampler, request.steps, model.levels)
        denoise = Denoiser(model.network, model.levels, model.prediction, conditioning, request.cfg, job)
        width, height = self.size(request)
        shape = (model.latent.channels, height // model.vae.factor, width // model.vae.factor)
        noise = Noise(request.seeds, shape, model.device)
        glance = None if job is QUIET else model.approximation()

        def step(index: int, clean: Tensor) -> None:
            advance(item=f"step {index + 1}", picture=glance(clean[0]) if glance else None)

        start = noise.initial() * levels[0].to(model.device)
        return sampler.sample(denoise, start, levels, noise=noise.next, step=step)

    def _develop(self, request: Request, latents: Tensor, advance: Advance) -> Iterator[Picture]:
        """One at a time: decoding takes the most memory of all, and so no picture depends on its neighbours."""
        for seed, latent in zip(request.seeds, latents, strict=True):
            yield develop(self.model.decode(latent), latent, seed, self.infotext(request, seed))
            advance()

    def infotext(self, request: Request, seed: int) -> str:
        """The infotext of the picture with this seed."""
        sampler = find_sampler(request.sampler)
        width, height = self.size(request)
        settings: dict[str, object] = {
            "Steps": request.steps,
            "Sampler": sampler.name,
            "Schedule type": resolve(request.schedule, sampler),
            "CFG scale": str(request.cfg).removesuffix(".0"),
            "Seed": seed,
            "Size": f"{width}x{height}",
        }
        settings |= self._origin.settings(request.clip_skip)
        return write_infotext(request.prompt, request.negative, settings)


def check_names(request: Request) -> None:
    """Raise NotFoundError for an unknown sampler or schedule; worth a call before a model is loaded for nothing."""
    resolve(request.schedule, find_sampler(request.sampler))


class Options(TypedDict, total=False):
    """The optional arguments of `Renderer`, for `render`."""

    sha256: str | None
    recipe: str | None
    vae: TensorSource | None
    vae_name: str | None
    vae_sha256: str | None
    loras: Sequence[Used]
    device: str


def render(
    source: TensorSource, request: Request, *, name: str, job: Job = QUIET, **options: Unpack[Options]
) -> Rendering:
    """Load a source and render one request; see `Renderer` for the arguments and errors."""
    check_names(request)
    return Renderer(source, name=name, job=job, **options).render(request, job)


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[phase] = time.perf_counter() - begin
