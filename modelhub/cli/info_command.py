"""info: how pictures were made, and which of their models are here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelhub.cli.each_file import each_file
from modelhub.cli.options import command, path_word
from modelhub.errors import NotFoundError, UsageError
from modelhub.text import one_line

if TYPE_CHECKING:
    from modelhub.cli.context import Context
    from modelhub.cli.options import Commands
    from modelhub.preview.pictures.generation import Generation
    from modelhub.preview.pictures.owned import Owned


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "info",
        _info,
        "Tell how pictures were made (A1111, Forge, ComfyUI, SwarmUI, InvokeAI, Fooocus, NovelAI, Civitai and modelhub "
        "itself), and which of their models are here.",
        "modelhub info 00012-42.png",
    )
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=path_word, help="a PNG, JPEG, WebP or AVIF file, e.g. 00012-42.png"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--infotext", action="store_true", help="print the infotext alone, as A1111 would read it")
    which.add_argument(
        "--recipe",
        action="store_true",
        help="print the recipe of a merge that was never written, e.g. modelhub info a.png --recipe > mix.toml",
    )


def _info(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader
    from modelhub.cli.info_words import generation_lines, infotext_lines
    from modelhub.preview.pictures.owned import owned
    from modelhub.preview.pictures.reading.read import read_generation

    if context.args.recipe:
        return _recipe(context)
    found: dict[str, tuple[Generation, list[Owned]]] = {}
    with CatalogReader.open() as catalog:

        def work(path: Any) -> dict[str, Any]:
            generation = read_generation(path)
            models = list(owned(catalog, generation.models))
            found[str(path)] = generation, models
            return {"path": str(path), **generation.as_dict(), "models": [one.as_dict() for one in models]}

        def lines(data: dict[str, Any]) -> Iterator[str]:
            generation, models = found[data["path"]]
            if context.args.infotext:
                return infotext_lines(generation)
            return generation_lines(data["path"], generation, models)

        return each_file(context, context.args.images, work, lines)


def _recipe(context: Context) -> int:
    """Print the recipe in one picture as it is."""
    from modelhub.preview.pictures.reading.read import read_generation

    if len(context.args.images) > 1:
        raise UsageError("--recipe prints the recipe of one picture.", "Name one IMAGE.")
    (path,) = context.args.images
    recipe = read_generation(path).recipe
    if recipe is None:
        raise NotFoundError(
            f"{one_line(str(path))} holds no recipe.", "Pictures of merges that `modelhub preview` made have one."
        )
    context.answer_exactly({"path": str(path), "recipe": recipe}, recipe)
    return 0
