"""Settings that change nothing with the model, samplers and schedules of a request: whoever asked should be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import NamedTuple

from modelhub.preview.models.model import Model
from modelhub.preview.networks.flux import Flux
from modelhub.preview.prompts.families import PADS, family_of
from modelhub.preview.request import Hires, Request, Start, usual_settings
from modelhub.preview.sampling.curves import SCHEDULES
from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.preview.sampling.schedules import AUTOMATIC, resolve
from modelhub.preview.sampling.tuning import Tuning
from modelhub.preview.sampling.unheeded import unheeded

_USUAL = Tuning()
_IMAGE_CFG = next(field.default for field in fields(Start) if field.name == "image_cfg")
#: Samplers that look at the ends of a schedule alone, and from the highest level of a model go down to the lowest.
_ENDS = ("DPM fast", "DPM adaptive")
#: Schedules that heed no range of sigmas.
_WHOLE = ("Uniform", "Align Your Steps", "Simple", "DDIM")


class Idle(NamedTuple):
    """A setting, and with what it has no effect."""

    setting: str
    cause: str


class _Leg(NamedTuple):
    """One pass: `schedule` is "" where the sampler does not look at it; `is_fresh` if it begins with noise alone."""

    sampler: Sampler
    schedule: str
    is_fresh: bool


#: Settings that shape a schedule, and whether a pass heeds them.
_SHAPES: Mapping[str, Callable[[_Leg], bool]] = {
    "rho": lambda leg: leg.schedule in ("Karras", "Polyexponential"),
    "sigma_min": lambda leg: leg.schedule not in ("", *_WHOLE),
    "sigma_max": lambda leg: leg.schedule not in ("", *_WHOLE),
    "beta_alpha": lambda leg: leg.schedule == "Beta",
    "beta_beta": lambda leg: leg.schedule == "Beta",
}


def idle_notes(
    request: Request, model: Model, *, is_refined: bool = False, prediction: str | None = None, zero_snr: bool = False
) -> Iterator[str]:
    """At most one sentence on all settings of a request that have no effect, and one on a CFG scale that costs time.

    Settings that are as usual for the model are not meant. `is_refined` if there is a refiner; `prediction` and
    `zero_snr` are what the user says of the model. Raises NotFoundError for an unknown sampler or schedule.
    """
    by_cause: dict[str, list[str]] = {}
    said = {"prediction": prediction is not None, "zero SNR": zero_snr} if model.levels.flow else {}
    of_flow = (Idle(name, "a flow model") for name, is_said in said.items() if is_said)
    for one in (*idle(request, model, is_refined=is_refined), *of_flow):
        by_cause.setdefault(one.cause, []).append(one.setting)
    if by_cause:
        first, *more = ((cause, ", ".join(settings)) for cause, settings in by_cause.items())
        rest = "".join(f"; with {cause}: {settings}" for cause, settings in more)
        yield f"With {first[0]} these settings change nothing: {first[1]}{rest}."
    scales = [request.cfg, *([request.hires.cfg] if request.hires and request.hires.cfg is not None else [])]
    if isinstance(model.network, Flux) and model.network.guided and any(cfg != 1 for cfg in scales):
        yield "At a CFG scale other than 1 this model takes twice the time; it was made to be guided by guidance alone."


def idle(request: Request, model: Model, *, is_refined: bool = False) -> Iterator[Idle]:
    """Settings of a request that change nothing; `is_refined` if there is a refiner. Raises as `idle_notes`."""
    legs = list(_legs(request))
    yield from _of_samplers(request, legs, Request("", **usual_settings(model.preview)))
    yield from _of_schedules(request, legs)
    yield from _of_model(request, model)
    if is_refined and request.switch_at == 1:
        yield Idle("the refiner", "a switch to it at the end")
    if request.variation is not None and request.variation.strength == 0:
        yield Idle("the variation", "a strength of 0")
    if request.hires is not None and request.hires.denoise == 0:
        yield from _of_no_pass(request.hires, is_refined)


def _legs(request: Request) -> Iterator[_Leg]:
    """The passes that sample."""
    hires = request.hires
    yield _leg(request, request.sampler, request.schedule, is_fresh=request.start is None)
    if hires is not None and hires.denoise > 0:
        yield _leg(request, hires.sampler or request.sampler, hires.schedule or request.schedule, is_fresh=False)


def _leg(request: Request, name: str, schedule: str, *, is_fresh: bool) -> _Leg:
    sampler = find_sampler(name)
    used = resolve(schedule, sampler)
    whole = is_fresh and request.tuning.sigma_max is None and used != "DDIM"  # which begins further down
    return _Leg(sampler, "" if sampler.timesteps or (whole and sampler.name in _ENDS) else used, is_fresh)


def _of_samplers(request: Request, legs: list[_Leg], usual: Request) -> Iterator[Idle]:
    """What no sampler of any pass heeds."""
    cause, tuning = _named("the sampler", [leg.sampler.name for leg in legs]), request.tuning
    each = [unheeded(leg.sampler, tuning, request.ensd) for leg in legs]
    yield from (Idle(name, cause) for name in each[0] if all(name in names for names in each))
    schedule, its_own = (SCHEDULES.find(one.schedule)[0] for one in (request, usual))
    if schedule not in (AUTOMATIC, its_own) and not any(leg.schedule for leg in legs):
        yield Idle("schedule", cause)
    adapts = all(leg.sampler.alone and leg.is_fresh and leg.schedule != "DDIM" for leg in legs)
    if adapts and request.steps != usual.steps and "[" not in request.prompt + request.negative:
        yield Idle("steps", cause)
    if tuning.discard is not None and not any(leg.schedule or leg.sampler.timesteps for leg in legs):
        yield Idle("discard", cause)
    if tuning.sgm_noise and legs[0].is_fresh and legs[0].sampler.timesteps:
        yield Idle("sgm_noise", _named("the sampler", [legs[0].sampler.name]))


def _of_schedules(request: Request, legs: list[_Leg]) -> Iterator[Idle]:
    schedules = [leg.schedule for leg in legs if leg.schedule]
    samplers = [leg.sampler.name for leg in legs]
    cause = _named("the schedule", schedules) if schedules else _named("the sampler", samplers)
    for name, heeds in _SHAPES.items():
        if getattr(request.tuning, name) != getattr(_USUAL, name) and not any(heeds(leg) for leg in legs):
            yield Idle(name, cause)


def _of_model(request: Request, model: Model) -> Iterator[Idle]:
    family, tuning = family_of(model.facts.id), request.tuning
    if request.clip_skip > 1 and (family.fixed or not any(encoder in PADS for encoder in family.tokens)):
        yield Idle("clip skip", f"a model of {model.facts.id}")
    if request.guidance is not None and not (isinstance(model.network, Flux) and model.network.guided):
        yield Idle("guidance", "a model that was not distilled to be guided by it")
    if request.start is not None and request.start.image_cfg != _IMAGE_CFG and model.beside != "picture":
        yield Idle("image CFG scale", "a model that is no pix2pix")
    if model.levels.flow and tuning.rounded:
        yield Idle("rounded", "a flow model")
    if tuning.sgm_noise and (model.levels.flow or request.start is not None):
        yield Idle("sgm_noise", "a flow model" if model.levels.flow else "a picture to start from")


def _of_no_pass(hires: Hires, is_refined: bool) -> Iterator[Idle]:
    """What is said of a second pass that only enlarges; a refiner would have its turn in that."""
    if is_refined:
        yield Idle("the refiner", "a denoising strength of 0")
    said = {name: getattr(hires, name) for name in ("sampler", "schedule", "prompt", "negative")}
    for name, is_said in {"steps": hires.steps, "cfg": hires.cfg is not None, **said}.items():
        if is_said:
            yield Idle(f"{name} of the second pass", "a denoising strength of 0")


def _named(what: str, names: list[str]) -> str:
    once = list(dict.fromkeys(names))
    return f"{what}{'s' if len(once) > 1 else ''} {' and '.join(once)}"
