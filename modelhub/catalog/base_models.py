"""Words of providers for base models, kinds of models and parts of them, and what they mean: `base_models.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

from modelhub.catalog.data import data_path


def architecture_of(base_model: str | None, base_model_type: str | None = None) -> str | None:
    """The architecture that Civitai's `baseModel` and `baseModelType` mean; None for what is not known."""
    found = _meaning("architectures").get(_folded(base_model))
    changed: dict[str, str] = _table()["civitai"]["types"].get(base_model_type or "", {})
    return changed.get(found, found) if found else None


def kind_of(model_type: str | None) -> str | None:
    """The kind that Civitai's `type` of a model means; None for what is not known."""
    return _meaning("kinds").get(_folded(model_type))


def role_of(file_type: str | None) -> str:
    """What part Civitai's `type` of a file plays; "other" for what is not known."""
    return _meaning("roles").get(_folded(file_type), "other")


def base_models_of(architecture: str) -> tuple[str, ...]:
    """The base models that mean `architecture`, spelled as Civitai does it; () if it has none."""
    return tuple(_table()["civitai"]["architectures"].get(architecture, ()))


def types_of(kind: str) -> tuple[str, ...]:
    """The types of models that mean `kind`, spelled as Civitai does it; () if it has none."""
    return tuple(_table()["civitai"]["kinds"].get(kind, ()))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("base_models.toml").read_text(encoding="utf-8"))


@cache
def _meaning(section: str) -> dict[str, str]:
    """The words of a section and what each means; other tools write them in other cases."""
    rows: dict[str, list[str]] = _table()["civitai"][section]
    return {_folded(word): meaning for meaning, words in rows.items() for word in words}


def _folded(word: str | None) -> str:
    return (word or "").strip().casefold()
