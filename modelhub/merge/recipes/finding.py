"""Finding: a model of a recipe by its content, wherever that is; by its name; or beside the file with the recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.opener import Parent
from modelhub.errors import AmbiguousError, BadRecipeError, FileError, ModelhubError, NotFoundError, VanishedError
from modelhub.formats.naming import MODEL_SUFFIXES, last_part
from modelhub.merge.ancestry.table import ancestors_recipes
from modelhub.merge.recipes.parts import ModelRef
from modelhub.text import brief

Open = Callable[[str], Parent]


class Carrier(NamedTuple):
    """The file that a recipe stands in, with its metadata if it is a model."""

    path: Path
    metadata: Mapping[str, str]


def find(key: str, model: ModelRef, open: Open, carrier: Carrier | None = None) -> Parent:
    """Open the model `key` of a recipe, the first that has the content that it is pinned to.

    Raises what `open` raises, NotFoundError, and BadRecipeError when the only file of that name is another one.
    """
    error: ModelhubError | None = None
    other: Parent | None = None
    for word in _words(model, carrier):
        try:
            parent = open(word)
        except (NotFoundError, AmbiguousError, FileError) as failed:
            error = error if isinstance(error, FileError) or (error and word != model.ref) else failed
            continue
        if model.sha256 is None or parent.sha256 in (None, model.sha256):
            return parent
        other = parent if word != model.sha256 else other
    if other is not None:
        raise _is_another(key, model, other)
    assert error is not None, "the name itself was tried"
    raise _missing(model, carrier, error) from error


def _words(model: ModelRef, carrier: Carrier | None) -> Iterator[str]:
    """What it may be found by, the surest first."""
    if model.sha256:
        yield model.sha256
    if model.ref != model.sha256:
        yield model.ref
    if not (model.sha256 or (carrier and carrier.metadata)):
        return  # a name that a person wrote down is that, and no other
    name = last_part(model.ref)
    if name != model.ref:
        yield name
    if model.sha256 and carrier:
        yield from _beside(name, carrier.path.parent)


def _beside(name: str, folder: Path) -> Iterator[str]:
    for suffix in ("", *sorted(MODEL_SUFFIXES)):
        path = folder / f"{name}{suffix}"
        try:
            if path.exists():
                yield str(path)
        except (OSError, ValueError):  # a name that no file can have
            continue


def _is_another(key: str, model: ModelRef, other: Parent) -> BadRecipeError:
    pinned, found = (model.sha256 or "")[:10], (other.sha256 or "")[:10]
    return BadRecipeError(
        f"Model {key} of the recipe is '{brief(model.ref)}' with sha256 {pinned}…, and that name now is another file "
        f"({found}…).",
        "Name the right file, or take the sha256 out of the recipe.",
    )


def _missing(model: ModelRef, carrier: Carrier | None, error: ModelhubError) -> ModelhubError:
    """What is told of a model that is not found: of one with a known content, what can be done about it."""
    if not isinstance(error, NotFoundError | VanishedError) or (carrier is None and model.sha256 is None):
        return error
    by_hash = f" (sha256 {model.sha256[:10]}…)" if model.sha256 else ""
    what = f"The model '{brief(model.ref)}'{by_hash} is not in the library"
    if carrier and model.sha256 and model.sha256 in ancestors_recipes(carrier.metadata):
        return NotFoundError(
            f"{what}; it was a merge itself, and the file carries its recipe.",
            f"Make it first: `modelhub remake FILE --ancestor {model.sha256[:10]} -o OUT`.",
        )
    more = f", or get it: `modelhub get {model.sha256[:10]}`" if model.sha256 else ""
    return NotFoundError(f"{what}.", f"Scan the folder that it is in with `--hash fast`{more}.")
