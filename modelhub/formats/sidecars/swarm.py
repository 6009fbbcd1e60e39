"""`X.swarm.json`: SwarmUI's flat table of `modelspec.` keys, for files whose header it does not write to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelhub.formats.sidecars import values
from modelhub.formats.sidecars.convention import Convention, rename
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.text import from_html, to_html

_KEYS = {
    "name": "modelspec.title", "creator": "modelspec.author", "description": "modelspec.description",
    "licence": "modelspec.license", "trigger_words": "modelspec.trigger_phrase", "tags": "modelspec.tags",
    "weight": "modelspec.lora_default_weight", "prediction": "modelspec.prediction_type",
}  # fmt: skip


def _facts(raw: dict[str, Any], _model: Path) -> Partial:
    tensors = values.one_hash("autov3", raw.get("modelspec.hash_sha256") or raw.get("modelspec.hash"))
    return {
        "name": values.text(raw, "modelspec.title"),
        "creator": values.text(raw, "modelspec.author"),
        "description": values.text(raw, "modelspec.description", clean=from_html),
        "licence": values.text(raw, "modelspec.license"),
        "trigger_words": values.commas(raw, "modelspec.trigger_phrase"),
        "tags": values.listed(raw, "modelspec.tags") or values.commas(raw, "modelspec.tags"),
        "weight": values.weight(raw, "modelspec.lora_default_weight"),
        "prediction": values.prediction(raw.get("modelspec.prediction_type")),
        "hashes": {"autov3": tensors} if tensors else {},
    }


def _update(raw: dict[str, Any], changed: Partial, _model: Path) -> None:
    written = dict(changed)
    if "description" in written:
        written["description"] = to_html(written["description"])
    if "trigger_words" in written:
        written["trigger_words"] = ", ".join(written["trigger_words"])
    if "weight" in written:
        written["weight"] = str(written["weight"])
    rename(raw, written, _KEYS)


SWARM = Convention("swarm", ".swarm.json", _facts, frozenset(_KEYS), _update)
