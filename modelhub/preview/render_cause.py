"""The cause of a picture without numbers: it is made once more under watch, and the first layer gone wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modelhub.catalog.companions import VAE
from modelhub.jobs import QUIET, Job
from modelhub.preview.models.model import Model
from modelhub.preview.models.parts import DENOISER
from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.watching import Finding, first_bad_layer
from modelhub.preview.render_work import Loaded, Stage, Work
from modelhub.preview.request import Request
from modelhub.text import brief


class _EnoughError(Exception):
    """A step gave what is no number: nothing better can follow."""


@dataclass(frozen=True)
class Culprit:
    """The first layer whose output was not finite, and the part of the model that it is in."""

    part: str
    finding: Finding
    dtype: torch.dtype

    @property
    def told(self) -> str:
        """A sentence, with what to try next."""
        where = f"the layer {brief(self.finding.name, 120) or 'around all others'} of the {self.part}"
        if self.finding.is_weight:
            return f"Weights in {where} are not numbers (NaN): `modelhub repair` finds broken weights, in parents, too."
        if self.dtype == torch.float16:
            return f"Values left the range of fp16 in {where}: try --precision fp32."
        return f"Values left the range in {where}: its weights are too large, or a smaller alpha is needed for a merge."


class Causes:
    """Looks for the causes with the models of one stage; broken weights are looked for once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._weights: Culprit | None = None

    def told(self, request: Request, size: tuple[int, int], latents: Tensor, image: Tensor, job: Job) -> str | None:
        """Why the picture of a request for one has no numbers; None if it has, or if they are there the next time.

        `latents` [C, h, w] and `image` [3, H, W] are what was made of it. Raises CancelledError.
        """
        if image.isfinite().all():
            return None
        found = self._weights
        if found is None:
            broken = not latents.isfinite().all()
            found = self._of_latents(request, size, job) if broken else self._of_image(latents)
        if found is not None and found.finding.is_weight:
            self._weights = found
        return None if found is None else found.told

    def _of_latents(self, request: Request, size: tuple[int, int], job: Job) -> Culprit | None:
        stage = self._stage
        refiner = None if stage.refiner is None else _unread(stage.refiner)
        watched = Job("cause") if job is QUIET else job.part("why no numbers:")  # with QUIET no step is looked at
        afresh = replace(stage, main=_unread(stage.main), refiner=refiner, glance=lambda: _look)

        def call() -> None:
            with suppress(_EnoughError):
                Work(afresh, request, size, watched, {}).latents()

        networks = _networks(stage.main.model)
        if stage.refiner is not None:
            networks |= {f"refiner's {part}": network for part, network in _networks(stage.refiner.model).items()}
        return _first(networks, call)

    def _of_image(self, latents: Tensor) -> Culprit | None:
        model = self._stage.main.model
        return _first({VAE: model.vae}, lambda: model.decode(latents))


def _networks(model: Model) -> dict[str, Layer]:
    """In the order in which they run."""
    return {**model.encoders, DENOISER: model.network, VAE: model.vae}


def _first(networks: Mapping[str, Layer], call: Callable[[], object]) -> Culprit | None:
    """The first that broke of networks in running order, all watched during one call."""
    found: dict[str, Finding | None] = {}

    def watched(part: str, inner: Callable[[], object]) -> Callable[[], object]:
        return lambda: found.update({part: first_bad_layer(networks[part], inner)})

    for part in networks:
        call = watched(part, call)
    call()
    broken = ((part, found[part]) for part in networks)
    return next(
        (Culprit(part, one, networks[part].dtype) for part, one in broken if one and one.kind != "beyond-fp16"), None
    )


def _unread(loaded: Loaded) -> Loaded:
    """The same with nothing encoded yet: an encoder that is not asked cannot be watched."""
    return replace(loaded, reader=loaded.reader.anew())


def _look(clean: Tensor) -> None:
    """In the place of a live preview: nothing is shown, and what is no number ends it."""
    if not clean.isfinite().all():
        raise _EnoughError
