"""Render: a source and a request to pictures, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from modelhub.catalog.companions import VAE
from modelhub.errors import NotFoundError
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Advance, Job
from modelhub.preview.models.keeper import Keeper
from modelhub.preview.models.model import Model
from modelhub.preview.pictures.approximation import Approximation
from modelhub.preview.pictures.infotext import write_infotext
from modelhub.preview.pictures.origin import Origin
from modelhub.preview.pictures.picture import Picture, develop
from modelhub.preview.pictures.settings import request_settings
from modelhub.preview.prompts.embeddings import Embedding
from modelhub.preview.prompts.encoders import TokenIds
from modelhub.preview.prompts.tags import Used
from modelhub.preview.render_cause import Causes
from modelhub.preview.render_idle import idle_notes
from modelhub.preview.render_prompts import Reader
from modelhub.preview.render_start import with_kept
from modelhub.preview.render_wishes import check_loras, notes, used
from modelhub.preview.render_work import Loaded, Stage, Work, timed
from modelhub.preview.request import Hires, Request
from modelhub.preview.sampling.curves import SCHEDULES
from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import resolve
from modelhub.preview.upscaling.loading import load_upscaler
from modelhub.preview.upscaling.names import WITHOUT_FILE, without_file
from modelhub.preview.upscaling.upscaler import Upscaler
from modelhub.text import brief

__all__ = ["Options", "Refiner", "Renderer", "Rendering", "Request", "check_names", "render"]


@dataclass(frozen=True, slots=True)
class Rendering:
    """Pictures in the order of their seeds, and the seconds that each phase took; "loading" is there the first time.

    `notes` are sentences about the request and the model that say what a user may not expect.
    """

    pictures: tuple[Picture, ...]
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refiner:
    """A second model that goes on where the first one stops; `parts` as those of `Renderer`."""

    source: TensorSource
    name: str
    sha256: str | None = None
    parts: Mapping[str, TensorSource] | None = None


class Options(TypedDict, total=False):
    """The optional arguments of `Renderer`, for `render`."""

    sha256: str | None
    recipe: str | None
    vae: TensorSource | None
    vae_name: str | None
    vae_sha256: str | None
    modules: Sequence[str]
    parts: Mapping[str, TensorSource]
    loras: Sequence[Used]
    embeddings: Sequence[Embedding]
    t5_tokenizer: TokenIds | None
    refiner: Refiner | None
    upscaler: TensorSource | None
    prediction: str | None
    zero_snr: bool | None
    device: str
    precision: str


class Renderer:
    """A loaded model that renders one request after another; what was encoded or loaded is kept.

    `name` and the hashes go into infotexts: `sha256` is None for a merge that was never written, its text is `recipe`.
    `vae` replaces the model's own, `parts` that and its text encoders; `modules` are the names of the files of these.
    `Model.load` says what `prediction`, `zero_snr` and `precision` are. `loras` are in the source already, and named by
    tags in prompts; `embeddings` are words of prompts. `upscaler` is what the name of a file in `Hires.upscaler` stands
    for. Raises what `Model.load` raises.
    """

    def __init__(self, source: TensorSource, *, name: str, job: Job = QUIET, **options: Unpack[Options]) -> None:
        self._kept = Keeper()
        self._kept_second = Keeper(self._kept)
        self._glance: _Glance | None = None
        self.follow(source, name=name, job=job, **options)

    def follow(self, source: TensorSource, *, name: str, job: Job = QUIET, **options: Unpack[Options]) -> None:
        """Render another source from now on, or the same with other options.

        Of weights only those are read, or merged, that are made of something else than the ones before
        (`TensorSource.origin`), and texts stay encoded where their encoder stays. Pictures are as those of a new
        `Renderer`. When this raises, `follow` is all that can still be called. Raises what `Model.load` raises.
        """
        for before in ("model", "_stage", "_causes"):
            vars(self).pop(before, None)  # before another one takes as much memory
        seen = None if self._glance is None else self._glance.found
        self._glance = None
        self.name, self._options = name, options
        self._origin = _origin(name, options)
        self._pending: dict[str, float] = {}
        parts = dict(options.get("parts", {}))
        vae = options.get("vae")
        if vae is not None:
            parts["vae"] = vae
        with timed(self._pending, "loading"):
            main, refiner = self._load(source, name, parts, self._kept, job), options.get("refiner")
            second = self._refiner(refiner, job)
        self.model = main.model
        self._glance = _Glance(main.model.approximation, None if self._kept.read.get(VAE) else seen)
        upscaler = lru_cache(1)(partial(_load_upscaler, options.get("upscaler"), main.model.device.type))
        self._stage = Stage(main, second, partial(_found_upscaler, upscaler), self._glance)
        self._causes = Causes(self._stage)

    @property
    def read(self) -> dict[str, int]:
        """The bytes that were read for each part when the source was loaded; 0 for one that stayed as it was."""
        return {**self._kept.read, **{f"refiner's {part}": size for part, size in self._kept_second.read.items()}}

    def _refiner(self, refiner: Refiner | None, job: Job) -> Loaded | None:
        if refiner is None:
            self._kept_second.only(())
            return None
        return self._load(refiner.source, refiner.name, refiner.parts or {}, self._kept_second, job)

    def _load(
        self, source: TensorSource, name: str, parts: Mapping[str, TensorSource], keeper: Keeper, job: Job
    ) -> Loaded:
        options = self._options
        model = Model.load(
            source,
            parts=parts,
            device=options.get("device", "auto"),
            precision=options.get("precision", "auto"),
            prediction=options.get("prediction"),
            zero_snr=options.get("zero_snr"),
            name=name,
            keeper=keeper,
            job=job,
        )
        embeddings = tuple(options.get("embeddings", ()))
        return Loaded(model, Reader(model, embeddings, options.get("t5_tokenizer"), keeper.texts(embeddings)))

    @torch.inference_mode()
    def render(self, request: Request, job: Job = QUIET) -> Rendering:
        """Render all pictures of a request. A picture does not depend on the rest of its batch, but for rounding.

        Raises NotFoundError for an unknown sampler, schedule or upscaler, and what loading the upscaler raises, before
        anything is rendered; UsageError for a clip skip beyond the text encoder, for a prompt that cannot be read, and
        for a LoRA in it that is not in the source.
        """
        check_names(request)
        check_loras(request, [one.tag for one in self._origin.loras])
        seconds, self._pending = self._pending, {}
        with self.model.residence.heeding(job):
            if request.hires is not None:
                self._find_upscaler(request.hires.upscaler, seconds)
            latents = Work(self._stage, request, self.size(request), job, seconds).latents()
            with timed(seconds, "decoding"), job.phase("decoding", request.batch, "pictures") as advance:
                pictures = tuple(self._develop(request, latents, advance, job))
        return Rendering(pictures, seconds, self.notes(request))

    def size(self, request: Request) -> tuple[int, int]:
        """Width and height in pixels that the first pass of a request gets: as asked, as its start, or the model's."""
        width, height = self.model.size
        if request.start is not None:
            height, width = (max(64, side // 8 * 8) for side in request.start.pixels.shape[:2])
        return request.width or width, request.height or height

    def notes(self, request: Request) -> tuple[str, ...]:
        """What a `Rendering` of a request will say of it and the model: known before anything is rendered.

        Raises as `render` does for what cannot be read or found.
        """
        always_guided, options = self.model.beside == "picture", self._options
        return (
            *self.model.notes,
            *notes(self._stage.main.reader.prompter, request, always_guided=always_guided),
            *idle_notes(
                request,
                self.model,
                is_refined=self._stage.refiner is not None,
                prediction=options.get("prediction"),
                zero_snr=bool(options.get("zero_snr")),
            ),
        )

    def _find_upscaler(self, name: str, seconds: dict[str, float]) -> None:
        """Load the upscaler of a second pass, if it is a file."""
        if without_file(name) is None:
            with timed(seconds, "loading"):
                self._stage.upscaler(name)

    def _develop(self, request: Request, latents: Tensor, advance: Advance, job: Job) -> Iterator[Picture]:
        """One at a time: decoding takes the most memory of all, and so no picture depends on its neighbours."""
        for place, latent in enumerate(latents):
            one = request.one(place)
            image = self.model.decode(latent)
            picture = develop(image, latent, one.seed, self.infotext(one))
            if cause := self._causes.told(one, self.size(one), latent, image, job):
                picture = replace(picture, warnings=(cause,))
            if request.start is not None and request.start.mask is not None:
                pixels = with_kept(picture.pixels, request.start)
                picture = replace(picture, pixels=pixels, mean=float(pixels.mean()), std=float(pixels.std()))
            yield picture
            advance()

    def infotext(self, request: Request) -> str:
        """The infotext of a request for one picture."""
        request = _in_full(request)
        sampler, hires = find_sampler(request.sampler), request.hires
        found = used(self._stage.main.reader.prompter, request)
        origin = replace(self._origin, embeddings=[(one.name, one.sha256) for one in found])
        settings = request_settings(
            request,
            sampler,
            self.size(request),
            schedule=resolve(request.schedule, sampler),
            hires_schedule=resolve(hires.schedule or request.schedule, _second(request, hires)) if hires else None,
            origin=replace(origin, is_pix2pix=self.model.beside == "picture"),
        )
        return write_infotext(request.prompt, request.negative, settings)


@dataclass
class _Glance:
    """The stand-in for the VAE, made when one first asks; as long as the VAE stays, so does what was `found`."""

    make: Callable[[], Approximation]
    found: Approximation | None = None

    def __call__(self) -> Approximation:
        self.found = self.found or self.make()
        return self.found


def _found_upscaler(load: Callable[[str], Upscaler], name: str) -> str | Upscaler:
    """What an upscaler's name stands for: the display name of one that needs no file, or the one that is loaded."""
    return without_file(name) or load(name)


def _load_upscaler(source: TensorSource | None, device: str, name: str) -> Upscaler:
    if source is None:
        raise NotFoundError(
            f"There is no upscaler '{brief(name)}' for the second pass.",
            f"Name a file with --upscaler, or one of: {', '.join(WITHOUT_FILE)}.",
        )
    return load_upscaler(source, device, name=name)


def _in_full(request: Request) -> Request:
    """The same with the display names of what the second pass calls by its name in another case."""
    hires = request.hires
    if hires is None:
        return request
    return replace(
        request,
        hires=replace(
            hires,
            upscaler=without_file(hires.upscaler) or hires.upscaler,
            sampler=hires.sampler and find_sampler(hires.sampler).name,
            schedule=hires.schedule and SCHEDULES.find(hires.schedule)[0],
        ),
    )


def _origin(name: str, options: Options) -> Origin:
    refiner = options.get("refiner")
    return Origin(
        name,
        sha256=options.get("sha256"),
        recipe=options.get("recipe"),
        vae_name=options.get("vae_name"),
        vae_sha256=options.get("vae_sha256"),
        loras=tuple(options.get("loras", ())),
        refiner_name=refiner.name if refiner else None,
        refiner_sha256=refiner.sha256 if refiner else None,
        modules=tuple(options.get("modules", ())),
    )


def _second(request: Request, hires: Hires) -> Sampler:
    """The sampler of the second pass."""
    return find_sampler(hires.sampler or request.sampler)


def check_names(request: Request) -> None:
    """Raise NotFoundError for an unknown sampler or schedule; worth a call before a model is loaded for nothing."""
    resolve(request.schedule, find_sampler(request.sampler))
    if request.hires is not None:
        resolve(request.hires.schedule or request.schedule, _second(request, request.hires))


def render(
    source: TensorSource, request: Request, *, name: str, job: Job = QUIET, **options: Unpack[Options]
) -> Rendering:
    """Load a source and render one request; see `Renderer` for the arguments and errors."""
    check_names(request)
    return Renderer(source, name=name, job=job, **options).render(request, job)
