"""Lineage: which models went into a merge, and into those, as far as files and the library tell; and what came of one.

A file carries the recipes of its ancestors, so that none of their files is needed; what it does not carry, the
library's own files may tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from modelhub.catalog.asset import Asset
from modelhub.catalog.parents import DIRECT, OURS, RECIPES, merged_from
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import FileError, ModelhubError
from modelhub.formats.naming import last_part
from modelhub.formats.opening import read_any_header
from modelhub.merge.ancestry.table import ancestors_recipes
from modelhub.merge.recipes.parts import ModelRef, Recipe
from modelhub.merge.recipes.remake import recipe_of

#: Generations, and models in all, that are followed.
_DEEPEST, _MOST = 30, 1000


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model and what it was made of.

    `letter` is what its child's recipe calls it; `asset` is the file in the library, if there is one. `recipe` is None
    for what is no merge, or for a merge that `note` tells of: its recipe cannot be read, or it was shown before.
    """

    name: str
    sha256: str | None
    letter: str = ""
    asset: Asset | None = None
    recipe: Recipe | None = None
    parents: tuple[Ancestor, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The tree as plain values for JSON; `steps` has the methods with parameters and inputs."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "letter": self.letter or None,
            "id": self.asset.id if self.asset else None,
            "path": str(self.asset.path) if self.asset else None,
            "missing": self.asset.missing if self.asset else None,
            "steps": [step.as_table() for step in self.recipe.steps] if self.recipe else [],
            "loras": [lora.as_table() for lora in self.recipe.loras] if self.recipe else [],
            "note": self.note or None,
            "parents": [parent.as_dict() for parent in self.parents],
        }


class Known(NamedTuple):
    """A file of the library, and its metadata as far as it is a merge."""

    asset: Asset
    metadata: Mapping[str, str]


#: Finds a model in the library, by its hash or else by its name.
Find = Callable[[ModelRef], Known | None]


def in_library(catalog: CatalogReader) -> Find:
    """Finds models among the assets of a catalog; the headers of merges are read, which costs no hashing."""

    def find(ref: ModelRef) -> Known | None:
        found = catalog.hashed(ref.sha256) if ref.sha256 else catalog.named(last_part(ref.ref))
        here = [asset for asset in found if not asset.missing] or found
        if not here or (not ref.sha256 and len(here) > 1):
            return None
        return Known(here[0], _metadata(catalog, here[0]))

    return find


def _metadata(catalog: CatalogReader, asset: Asset) -> Mapping[str, str]:
    if not asset.missing and (asset.recipe or catalog.parents(asset.id)):
        try:
            return read_any_header(asset.path)[1].metadata
        except FileError:
            pass  # the row knows at least our own recipe
    return {OURS: asset.recipe} if asset.recipe else {}


def lineage(metadata: Mapping[str, str], find: Find, *, name: str, sha256: str | None = None) -> Ancestor:
    """The tree of models that a file with this metadata was made of, itself on top."""
    return _Climber(find).climb(ModelRef(name, sha256), "", metadata, 0)


@dataclass
class _Climber:
    """Goes up, generation by generation; `carried` grows with what files on the way carry."""

    find: Find
    carried: dict[str, Mapping[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    count: int = 0

    def climb(self, ref: ModelRef, letter: str, metadata: Mapping[str, str] | None, depth: int) -> Ancestor:
        """The tree above one model; `metadata` where it is at hand."""
        known = self.find(ref)
        said = metadata or self.carried.get(ref.sha256 or "") or (known.metadata if known else {})
        found = Ancestor(self._name(ref, said, known), ref.sha256, letter, known.asset if known else None)
        if not any(said.get(key) for key in RECIPES):
            return found
        key = ref.sha256 or ref.ref
        self.count += 1
        if key in self.seen:
            return replace(found, note="shown above")
        if depth >= _DEEPEST or self.count > _MOST:
            return replace(found, note="a merge, whose own parents are not followed any further")
        self.seen.add(key)
        for source in (said, known.metadata if known else {}):
            self.carried = {**ancestors_recipes(source), **self.carried}
            self.names |= {one.sha256: one.name for one in merged_from(source) if one.sha256 and one.name}
        return self._read(found, said, depth)

    def _name(self, ref: ModelRef, said: Mapping[str, str], known: Known | None) -> str:
        """What the recipe calls a model; of one that it knows by its hash alone, what others call it."""
        if ref.ref.lower() != ref.sha256:
            return last_part(ref.ref)
        return said.get("name") or self.names.get(ref.sha256) or (known.asset.name if known else ref.ref)

    def _read(self, found: Ancestor, said: Mapping[str, str], depth: int) -> Ancestor:
        try:
            recipe = recipe_of(said)
        except ModelhubError as error:
            direct = [one for one in merged_from(said) if one.depth == DIRECT]
            refs = [("", ModelRef(one.name or one.sha256, one.sha256 or None)) for one in direct]
            return replace(found, parents=tuple(self._parents(refs, depth)), note=error.message)
        return replace(found, recipe=recipe, parents=tuple(self._parents([*recipe.models.items()], depth)))

    def _parents(self, refs: list[tuple[str, ModelRef]], depth: int) -> Iterator[Ancestor]:
        for letter, ref in refs:
            yield self.climb(ref, letter, None, depth + 1)


class Use(NamedTuple):
    """A merge of the library that a model went into: `depth` 1 as a parent, 2 by way of another merge."""

    depth: int
    asset: Asset


def uses(catalog: CatalogReader, asset: Asset) -> list[Use]:
    """The merges of the library that an asset went into, as parent or ancestor, the nearest first."""
    return [Use(depth, found) for depth, found in catalog.merges_of(asset)]
