"""Tell: what was found about a companion of a model, put together to the same kind of answer that a LoRA gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelhub.catalog.companions import table
from modelhub.lora.checking.answer import WORDS, Answer, Mismatch, Reason, Verdict, rank, worst
from modelhub.lora.checking.companions import size, vae_users
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.shapes import titles
from modelhub.text import brief

#: What people call the kinds.
NAMES = {
    "embedding": "embedding",
    "vae": "VAE",
    "text-encoder": "text encoder",
    "controlnet": "ControlNet",
    "t2i-adapter": "T2I-Adapter",
    "ip-adapter": "IP-Adapter",
    "hypernetwork": "hypernetwork",
    "motion-module": "motion module",
    "clip-vision": "image encoder",
    "upscaler": "upscaler",
}
#: What people call text encoders.
ENCODERS = {"clip-l": "CLIP-L", "clip-g": "CLIP-G", "openclip-h": "OpenCLIP-H", "t5xxl": "T5-XXL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared: a reason, and where sizes differ the two of them."""

    reason: Reason
    component: str = ""
    mine: str = ""
    theirs: str = ""


def finding(id: str, say: str, severity: Verdict = "compatible") -> Finding:
    """A finding without sizes."""
    return Finding(Reason(id, say, severity))


def same_family(one: Known, model: Known) -> Iterator[Finding]:
    """Whether both are of one architecture, as far as both are known."""
    mine, theirs = one.architecture, model.architecture
    if mine is None or theirs is None:
        return
    if mine == theirs:
        yield finding("same-family", f"Both are of {titles((mine,))}.")
    else:
        say = f"The {name_of(one)} is for {titles((mine,))}, the model is {titles((theirs,))}."
        yield Finding(Reason("other-family", say, "incompatible"), "family", mine, theirs)


def same_size(one: Known, model: Known, fact: str, what: str) -> Iterator[Finding]:
    """Whether a measured size is the same in both; nothing where one lacks it."""
    mine, theirs = size(one, fact), size(model, fact)
    if mine is None or theirs is None:
        return
    if mine == theirs:
        yield finding(f"same-{fact}", f"The {what} is {mine} in both.")
    else:
        say = f"The {what} is {mine} in the {name_of(one)}, {theirs} in the model."
        yield Finding(Reason(f"other-{fact}", say, "incompatible"), what, f"{what} {mine}", f"{what} {theirs}")


def name_of(one: Known) -> str:
    """What people call its kind."""
    return NAMES.get(one.kind, "file")


def told(
    one: Known,
    model: Known,
    findings: Iterable[Finding],
    *,
    checked: tuple[str, ...],
    counts: Mapping[str, Mapping[str, int]] | None = None,
) -> Answer:
    """The answer that all findings come to; "unknown" where nothing was found.

    What was proved wrong outweighs what is unknown.
    """
    found = list(findings) or [finding("nothing-to-compare", _NOTHING, "unknown")]
    reasons = tuple(sorted((each.reason for each in found), key=lambda reason: -_weight(reason.severity)))
    wrong = [reason for reason in reasons if reason.severity != "unknown"]
    verdict = "incompatible" if worst(wrong) == "incompatible" else worst(reasons)
    return Answer(
        lora=one.name,
        checkpoint=model.name,
        verdict=verdict,
        headline=f"{WORDS[verdict]}: {_first(reasons, verdict)}",
        base=base_of(one),
        counts=counts or {},
        names=ENCODERS,
        mismatches=tuple(map(_mismatch, (each for each in found if each.mine))),
        reasons=reasons,
        checked=checked,
        unchecked=("values of the weights", "quality of the training"),
    )


def base_of(one: Known) -> tuple[str, ...]:
    """The architectures of models that a file is for: those that use it, where it is a VAE or a text encoder."""
    if one.kind == "vae":
        return tuple(sorted(vae_users(one.architecture)))
    if one.kind == "text-encoder":
        return tuple(model for model, takes in table()["encoders"].items() if one.architecture in takes)
    return (one.architecture,) if one.architecture and one.kind != "upscaler" else ()


_NOTHING = "Nothing that is known of the two files tells whether they go together."


def _weight(severity: Verdict) -> int:
    return rank("incompatible") + 1 if severity == "incompatible" else rank(severity)


def _first(reasons: Iterable[Reason], verdict: Verdict) -> str:
    return next((reason.say for reason in reasons if reason.severity == verdict), "")


def _mismatch(each: Finding) -> Mismatch:
    state = "dim-mismatch" if each.component != "family" else "other-family"
    return Mismatch(each.component, state, "", each.mine, each.theirs, each.reason.say)


def quoted(text: str) -> str:
    """A name that a file or a user chose, as part of a sentence."""
    return f'"{brief(text)}"'
