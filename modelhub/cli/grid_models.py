"""Models of a grid, opened: a wish for a REF, a recipe with other numbers or a denoiser in a shell becomes a source."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from modelhub.catalog.opener import Parent as Opened
from modelhub.cli.context import Context
from modelhub.cli.picture_loras import picture_loras
from modelhub.cli.preview_models import Shown, beside, options, shown, shown_recipe
from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.merge.recipes.files import is_recipe, read_recipe
from modelhub.merge.recipes.finding import Carrier, find
from modelhub.merge.recipes.recipe import Recipe, simple_recipe
from modelhub.merge.recipes.varying import varied
from modelhub.settings import user_path
from modelhub.text import one_line

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.picture_loras import PictureLoras
    from modelhub.preview.grids.cells import Group
    from modelhub.preview.grids.family import Parent
    from modelhub.preview.grids.ready import Ready
    from modelhub.preview.grids.wish import Wish
    from modelhub.preview.prompts.embeddings import Embedding


class Wishes:
    """Makes the wishes of one grid come true; `texts` are all its prompts. Each note is said once."""

    def __init__(self, context: Context, catalog: Catalog, opener: Opener, texts: Sequence[str]) -> None:
        self._context, self._catalog, self._opener, self._texts = context, catalog, opener, texts
        self._embeddings: dict[str | None, list[Embedding]] = {}
        self.notes: dict[str, None] = {}

    def __call__(self, group: Group) -> Ready:
        """The model of a group, of which nothing is read but headers. Raises what opening and planning raise."""
        from modelhub.preview.grids.ready import Ready

        wish, request = group.wish, group.first
        context = self._telling(wish)
        loras = picture_loras(self._catalog, self._opener, request.prompt, wish.loras)
        found = self._shown(context, wish, loras)
        standing = beside(context, self._catalog, self._opener, found.identity)
        family = found.identity.architecture
        told: Any = options(
            context, self._catalog, self._opener, found, standing, request, embeddings=self._read(family)
        )
        return Ready(found.source, found.name, told, partial(self._worded, wish))

    def say(self, note: str) -> None:
        """Say a note, if it is new."""
        _Once(self._context.args, self._context, self.notes).say(f"note: {note}")

    def _telling(self, wish: Wish) -> Context:
        """A call of `preview` for this model alone."""
        args = Namespace(**vars(self._context.args))
        args.source, args.lora = wish.source, [*wish.loras]
        args.vae, args.refiner = wish.vae or None, wish.refiner or None
        return _Once(args, self._context, self.notes)

    def _shown(self, context: Context, wish: Wish, loras: PictureLoras) -> Shown:
        if wish.shell:
            recipe = simple_recipe("weighted-sum", [wish.shell, wish.source], parameters={"alpha": 1.0})
            name = f"{self._opener(wish.source).name} in {self._opener(wish.shell).name}"
            return shown_recipe(recipe, name, None, self._opener, loras)
        if not is_recipe(wish.source):
            return shown(context, self._opener, loras)
        path = user_path(wish.source)
        recipe = read_recipe(path)
        for note in recipe.notes:
            context.say(f"note: {note}")
        other = varied(recipe, dict(wish.parameters), dict(wish.blocks), dict(wish.models)) if wish.changes else recipe
        return shown_recipe(other, recipe.name or path.stem, Carrier(path, {}), self._opener, loras)

    def _worded(self, wish: Wish, prompt: str) -> str:
        return picture_loras(self._catalog, self._opener, prompt, wish.loras).prompt

    def _read(self, family: str | None) -> list[Embedding]:
        """The embeddings that any prompt names, for an architecture."""
        from modelhub.preview.prompts.named_embeddings import picture_embeddings

        if family not in self._embeddings:
            words = self._context.args.embedding
            found = picture_embeddings(self._catalog, self._texts, words, family, self._context.job)
            self._embeddings[family] = found
        return self._embeddings[family]


class _Once(Context):
    """A call in which no note is said that was said before."""

    def __init__(self, args: Namespace, outer: Context, said: dict[str, None]) -> None:
        super().__init__(args, outer.job, outer.progress)
        self._said = said

    def say(self, message: str) -> None:
        """Say it, if it is new."""
        if message not in self._said:
            self._said[message] = None
            super().say(message)


def parents_of(catalog: Catalog, opener: Opener, source: str) -> list[Parent]:
    """The models that a recipe file is about, or the recipe that a merged file carries; what can be rendered of them.

    Raises NotFoundError for a file without a recipe and models that are not there, BadRecipeError.
    """
    from modelhub.preview.grids.family import Parent

    recipe, carrier = _recipe_of(catalog, source)
    keys = [key for key in recipe.models if key not in recipe.baked]
    opened = {key: find(key, recipe.models[key], opener, carrier) for key in keys}
    kinds = {key: _kind(one) for key, one in opened.items()}
    found = [
        Parent(f"{key}: {opened[key].name}", str(opened[key].path), shell)
        for key in keys
        if kinds[key] in ("checkpoint", "diffusion-model")
        for shell in [_shell(key, keys, opened, kinds)]
    ]
    if not found:
        raise BadRecipeError(
            f"The recipe of {one_line(source)} names no model that can be rendered.", "Leave out --parents."
        )
    return found


def _shell(key: str, keys: Sequence[str], opened: dict[str, Opened], kinds: dict[str, str]) -> str:
    """A denoiser alone is shown in the first checkpoint."""
    if kinds[key] != "diffusion-model":
        return ""
    return next((str(opened[other].path) for other in keys if kinds[other] == "checkpoint"), "")


def _kind(parent: Opened) -> str:
    from modelhub.catalog.folder.original import in_original

    return in_original(parent.source)[1].kind


def _recipe_of(catalog: Catalog, source: str) -> tuple[Recipe, Carrier]:
    from modelhub.cli.recipe_commands import carried_recipe

    if is_recipe(source):
        path = user_path(source)
        return read_recipe(path), Carrier(path, {})
    try:
        return carried_recipe(catalog, Namespace(ref=source, ancestor=None))
    except NotFoundError as error:
        raise NotFoundError(error.message, "Name a recipe or a merge, or the parents beside it.") from error


def recipes_in(sources: Sequence[str]) -> Iterator[Recipe]:
    """Those of the sources that are recipe files."""
    for source in sources:
        if is_recipe(source):
            yield read_recipe(user_path(source))
