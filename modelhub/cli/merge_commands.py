"""merge and remake: make one model of several, by a method, by a recipe, or as a merged file says it was made."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.merge_options import add_ancestor, add_parameters, asked_names, asked_parameters
from modelhub.cli.merge_words import merge_json, merge_lines, plan_json, plan_lines
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.cli.picture_loras import PictureLoras, picture_loras, shown_with
from modelhub.errors import UsageError
from modelhub.formats.cast import PRECISIONS
from modelhub.jobs import QUIET, Job
from modelhub.lora.baking.words import read_lora
from modelhub.merge.recipes.files import check_recipe_goal, is_recipe, read_recipe, write_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.parts import component_called
from modelhub.merge.recipes.recipe import MERGE_VAE, Recipe, simple_recipe
from modelhub.preview.pictures.saving import check_pictures, save_pictures
from modelhub.settings import user_path
from modelhub.text import is_utf8, one_line

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.cli.preview_models import Usual
    from modelhub.merge.planning.plan import Plan


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "merge",
        _merge,
        "Merge models by a method, or by a recipe file.",
        "modelhub merge weighted-sum A B --alpha 0.3 -o C.safetensors",
        reads=False,
    )
    parser.add_argument(
        "what",
        metavar="METHOD|RECIPE.toml",
        help="a method of `modelhub methods`, e.g. weighted-sum, or a recipe, e.g. my-merge.toml",
    )
    parser.add_argument("refs", metavar="REF", nargs="*", help=f"the models A, B, …, each {REF_HELP}")
    add_making(parser)
    add_parameters(parser.add_argument_group("settings", "`modelhub methods METHOD` tells which ones a method has"))
    _add_components(parser.add_argument_group("components"))
    _add_form(parser.add_argument_group("form of the result"))

    parser = command(
        commands,
        "remake",
        _remake,
        "Make a merged file again, by the recipe that it carries.",
        "modelhub remake C -o again.safetensors",
        reads=False,
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)
    add_ancestor(parser)
    add_making(parser)


def add_making(parser: argparse.ArgumentParser) -> None:
    """Where the result goes, and what is made besides it."""
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=path_word, required=True, help="the file to write, e.g. C.safetensors"
    )
    parser.add_argument(
        "--hash",
        action="store_true",
        help="also make the SHA256 of the result, which takes longer; else `scan --hash fast` makes it later",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT, and FILE and the picture, if they exist")
    parser.add_argument(
        "--save-recipe", metavar="FILE", type=path_word, help="also write the recipe, e.g. --save-recipe my-merge.toml"
    )
    parser.add_argument(
        "--preview",
        metavar="PROMPT",
        help='first render a picture of the unwritten merge to OUT.preview.png, e.g. --preview "a cat"',
    )


def _add_components(group: argparse._ArgumentGroup) -> None:
    """What becomes of the parts of a model."""
    group.add_argument(
        "--only",
        metavar="PART,…",
        type=_words,
        default=(),
        help="merge only these components (unet, te1, te2, t5, vae) and copy the others from A, e.g. --only unet,te1",
    )
    group.add_argument(
        "--text-encoder",
        metavar="A|B|REF",
        help="take the text encoders of this model as they are, e.g. --text-encoder B (default: they are merged)",
    )
    group.add_argument(
        "--vae",
        metavar="A|B|REF",
        help=f"take the VAE of this model, e.g. --vae vae-ft-mse (default: A's; '{MERGE_VAE}' merges it too)",
    )
    group.add_argument(
        "--take",
        metavar="PART=A|B|REF",
        type=_taken,
        action="append",
        default=[],
        help="take one component of this model as it is, e.g. --take te2=B; may be given several times",
    )
    group.add_argument(
        "--lora",
        metavar="REF:WEIGHT",
        action="append",
        default=[],
        help="bake this LoRA into the result; a number, words as for --blocks, e.g. --lora my-style:0.8, --lora "
        "my-style:0.8,te=0.5,IN04-IN08=0; may be given several times (default: 1)",
    )
    group.add_argument(
        "--ema",
        choices=("keep", "drop"),
        help="what becomes of A's EMA weights, e.g. --ema keep (default: drop, a merge makes them stale)",
    )


def _add_form(group: argparse._ArgumentGroup) -> None:
    """How numbers are computed and stored, and the title."""
    group.add_argument(
        "--compat",
        choices=("a1111",),
        help="compute as another program does, bit by bit, e.g. --compat a1111 (default: in fp32, rounded once)",
    )
    group.add_argument(
        "--dtype",
        choices=tuple(PRECISIONS),
        help="store weights in this precision, e.g. --dtype fp16 (default: as in A)",
    )
    group.add_argument("--name", metavar="TEXT", default="", help='a title for the result, e.g. --name "soft stripes"')


def _words(text: str) -> tuple[str, ...]:
    words = tuple(text.lower().replace(",", " ").split())
    if not words:
        raise argparse.ArgumentTypeError("an empty word names no component")
    return words


def _taken(text: str) -> tuple[str, str]:
    part, sign, ref = text.partition("=")
    if not (sign and part.strip() and ref.strip()):
        raise argparse.ArgumentTypeError(f"'{text}' is not such as te2=B")
    return component_called(part.strip().lower()), ref.strip()


def _asked_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe of the file, or of the method with its options. Raises UsageError, BadRecipeError, NotFoundError."""
    if is_recipe(args.what):
        _check_nothing_said(args)
        return read_recipe(user_path(args.what))
    take = dict([("text_encoder", args.text_encoder)] if args.text_encoder else []) | dict(args.take)
    return simple_recipe(
        args.what,
        args.refs,
        name=args.name or args.output.stem,
        parameters=asked_parameters(args),
        only=args.only,
        vae=args.vae,
        take=take,
        dtype=args.dtype,
        ema=args.ema or "drop",
        compat=args.compat,
        loras=[read_lora(text) for text in args.lora],
    )


