"""Names of a merge's models as its metadata has them: those of the recipe, so that a renamed file changes nothing."""

from __future__ import annotations

import re

from modelhub.catalog.opener import Parent
from modelhub.formats.naming import is_model_name, last_part
from modelhub.merge.recipes.parts import ModelRef


def file_name(ref: ModelRef, parent: Parent) -> str:
    """The file name that a recipe knows a model by; its own name where the recipe has a number or a hash."""
    own, suffix = parent.path.name, _suffix(parent.path.name)
    last = last_part(ref.ref)
    if not last.strip(".") or is_number(last):
        return own
    return last if last.lower().endswith(suffix.lower()) else last + suffix


def title(ref: ModelRef, parent: Parent) -> str:
    """The same without its ending."""
    name = file_name(ref, parent)
    return name[: len(name) - len(_suffix(name))]


def bare_ref(ref: ModelRef, parent: Parent) -> str:
    """The name that another library finds the model by: its title, or all of a name that would look like a hash."""
    found = title(ref, parent)
    return file_name(ref, parent) if is_number(found) else found


def is_number(ref: str) -> bool:
    """Whether a REF is a number of one catalog, or digits of a hash."""
    return re.fullmatch(r"#\d+|[0-9a-fA-F]{6,64}", ref) is not None


def _suffix(name: str) -> str:
    """The ending of a file of weights; a folder has none, whatever dots are in its name."""
    return name[name.rfind(".") :] if is_model_name(name) else ""
