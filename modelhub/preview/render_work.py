"""One request in work: passes planned and sampled with the models that are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

from torch import Tensor

from modelhub.jobs import QUIET, Job
from modelhub.preview.models.device import synchronize
from modelhub.preview.models.model import Model
from modelhub.preview.noise.noise import Noise
from modelhub.preview.pictures.picture import Pixels
from modelhub.preview.render_hires import enlarge, target
from modelhub.preview.render_pass import Begin, Pass, Voice
from modelhub.preview.render_prompts import Reader, Wording
from modelhub.preview.render_start import begin_with
from modelhub.preview.render_wishes import is_guided
from modelhub.preview.request import Hires, Request
from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import Way, img2img_sigmas, plan_sigmas
from modelhub.preview.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Loaded:
    """A model, and who reads prompts for it."""

    model: Model
    reader: Reader


@dataclass(frozen=True)
class Stage:
    """All that is loaded: the model, perhaps a refiner, what upscalers' names stand for, and what shows live steps."""

    main: Loaded
    refiner: Loaded | None
    upscaler: Callable[[str], str | Upscaler]
    glance: Callable[[], Callable[[Tensor], Pixels | None]]


class Work:
    """A request on its way to latents; `seconds` gets what each phase took."""

    def __init__(
        self, stage: Stage, request: Request, size: tuple[int, int], job: Job, seconds: dict[str, float]
    ) -> None:
        self._stage, self._request, self._job, self._seconds = stage, request, job, seconds
        self._size = size
        self._model = stage.main.model

    def latents(self) -> Tensor:
        """Clean latents [N, C, h, w] of every picture."""
        request, hires = self._request, self._request.hires
        first = self._plan(_Settings.of(request), self._size, self._size, self._begin, refined=hires is None)
        latents = self._run(first)
        return latents if hires is None else self._again(latents, hires, first)

    def _begin(self) -> Begin:
        return begin_with(self._model, self._request.start, *self._size, self._request.seeds)

    def _again(self, latents: Tensor, hires: Hires, first: Pass) -> Tensor:
        """The second pass of a hires fix."""
        goal = target(hires, *self._size)
        upscaler = self._stage.upscaler(hires.upscaler)
        with timed(self._seconds, "enlarging"):
            large = enlarge(self._model, latents, goal, upscaler, self._request.seeds, self._job)
        if hires.denoise == 0:
            return large
        factor = self._model.latent.factor
        size = (large.shape[-1] * factor, large.shape[-2] * factor)

        def begin() -> Begin:
            return replace(begin_with(self._model, None, *size, self._request.seeds), latents=large)

        calls = self._request.steps * first.sampler.calls
        settings = _Settings.of_second(self._request, hires, calls)
        return self._run(self._plan(settings, size, (goal.width, goal.height), begin, refined=True))

    def _plan(
        self,
        settings: _Settings,
        size: tuple[int, int],
        told: tuple[int, int],
        begin: Callable[[], Begin],
        *,
        refined: bool,
    ) -> Pass:
        """A pass of `size`; SDXL is `told` one before what latents cannot hold or does not fit is cut off."""
        request = self._request
        sampler = find_sampler(settings.sampler)
        way = settings.way(self._model, sampler, request)
        with timed(self._seconds, "encoding"), self._job.phase("encoding", 1, "prompts") as advance:
            voice = self._voice(self._stage.main, settings, sampler, told)
            begun = begin()
            advance()
        refiner = self._stage.refiner if refined else None
        return Pass(
            voice,
            sampler,
            way,
            lambda places: self._noise(places, size),
            request.batch,
            request.tuning,
            begun,
            None if refiner is None else lambda: self._voice(refiner, settings, sampler, told),
            request.switch_at,
        )

    def _voice(self, loaded: Loaded, settings: _Settings, sampler: Sampler, told: tuple[int, int]) -> Voice:
        request, cfg = self._request, settings.cfg / sampler.cfg_divisor
        wording = Wording(
            settings.prompt,
            settings.negative,
            settings.steps,
            sampler.calls,
            request.clip_skip,
            request.emphasis,
            *told,
            settings.hires_from,
        )
        guided = is_guided(sampler, settings.cfg) or loaded.model.beside == "picture"
        conditioning = loaded.reader(wording, guided=guided)
        return Voice(loaded.model, conditioning, cfg, request.guidance, request.tuning.rounded)

    def _noise(self, places: Sequence[int], size: tuple[int, int]) -> Noise:
        request, latent = self._request, self._model.latent
        ones = [request.one(place) for place in places]
        width, height = size
        return Noise(
            [one.seed for one in ones],
            (latent.channels, height // latent.factor, width // latent.factor),
            self._model.device,
            source=request.rng,
            ensd=request.ensd,
            variation=ones[0].variation,
            resize_from=_small(request.resize_from, latent.factor),
        )

    def _run(self, one: Pass) -> Tensor:
        glance = None if self._job is QUIET else self._stage.glance()
        with timed(self._seconds, "sampling"), self._job.phase("sampling", one.steps, "steps") as advance:

            def step(index: int, clean: Tensor) -> None:
                advance(item=f"step {index + 1}", picture=glance(clean[0]) if glance else None)

            return one.run(step, self._job)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What passes differ in. `denoise` is None for a pass that begins with noise alone."""

    prompt: str
    negative: str
    sampler: str
    schedule: str
    steps: int
    cfg: float
    denoise: float | None = None
    hires_from: int | None = None

    @classmethod
    def of(cls, request: Request) -> _Settings:
        """Those of the first pass."""
        denoise = None if request.start is None else request.start.denoise
        words = (request.prompt, request.negative, request.sampler, request.schedule)
        return cls(*words, request.steps, request.cfg, denoise)

    @classmethod
    def of_second(cls, request: Request, hires: Hires, calls: int) -> _Settings:
        """Those of the second; `calls` of the denoiser the first had."""
        return cls(
            hires.prompt or request.prompt,
            hires.negative or request.negative,
            hires.sampler or request.sampler,
            hires.schedule or request.schedule,
            hires.steps or request.steps,
            request.cfg if hires.cfg is None else hires.cfg,
            hires.denoise,
            calls,
        )

    def way(self, model: Model, sampler: Sampler, request: Request) -> Way:
        """The sigmas of the pass. Raises what `plan_sigmas` raises."""
        given, more = (self.schedule, sampler, self.steps, model.levels), (request.tuning, model.facts.id)
        if self.denoise is not None:
            return img2img_sigmas(*given, self.denoise, *more, exact=self.hires_from is not None)
        sigmas = plan_sigmas(*given, *more)
        return Way(sigmas, float(sigmas[0]), float(sigmas[sigmas > 0].min()), float(sigmas.max()))


def _small(size: tuple[int, int] | None, factor: int) -> tuple[int, int] | None:
    """(width, height) in pixels as (height, width) in latents."""
    return None if size is None else (size[1] // factor, size[0] // factor)


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add what happens inside to the seconds of a phase; work that a GPU still has to do is waited for."""
    begin = perf_counter()
    try:
        yield
    finally:
        synchronize()
        seconds[phase] = seconds.get(phase, 0.0) + perf_counter() - begin
