"""`X.json`: what the user typed into the cards of A1111 and Forge; `X.description.txt` and `X.txt` before that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelhub.formats.sidecars import values
from modelhub.formats.sidecars.convention import Convention, as_text, rename
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.text import from_either, prose, to_either

#: The choices of its `sd version`; other base models cannot be told to it.
_VERSIONS = ("SD1", "SD2", "SDXL", "Flux")
_KEYS = {
    "notes": "notes", "weight": "preferred weight", "base_model": "sd version", "description": "description",
    "trigger_words": "activation text", "negative_words": "negative text",
}  # fmt: skip


def _facts(raw: dict[str, Any], _model: Path) -> Partial:
    return {
        "description": values.text(raw, "description", clean=from_either),
        "notes": values.text(raw, "notes", clean=prose),
        "trigger_words": values.commas(raw, "activation text"),
        "negative_words": values.commas(raw, "negative text"),
        "weight": values.weight(raw, "preferred weight"),
        "base_model": values.clear_text(raw, "sd version"),
    }


def _update(raw: dict[str, Any], changed: Partial, _model: Path) -> None:
    written = {name: ", ".join(value) if isinstance(value, tuple) else value for name, value in changed.items()}
    if "description" in written:
        written["description"] = to_either(written["description"])
    if written.get("base_model") not in _VERSIONS:
        written.pop("base_model", None)
    rename(raw, written, _KEYS)


def _describes(text: str, _model: Path) -> Partial:
    return {"description": from_either(text) or None}


A1111 = Convention("a1111", ".json", _facts, frozenset(_KEYS), _update, weak=frozenset({"base_model"}))
DESCRIPTION = Convention("description", ".description.txt", _describes, parse=as_text)
TEXT = Convention("text", ".txt", _describes, parse=as_text)
