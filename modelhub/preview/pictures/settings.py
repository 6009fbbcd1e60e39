"""From a request to the settings of an infotext: every key, in A1111's order; reading them gives the request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelhub.preview.pictures.asking import eta_key
from modelhub.preview.request import Hires, Request
from modelhub.preview.sampling.tuning import Tuning

if TYPE_CHECKING:
    from modelhub.preview.pictures.origin import Origin
    from modelhub.preview.sampling.sampler import Sampler

Setting = tuple[str, object]
_USUAL = Tuning()


def request_settings(
    request: Request,
    sampler: Sampler,
    size: tuple[int, int],
    *,
    seed: int | None = None,
    schedule: str | None = None,
    hires_schedule: str | None = None,
    origin: Origin | None = None,
) -> dict[str, object]:
    """The settings of a picture with this `seed` (the request's own) and `size`, for `write_infotext`.

    `schedule` is what "Automatic" came to, `hires_schedule` the same in the second pass; `origin` tells the models.
    Values that are as usual are left out, as A1111 does; `Request.start` is told by its strength alone.
    """
    schedule = schedule or request.schedule
    pairs: list[Setting] = [
        ("Steps", request.steps),
        ("Sampler", sampler.name),
        ("Schedule type", schedule),
        ("CFG scale", short(request.cfg)),
        ("Distilled CFG Scale", None if request.guidance is None else short(request.guidance)),
        ("Image CFG scale", short(request.start.image_cfg) if request.start and origin and origin.is_pix2pix else None),
        ("Seed", request.seed if seed is None else seed),
        ("Size", f"{size[0]}x{size[1]}"),
        *(origin.models() if origin else ()),
        *_noise(request),
        ("Denoising strength", _denoise(request)),
        ("Clip skip", request.clip_skip if request.clip_skip > 1 else None),
        ("ENSD", request.ensd or None),
        ("RNG", request.rng),
        *_tuned(request.tuning, sampler, schedule),
        ("Emphasis", request.emphasis if request.emphasis != "Original" else None),
        *(_hires(request.hires, schedule, hires_schedule) if request.hires else ()),
        *(origin.refined(request.switch_at) if origin else [("Refiner switch at", _unusual(request.switch_at, 0.8))]),
        *(origin.others() if origin else ()),
    ]
    return {key: value for key, value in pairs if value is not None}


def short(value: float) -> str:
    """A number as people write it: 7, not 7.0."""
    return str(value).removesuffix(".0")


def _noise(request: Request) -> Iterator[Setting]:
    if request.variation is not None and request.variation.strength != 0:
        yield "Variation seed", request.variation.seed
        yield "Variation seed strength", short(request.variation.strength)
    if request.resize_from is not None:
        yield "Seed resize from", f"{request.resize_from[0]}x{request.resize_from[1]}"


def _denoise(request: Request) -> str | None:
    """One key for two things: A1111 has no second pass where there is a picture to start from."""
    if request.hires is not None:
        return short(request.hires.denoise)
    return None if request.start is None else short(request.start.denoise)


def _tuned(tuning: Tuning, sampler: Sampler, schedule: str) -> Iterator[Setting]:
    is_beta = schedule == "Beta"
    yield eta_key(sampler.timesteps), None if tuning.eta is None else short(tuning.eta)
    yield "Sigma churn", _unusual(tuning.churn, 0.0)
    yield "Sigma tmin", _unusual(tuning.churn_min, 0.0)
    yield "Sigma tmax", _unusual(tuning.churn_max, math.inf)
    yield "Sigma noise", _unusual(tuning.noise, 1.0)
    yield "Schedule min sigma", _unusual(tuning.sigma_min, None)
    yield "Schedule max sigma", _unusual(tuning.sigma_max, None)
    yield "Schedule rho", _unusual(tuning.rho, None)
    yield "Beta schedule alpha", short(tuning.beta_alpha) if is_beta else _unusual(tuning.beta_alpha, _USUAL.beta_alpha)
    yield "Beta schedule beta", short(tuning.beta_beta) if is_beta else _unusual(tuning.beta_beta, _USUAL.beta_beta)
    yield "Discard penultimate sigma", None if tuning.discard is None else str(tuning.discard)
    yield "SGM noise multiplier", "True" if tuning.sgm_noise else None
    yield "Rounded timesteps", "True" if tuning.rounded else None
    yield "UniPC variant", tuning.variant if tuning.variant != _USUAL.variant else None
    yield "UniPC skip type", tuning.skip if tuning.skip != _USUAL.skip else None
    yield "UniPC order", tuning.order if tuning.order != _USUAL.order else None
    yield "UniPC lower order final", None if tuning.lower_order_final else "False"


def _unusual(value: float | None, usual: float | None) -> str | None:
    return None if value is None or value == usual else short(value)


def _hires(hires: Hires, schedule: str, hires_schedule: str | None) -> Iterator[Setting]:
    is_sized = hires.width is not None and hires.height is not None
    other = hires_schedule if hires_schedule not in (None, schedule) else None
    yield "Hires sampler", hires.sampler
    yield "Hires prompt", hires.prompt or None
    yield "Hires negative prompt", hires.negative or None
    yield "Hires schedule type", hires.schedule or other
    yield "Hires CFG Scale", None if hires.cfg is None else short(hires.cfg)
    yield "Hires upscale", None if is_sized else short(hires.scale)
    yield "Hires resize", f"{hires.width}x{hires.height}" if is_sized else None
    yield "Hires steps", hires.steps or None
    yield "Hires upscaler", hires.upscaler
