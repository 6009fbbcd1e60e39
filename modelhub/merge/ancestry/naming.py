"""Names of a merge's models as its metadata has them: those of the recipe, so that a renamed file changes nothing."""

from __future__ import annotations

import re

from modelhub.catalog.opener import Parent
from modelhub.merge.recipes.parts import ModelRef


def file_name(ref: ModelRef, parent: Parent) -> str:
    """The file name that a recipe knows a model by; its own name where the recipe has a number or a hash."""
    own, suffix = parent.path.name, parent.path.suffix
    last = re.split(r"[\\/]", ref.ref)[-1]
    if not last or re.fullmatch(r"#\d+|[0-9a-fA-F]{6,64}", last):
        return own
    return last if last.lower().endswith(suffix.lower()) else last + suffix


def title(ref: ModelRef, parent: Parent) -> str:
    """The same without its ending."""
    return file_name(ref, parent).removesuffix(parent.path.suffix)
