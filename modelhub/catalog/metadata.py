"""What metadata claims: it may fill what shapes leave open, and never overrules them. All of it is untrusted text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelhub.catalog.architectures import Claim, claims
from modelhub.catalog.identity import Evidence, Identity
from modelhub.text import one_line, shorten

_KEYS = ("modelspec.architecture", "ss_base_model_version", "architecture", "general.architecture", "model_type")
_PREDICTIONS = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v",
    "v_prediction": "v",
    "v-prediction": "v",
    "velocity": "v",
}
#: Longer JSON is not parsed: tag statistics are for display only.
_MAX_JSON = 4_000_000
_MAX_WORD = 100
_MAX_WORDS = 12
_DATASET = re.compile(r"\d+_(.+)")
#: Folder names that say nothing about what was trained.
_DULL = frozenset({"img", "image", "images", "dataset", "data", "train", "training", "reg", "1"})


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
    """`identity` with what metadata adds: variant, prediction, trigger words, and conflicts for what it contradicts."""
    for one in said(metadata):
        identity = _architecture(identity, one)
        identity = _variant(identity, one)
        identity = _prediction(identity, one.key, one.claim.prediction)
    declared = _PREDICTIONS.get(metadata.get("modelspec.prediction_type", "")[:100].strip().lower())
    identity = _prediction(identity, "modelspec.prediction_type", declared)
    if metadata.get("ss_zero_terminal_snr") == "True":
        identity = replace(identity, facts={**identity.facts, "zero_terminal_snr": True})
    return replace(identity, trigger_words=trigger_words(metadata))


def _evidence(identity: Identity, key: str, found: str) -> tuple[Evidence, ...]:
    return (*identity.evidence, Evidence("metadata", key, one_line(found)))


def _conflict(identity: Identity, key: str, claimed: str, shown: str) -> Identity:
    sentence = f"The metadata ({key}) says {one_line(claimed)}, the tensors say {shown}."
    return identity if sentence in identity.conflicts else replace(identity, conflicts=(*identity.conflicts, sentence))


def _architecture(identity: Identity, one: Said) -> Identity:
    claimed = one.claim.architecture
    if identity.architecture == claimed or claimed in _used_by(identity):
        return replace(identity, evidence=_evidence(identity, one.key, one.word))
    same_modules = (
        identity.kind == "lora" and identity.architecture is not None and identity.architecture == one.claim.like
    )
    if identity.architecture is not None and not same_modules:
        return _conflict(identity, one.key, one.word, identity.architecture)
    bases = (identity.adapter or {}).get("bases", [])
    if bases and claimed not in bases and not same_modules:
        return _conflict(identity, one.key, one.word, " or ".join(bases))
    if identity.kind not in ("lora", "embedding"):
        return identity
    evidence = _evidence(identity, one.key, one.word)
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


def read_json(text: str) -> Any:
    """JSON out of metadata, or None if it is too long, too deep or not JSON."""
    if len(text) > _MAX_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Words that call up what was trained: the declared phrase, then concepts and first tags of the training sets."""
    declared = [word.strip() for word in metadata.get("modelspec.trigger_phrase", "")[:2000].split(",")]
    trained = _trained(read_json(metadata.get("ss_tag_frequency", "") or "null"))
    words = (shorten(one_line(word), _MAX_WORD) for word in (*declared, *trained) if word)
    return tuple(dict.fromkeys(words))[:_MAX_WORDS]


def _trained(statistics: Any) -> list[str]:
    """From {"10_concept": {"tag": count}}: each concept, and the most frequent tag of each set."""
    words: list[str] = []
    for folder, tags in list(statistics.items())[:100] if isinstance(statistics, dict) else ():
        fits = _DATASET.fullmatch(str(folder).strip())
        concept = fits[1].replace("_", " ").strip() if fits else ""
        if concept and concept.lower() not in _DULL:
            words.append(concept)
        words.extend(_top_tag(tags))
    return words


def _top_tag(tags: Any) -> list[str]:
    counts = (
        {tag.strip(): count for tag, count in tags.items() if isinstance(count, int)} if isinstance(tags, dict) else {}
    )
    return [max(counts, key=lambda tag: counts[tag])] if counts else []
