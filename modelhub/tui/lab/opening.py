"""Opening: a recipe from a file or a text, with the assets of its models as far as the catalog has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import CatalogReader
from modelhub.catalog.refs import resolve
from modelhub.errors import NotFoundError, UsageError
from modelhub.merge.recipes.files import read_recipe
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS
from modelhub.merge.recipes.recipe import ModelRef, Recipe
from modelhub.merge.recipes.telling import recipe_lines
from modelhub.text import one_line
from modelhub.tui.lab.recipes import LARGEST
from modelhub.tui.library import Library


@dataclass(frozen=True, slots=True)
class Opened:
    """A recipe, the assets of its models by letter as far as the catalog has them, and the file it was in, if any."""

    path: Path | None
    recipe: Recipe
    assets: Mapping[str, Asset]

    @property
    def fits_form(self) -> bool:
        """Whether the form can show it: one step over models of the catalog, and nothing that it has no field for."""
        recipe = self.recipe
        inputs = [recipe.base] if recipe.base else [*recipe.steps[-1].inputs]
        other = {recipe.vae} & recipe.models.keys()
        return (
            len(recipe.steps) <= 1
            and {*inputs, *recipe.baked, *other} <= set(self.assets)
            and {*recipe.take.values()} <= set(inputs)
            and recipe.take.keys() <= {ALL_TEXT_ENCODERS}
            and len(set(inputs)) == len(inputs) <= LARGEST
            and len(self.loras) == len(recipe.loras) == len(recipe.baked) <= LARGEST
            and bool(recipe.steps or recipe.loras)
        )

    @property
    def loras(self) -> list[tuple[Asset, float]]:
        """The LoRAs with one number each, as far as the catalog has them."""
        found = [(self.assets.get(lora.model), lora.weight) for lora in self.recipe.loras]
        return [(asset, weight) for asset, weight in found if asset is not None and isinstance(weight, float)]

    @property
    def lines(self) -> list[str]:
        """What the recipe says, for a person: its name, then a line for each step and one for all else."""
        where = f"  ({self.path})" if self.path else ""
        name = self.recipe.name or (self.path.stem if self.path else "a recipe without a name")
        return [one_line(f"{name}{where}"), *recipe_lines(self.recipe)]


def open_recipe(library: Library, path: Path) -> Opened:
    """Read a recipe file, and look its models up. Raises FileError, BadRecipeError."""
    return look_up(library, read_recipe(path), path)


def look_up(library: Library, recipe: Recipe, path: Path | None = None) -> Opened:
    """A recipe with what the catalog has of its models; `path` is the file it stands in."""
    found = {}
    with library.open() as catalog:
        for key, model in recipe.models.items():
            with suppress(UsageError):  # a model that is no asset is named by its path, or missing until it is needed
                found[key] = _asset(catalog, model)
    return Opened(path, recipe, found)


def find_assets(library: Library, paths: Iterable[str]) -> dict[str, Asset]:
    """The assets at these paths, as far as they are still there."""
    found = {}
    with library.open() as catalog:
        for path in paths:
            with suppress(UsageError):
                found[path] = resolve(catalog, path)
    return found


def _asset(catalog: CatalogReader, model: ModelRef) -> Asset:
    """What the catalog has of a model: by its content where it is known, whatever it is called now."""
    if model.sha256 and any(not asset.missing for asset in catalog.hashed(model.sha256)):
        return resolve(catalog, model.sha256)
    asset = resolve(catalog, model.ref)
    if model.sha256 and asset.sha256 not in (None, model.sha256):
        raise NotFoundError(f"'{model.ref}' is another file than the recipe was made with.")
    return asset
