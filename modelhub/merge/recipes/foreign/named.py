"""Models of a foreign recipe: named by their hash, and by the name that the program wrote down beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.parts import ModelRef, is_sha256
from modelhub.text import brief

#: What AUTOMATIC1111 puts after a name: a space and ten digits in brackets.
_SHORT_HASH = re.compile(r"\s*\[[0-9a-f]{8,64}\]$")


def model_of(word: Any, known: Mapping[str, Any], what: str) -> ModelRef:
    """The model that a recipe names by hash or name; `known` is a table of models by hash (`sd_merge_models`).

    Raises BadRecipeError for what names nothing.
    """
    if not isinstance(word, str) or not word.strip():
        raise BadRecipeError(
            f"The recipe does not say what {what} is.", "Write the recipe down by hand, with its models."
        )
    digest = word.strip().lower()
    if not is_sha256(digest):
        return ModelRef(bare_name(word))
    entry = known.get(digest)
    name = entry.get("name") if isinstance(entry, dict) else None
    return ModelRef(bare_name(name) if isinstance(name, str) and name.strip() else digest, digest)


def bare_name(name: str) -> str:
    """A name without the short hash behind it; of a path below a folder of models, the last part."""
    name = _SHORT_HASH.sub("", name.strip())
    if name.startswith(("/", "~", "./")):
        return name
    last = re.split(r"[\\/]", name)[-1]
    return last or brief(name)