def _check_nothing_said(args: argparse.Namespace) -> None:
    """A recipe says all that options say for a method."""
    if args.refs:
        raise UsageError("A recipe names its models itself.", "Leave out the REFs, or name a method.")
    options = ("only", "text-encoder", "vae", "take", "lora", "ema", "compat", "dtype", "name")
    said = [*asked_names(args), *(f"--{name}" for name in options if getattr(args, name.replace("-", "_")))]
    if said:
        raise UsageError(f"A recipe says itself what {said[0]} says.", f"Leave out {said[0]}, or edit {args.what}.")


def _merge(context: Context) -> int:
    from modelhub.catalog.store import Catalog

    what = context.args.what
    recipe = _asked_recipe(context.args)
    with Catalog.open() as catalog:
        make(context, catalog, recipe, Carrier(user_path(what), {}) if is_recipe(what) else None)
    return 0


def _remake(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.cli.recipe_commands import carried_recipe

    with Catalog.open() as catalog:
        recipe, carrier = carried_recipe(catalog, context.args)
        make(context, catalog, recipe, carrier)
    return 0


def make(context: Context, catalog: Catalog, recipe: Recipe, carrier: Carrier | None) -> None:
    """Plan, check, and then write the merge of a recipe, which may stand in a file; the goal is what was asked for."""
    from modelhub.catalog.opener import Opener
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.engine.starting import start_torch
    from modelhub.merge.planning.plan import plan

    args = context.args
    for note in recipe.notes:
        context.say(f"note: {note}")
    with Opener(catalog, job=context.job) as headers:  # what headers alone can refuse, before gigabytes are hashed
        planned = plan(recipe, headers, carrier, changes)
        _check_goals(planned, args)
        loras = picture_loras(catalog, headers, args.preview or "", [])
        if args.preview is not None:
            _usual(context, context.job if args.dry_run else QUIET, catalog, planned, loras, headers)
        if args.dry_run:
            context.answer(plan_json(planned), lambda: plan_lines(planned, args.output))
            return
    if planned.computes:
        start_torch()
    with Opener(catalog, hashed=True, job=context.job) as opener:
        planned = plan(recipe, opener, carrier, changes)
        if args.preview is not None:
            _preview(context, catalog, planned, loras, opener)
        _write(context, catalog, planned)


def _write(context: Context, catalog: Catalog, planned: Plan) -> None:
    """The file, its recipe and its row."""
    from modelhub.merge.execute import merge
    from modelhub.scan.adding import add_written

    args = context.args
    report = merge(planned, args.output, force=args.force, hashes=args.hash, job=context.job)
    if args.save_recipe:
        write_recipe(planned.recipe.dumps(), args.save_recipe, force=args.force)
    number = add_written(catalog, report.written)
    context.answer(merge_json(report, number), lambda: merge_lines(report, number))


def _check_goals(planned: Plan, args: argparse.Namespace) -> None:
    """Raise what would come of writing the merge, its recipe and its picture, before any of it is begun."""
    from modelhub.merge.execute import check_goal

    if not is_utf8(str(args.output.absolute())):  # bytes of the shell that the catalog cannot hold
        raise UsageError(f"{args.output} is not a name in UTF-8.", "Choose another name.")
    check_goal(planned, args.output, force=args.force)
    if args.save_recipe:
        check_recipe_goal(args.save_recipe, force=args.force)
    if args.preview is not None:
        check_pictures(_preview_path(args), 1, force=args.force)


def _preview_path(args: argparse.Namespace) -> Path:
    goal: Path = args.output.with_suffix(".preview.png")
    return goal


def _preview(context: Context, catalog: Catalog, planned: Plan, loras: PictureLoras, opener: Opener) -> None:
    """Render the unwritten merge, and save the picture."""
    from modelhub.cli.preview_models import render_usual

    path = _preview_path(context.args)
    rendering = render_usual(context, _usual(context, context.job, catalog, planned, loras, opener))
    save_pictures(rendering.pictures, path, force=context.args.force)
    context.say(one_line(f"preview of the unwritten merge: {path}"))
    for warning in rendering.pictures[0].warnings:
        context.say(f"warning: {warning}")


def _usual(context: Context, job: Job, catalog: Catalog, planned: Plan, loras: PictureLoras, opener: Opener) -> Usual:
    """The unwritten merge with the LoRAs that the prompt names, ready to be rendered as suits its architecture."""
    from modelhub.cli.preview_models import usual
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.planning.plan import plan

    name = planned.recipe.name or context.args.output.stem
    again = partial(plan, open=opener, bake=changes)
    source, told = shown_with(
        loras, planned.recipe, opener, lambda one: planned if one is planned.recipe else again(one)
    )
    return usual(job, catalog, opener, source, loras.prompt, name, told)
