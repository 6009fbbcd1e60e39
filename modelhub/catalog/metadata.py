"""What metadata claims: it may fill what shapes leave open, and never overrules them. All of it is untrusted text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelhub.catalog.architectures import Claim, claims
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.training import declared_prediction, learn
from modelhub.text import one_line, shorten

_KEYS = ("modelspec.architecture", "ss_base_model_version", "architecture", "general.architecture", "model_type")
_PREDICTIONS = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v",
    "v_prediction": "v",
    "v-prediction": "v",
    "velocity": "v",
    "flow_prediction": "flow",
}
#: Where a prediction is declared: by its writer, or by the scheduler of a diffusers folder.
_PREDICTION_KEYS = ("modelspec.prediction_type", "diffusers.prediction_type")
#: Steps after which the two released models of Stable Diffusion 2 were saved, and what they predict.
_SD2_STEPS = {"220000": "epsilon", "110000": "v"}
#: What a pickle says beside its tensors, by the name of the fact.
_PICKLED = {
    "pickle.global_step": "global_step",
    "pickle.epoch": "epoch",
    "pickle.step": "step",
    "pickle.name": "name",
    "pickle.sd_checkpoint": "trained_on_hash",
    "pickle.sd_checkpoint_name": "trained_on",
    "pickle.layer_structure": "layer_structure",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One claim: the key it stood under, its word, and what the word means."""

    key: str
    word: str
    claim: Claim


def said(metadata: Mapping[str, str]) -> list[Said]:
    """The claims of the metadata that modelhub understands, the most reliable first."""
    found = []
    for key in _KEYS:
        word = metadata.get(key, "")[:200].strip().lower()
        claim = _understand(word)
        if claim is not None:
            found.append(Said(key, word, claim))
    return found


def _understand(word: str) -> Claim | None:
    """The claim of a word, with endings such as /lora taken off one by one."""
    while word:
        if word in claims():
            return claims()[word]
        word = word.rpartition("/")[0]
    return None


def refine(identity: Identity, metadata: Mapping[str, str]) -> Identity:
    """`identity` with what metadata adds: variant, prediction, training, and conflicts for what it contradicts."""
    for one in said(metadata):
        identity = _architecture(identity, one)
        identity = _variant(identity, one)
        identity = _prediction(identity, one.key, one.claim.prediction)
    for key in _PREDICTION_KEYS:
        identity = _prediction(identity, key, _PREDICTIONS.get(metadata.get(key, "")[:100].strip().lower()))
    if identity.architecture == "sd2":
        steps = metadata.get("pickle.global_step", "")
        identity = _prediction(identity, "pickle.global_step", _SD2_STEPS.get(steps))
    identity = _prediction(identity, *(declared_prediction(metadata) or ("", None)))
    if "True" in (metadata.get("ss_zero_terminal_snr"), metadata.get("diffusers.rescale_betas_zero_snr", "").title()):
        identity = replace(identity, facts={**identity.facts, "zero_terminal_snr": True})
    pickled = {fact: _plain(metadata[key]) for key, fact in _PICKLED.items() if metadata.get(key)}
    if pickled:
        identity = replace(identity, facts={**identity.facts, "pickle": pickled})
    return _trained(identity, metadata)


def _trained(identity: Identity, metadata: Mapping[str, str]) -> Identity:
    learned = learn(metadata)
    facts = {"training": learned.training or None, "embedded_hash": learned.embedded_hash}
    known = {name: value for name, value in facts.items() if value is not None}
    return replace(identity, trigger_words=learned.trigger_words, facts={**identity.facts, **known})


def _plain(text: str) -> int | str:
    """A number as one; any other text on one line, not too long."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else shorten(one_line(text[:1000]), 200)


def _evidence(identity: Identity, key: str, found: str) -> tuple[Evidence, ...]:
    return (*identity.evidence, Evidence("metadata", key, one_line(found)))


def _conflict(identity: Identity, key: str, claimed: str, shown: str) -> Identity:
    sentence = f"The metadata ({key}) says {one_line(claimed)}, the tensors say {shown}."
    return identity if sentence in identity.conflicts else replace(identity, conflicts=(*identity.conflicts, sentence))


def _architecture(identity: Identity, one: Said) -> Identity:
    claimed = one.claim.architecture
    if identity.architecture in (claimed, *one.claim.kin) or claimed in _used_by(identity):
        return replace(identity, evidence=_evidence(identity, one.key, one.word))
    same_modules = (
        identity.kind == "lora" and identity.architecture is not None and identity.architecture == one.claim.like
    )
    if identity.architecture is not None and not same_modules:
        return _conflict(identity, one.key, one.word, identity.architecture)
    bases = (identity.adapter or {}).get("bases", [])
    if bases and not {claimed, *one.claim.kin} & {*bases} and not same_modules:
        return _conflict(identity, one.key, one.word, " or ".join(bases))
    if identity.kind not in ("lora", "embedding"):
        return identity
    if claimed in (identity.adapter or {}).get("excluded", ()):
        return _conflict(identity, one.key, one.word, f"it cannot be {claimed}: its modules differ")
    alone = Evidence("the metadata alone says so, no tensor proves it", one.key, claimed)
    evidence = (*_evidence(identity, one.key, one.word), alone)
    return replace(identity, architecture=claimed, confidence="metadata", evidence=evidence)


def _used_by(identity: Identity) -> list[str]:
    used: list[str] = identity.facts.get("used_by", [])
    return used


def _variant(identity: Identity, one: Said) -> Identity:
    wanted = one.claim.variant
    if wanted is None or wanted == identity.variant or identity.architecture != one.claim.architecture:
        return identity
    if identity.variant not in (None, one.claim.refines):
        return _conflict(identity, one.key, one.word, f"{identity.architecture} {identity.variant}")
    if wanted in _PROVED_BY_SHAPE and identity.kind in ("checkpoint", "diffusion-model"):
        return _conflict(identity, one.key, one.word, f"{identity.architecture} without the channels of {wanted}")
    return replace(identity, variant=wanted, evidence=_evidence(identity, one.key, one.word))


#: Variants that input channels prove: a header without them is not one, whatever its metadata says.
_PROVED_BY_SHAPE = frozenset({"inpaint", "pix2pix", "fill"})


def _prediction(identity: Identity, key: str, declared: str | None) -> Identity:
    if declared is None or declared == identity.prediction:
        return identity
    if identity.prediction is not None:
        return _conflict(identity, key, f"{declared} prediction", f"{identity.prediction} prediction")
    return replace(identity, prediction=declared, evidence=_evidence(identity, key, declared))
