"""recipe and lineage: how a merged file was made, of what, and which merges a model went into."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.merge_options import add_ancestor
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import wrapped
from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.merge.ancestry.lineage import Ancestor, Use
    from modelhub.merge.recipes.finding import Carrier
    from modelhub.merge.recipes.recipe import Recipe


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "recipe",
        _recipe,
        "Print the recipe that a merged file carries; that of another program as ours, with notes on what is lost.",
        "modelhub recipe C > C.toml",
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)
    add_ancestor(parser)
    parser = command(
        commands,
        "lineage",
        _lineage,
        "Show what a merge was made of, down to the first models, and which merges a model went into.",
        "modelhub lineage C",
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)


# -- recipe --------------------------------------------------------------------------------------------------------


def _recipe(context: Context) -> int:
    from modelhub.catalog.parents import OURS, recipe_key
    from modelhub.catalog.store import Catalog

    args = context.args
    with Catalog.open() as catalog:
        path, metadata = _carrier(catalog, args.ref)
    own = metadata[OURS] if recipe_key(metadata) == OURS else None
    if own is not None and args.ancestor is None:  # as it stands there, whatever becomes of it
        context.answer_exactly({"path": str(path), "recipe": own}, own)
        return 0
    recipe = _read(path, metadata, args.ancestor)
    for note in recipe.notes:
        context.say(f"note: {note}")
    text = recipe.dumps()
    context.answer_exactly({"path": str(path), "recipe": text, "notes": list(recipe.notes)}, text)
    return 0


def carried_recipe(catalog: Catalog, args: argparse.Namespace) -> tuple[Recipe, Carrier]:
    """The recipe of REF, or of its --ancestor, and the file that it stands in. Raises NotFoundError, BadRecipeError."""
    carrier = _carrier(catalog, args.ref)
    return _read(*carrier, args.ancestor), carrier


def _carrier(catalog: Catalog, ref: str) -> Carrier:
    from modelhub.catalog.refs import locate
    from modelhub.formats.opening import read_any_header
    from modelhub.merge.recipes.finding import Carrier

    path, _ = locate(catalog, ref)
    return Carrier(path, read_any_header(path)[1].metadata)


def _read(path: Path, metadata: Mapping[str, str], ancestor: str | None) -> Recipe:
    from modelhub.merge.recipes.remake import ancestor_recipe, recipe_of

    try:
        return recipe_of(metadata) if ancestor is None else ancestor_recipe(metadata, ancestor)
    except NotFoundError as error:
        raise NotFoundError(error.message.replace("The file", one_line(str(path)), 1), error.hint) from error
    except BadRecipeError as error:
        raise BadRecipeError(f"The recipe in {path}: {error.message}", error.hint) from error


# -- lineage -------------------------------------------------------------------------------------------------------


def _lineage(context: Context) -> int:
    from modelhub.catalog.refs import locate
    from modelhub.catalog.store import Catalog
    from modelhub.formats.opening import read_any_header
    from modelhub.merge.ancestry.lineage import in_library, lineage, uses

    with Catalog.open() as catalog:
        path, asset = locate(catalog, context.args.ref)
        metadata = read_any_header(path)[1].metadata
        sha256 = asset.sha256 if asset else None
        tree = lineage(metadata, in_library(catalog), name=path.name, sha256=sha256)
        used = uses(catalog, asset) if asset else []
    data = {"path": str(path), **tree.as_dict(), "used_by": [_use(one) for one in used]}
    context.answer(data, lambda: _lineage_lines(tree, used))
    return 0


def _use(use: Use) -> dict[str, Any]:
    return {"depth": use.depth, "id": use.asset.id, "name": use.asset.name, "path": str(use.asset.path)}


def _lineage_lines(tree: Ancestor, used: list[Use]) -> Iterator[str]:
    """The tree of what it was made of, and the merges that it went into."""
    yield Bold(one_line(tree.name))
    if not (tree.parents or tree.recipe):
        yield "  carries no recipe: it is no merge, or does not say so"
    yield from _made(tree, "  ")
    for child in tree.parents:
        yield from _branch(child, "  ")
    if used:
        yield ""
        yield Bold("merges that it went into")
        for use in used:
            way = "" if use.depth == 1 else f"  by way of {use.depth - 1} other{'s' * (use.depth > 2)}"
            yield one_line(f"  #{use.asset.id}  {use.asset.name}{way}")


def _branch(one: Ancestor, indent: str) -> Iterator[str]:
    """A parent with what is known of it, and below it its own parents."""
    place = f"  #{one.asset.id}" + ("  missing" if one.asset.missing else "") if one.asset else "  not in the library"
    hash = f"  {one.sha256[:10]}" if one.sha256 else ""
    letter = f"{one.letter}  " if one.letter else ""
    yield one_line(f"{indent}{letter}{one.name}{hash}{place}")
    yield from _made(one, indent + "   ")
    for child in one.parents:
        yield from _branch(child, indent + "   ")


def _made(one: Ancestor, indent: str) -> Iterator[str]:
    """How a merge was made, a line for each step."""
    from modelhub.merge.recipes.telling import lora_line, step_line

    steps, loras = (one.recipe.steps, one.recipe.loras) if one.recipe else ((), ())
    for step in steps:
        name = f"{step.name} = " if step.name else ""
        yield from wrapped(one_line(f"{indent}{name}{step_line(step)}"), len(indent) + 2)
    for lora in loras:
        yield from wrapped(one_line(f"{indent}LoRA {lora_line(lora)}"), len(indent) + 2)
    if one.note:
        yield from wrapped(one_line(f"{indent}({one.note})"), len(indent) + 2)
