"""The verdict on an adapter and a model: what their shapes say, then what is known about where both come from.

Every rule gives reasons with the verdict that each alone would come to; the worst one counts.
"""

from __future__ import annotations

from typing import Any

from modelhub.lora.checking.answer import WORDS, Answer, Reason, Verdict, rank, worst
from modelhub.lora.checking.fit import Fit
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.origins import lineage_lines, origin_reasons
from modelhub.lora.checking.relations import component_names
from modelhub.lora.checking.shapes import Pair, shape_reasons
from modelhub.lora.fitting import APPLIED
from modelhub.text import plural

_UNCHECKED = ("values of the weights", "alpha", "quality of the training")


def judge(fit: Fit, lora: Known, model: Known) -> Answer:
    """The answer for one pair, from plain data alone: no file is read, and it takes some microseconds."""
    pair = Pair(fit, lora, model)
    shaped = tuple(shape_reasons(pair))
    origins = origin_reasons(pair, fits=rank(worst(shaped)) < rank("incompatible"))
    reasons = tuple(sorted((*shaped, *origins), key=lambda one: -rank(one.severity)))
    verdict = worst(reasons)
    return Answer(
        lora=lora.name,
        checkpoint=model.name,
        verdict=verdict,
        headline=_headline(pair, verdict, reasons[0]),
        base=pair.bases or pair.claimed,
        counts=fit.counts,
        names=component_names(model.architecture),
        mismatches=fit.mismatches,
        reasons=reasons,
        vote=_vote(pair),
        lineage=lineage_lines(lora, model),
        checked=("names", "sizes") if fit.sized else ("names",),
        unchecked=_UNCHECKED if fit.sized else ("sizes of the layers", *_UNCHECKED),
    )


def _headline(pair: Pair, verdict: Verdict, first: Reason) -> str:
    """`compatible: sdxl, 986 of 986 modules fit`; for all but the best with the reason that weighs most."""
    fits = f"{pair.fit.total(*APPLIED)} of {plural(pair.fit.total(), 'module')} fit"
    base = " or ".join(pair.bases or pair.claimed)
    head = f"{WORDS[verdict]}: {f'{base}, ' if base else ''}{fits}"
    return head if verdict == "compatible" else f"{head}. {first.say}"


def _vote(pair: Pair) -> dict[str, Any]:
    """How the base was found: by header (names and sizes), structure (names), metadata or nothing; and what fits."""
    adapter = pair.lora.adapter or {}
    return {
        "bases": list(pair.bases),
        "claimed": list(pair.claimed),
        "also": list(adapter.get("also", ())),
        "confidence": pair.lora.confidence,
        "modules": pair.fit.total(),
        "fit": pair.fit.total(*APPLIED),
    }
