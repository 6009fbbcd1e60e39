"""Settings that change nothing with a sampler, so that nobody looks for a difference that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.tuning import Tuning


def unheeded(sampler: Sampler, tuning: Tuning, ensd: int) -> list[str]:
    """The names of what is set in `tuning`, and "ensd" where that is not 0, but does nothing with `sampler`.

    Settings of the schedule are not looked at.
    """
    usual = Tuning()
    given = [one.name for one in fields(Tuning) if getattr(tuning, one.name) != getattr(usual, one.name)]
    heeded = _heeded(sampler, tuning)
    return [name for name in (*given, *(("ensd",) if ensd else ())) if not heeded.get(name, True)]


def _heeded(sampler: Sampler, tuning: Tuning) -> Mapping[str, bool]:
    churns, is_unipc = sampler.churn and tuning.churn > 0, sampler.name == "UniPC"
    eta = sampler.eta if tuning.eta is None else tuning.eta
    is_noisy = churns if sampler.churn else sampler.eta is None or eta != 0
    return {
        "eta": sampler.eta is not None,
        "churn": sampler.churn,
        "churn_min": churns,
        "churn_max": churns,
        "noise": sampler.noise and is_noisy,
        "ensd": sampler.ensd and is_noisy,
        **dict.fromkeys(("order", "variant", "skip", "lower_order_final"), is_unipc),
    }
