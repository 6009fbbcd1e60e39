"""merge, methods, recipe: make one model of several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.pictures import check_pictures, save_pictures
from modelhub.cli.table import facts, wrapped
from modelhub.errors import NotFoundError, UsageError
from modelhub.formats.cast import PRECISIONS
from modelhub.merge.recipe import MERGE_VAE, Recipe, simple_recipe
from modelhub.merge.recipe_files import check_recipe_goal, is_recipe, read_recipe, write_recipe
from modelhub.merge.registry import methods
from modelhub.settings import user_path
from modelhub.text import human_seconds, human_size, is_utf8, one_line, plural

if TYPE_CHECKING:
    import argparse

    from modelhub.cli.options import Commands
    from modelhub.merge.execute import MergeReport
    from modelhub.merge.plan import Plan


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
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="the file to write, e.g. C.safetensors"
    )
    _add_parameters(parser)
    parser.add_argument(
        "--vae",
        metavar="REF",
        help=f"take the VAE of this model, e.g. --vae vae-ft-mse (default: A's; '{MERGE_VAE}' merges it too)",
    )
    parser.add_argument(
        "--dtype",
        choices=tuple(PRECISIONS),
        help="store weights in this precision, e.g. --dtype fp16 (default: as in A)",
    )
    parser.add_argument("--name", metavar="TEXT", default="", help='a title for the result, e.g. --name "soft stripes"')
    parser.add_argument("--force", action="store_true", help="replace OUT, and FILE and the picture, if they exist")
    parser.add_argument(
        "--save-recipe", metavar="FILE", type=Path, help="also write the recipe, e.g. --save-recipe my-merge.toml"
    )
    parser.add_argument(
        "--preview",
        metavar="PROMPT",
        help='first render a picture of the unwritten merge to OUT.preview.png, e.g. --preview "a cat"',
    )

    command(
        commands, "methods", _methods, "List the merge methods with their formulas and parameters.", "modelhub methods"
    )
    parser = command(
        commands, "recipe", _recipe, "Print the recipe that a merged file carries.", "modelhub recipe C > C.toml"
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    """One option per parameter name that any method has."""
    helps: dict[str, list[str]] = {}
    for method in methods().values():
        for p in method.parameters:
            helps.setdefault(p.name, []).append(f"{method.name}: {p.help} (default {p.default:g})")
    for name, lines in helps.items():
        parser.add_argument(f"--{name}", metavar="X", type=float, help=f"{'; '.join(lines)}, e.g. --{name} 0.3")


def _asked_recipe(args: argparse.Namespace) -> Recipe:
    if is_recipe(args.what):
        if args.refs:
            raise UsageError("A recipe names its models itself.", "Leave out the REFs, or name a method.")
        said = [*_parameters(args), *(name for name in ("vae", "dtype", "name") if getattr(args, name))]
        if said:
            raise UsageError(f"A recipe sets its {said[0]} itself.", f"Leave out --{said[0]}, or edit {args.what}.")
        return read_recipe(user_path(args.what))
    return simple_recipe(
        args.what,
        args.refs,
        name=args.name or args.output.stem,
        parameters=_parameters(args),
        vae=args.vae,
        dtype=args.dtype,
    )


def _parameters(args: argparse.Namespace) -> dict[str, float]:
    """The numbers that the user gave, by the names that methods have for them."""
    names = {parameter.name for method in methods().values() for parameter in method.parameters}
    return {name: value for name in sorted(names) if (value := getattr(args, name)) is not None}


def _merge(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.merge.execute import merge
    from modelhub.merge.plan import plan
    from modelhub.scan.adding import add_written

    args = context.args
    recipe = _asked_recipe(args)
    with Catalog.open() as catalog:
        with Opener(catalog, job=context.job) as headers:  # what headers alone can refuse, before gigabytes are hashed
            planned = plan(recipe, headers)
            _check_goals(planned, args)
            if args.dry_run:
                _answer_plan(context, planned)
                return 0
        with Opener(catalog, hashed=True, job=context.job) as opener:
            planned = plan(recipe, opener)
            if args.preview:
                _preview(context, planned)
            report = merge(planned, args.output, force=args.force, job=context.job)
        if args.save_recipe:
            write_recipe(planned.header.metadata["modelhub.recipe"], args.save_recipe, force=args.force)
        number = add_written(catalog, report.written)
    context.answer(_merge_json(report, number), lambda: _merge_lines(report, number))
    return 0


def _check_goals(planned: Plan, args: argparse.Namespace) -> None:
    """Raise what would come of writing the merge, its recipe and its picture, before any of it is begun."""
    from modelhub.merge.execute import check_goal

    if not is_utf8(str(args.output.absolute())):  # bytes of the shell that the catalog cannot hold
        raise UsageError(f"{args.output} is not a name in UTF-8.", "Choose another name.")
    check_goal(planned, args.output, force=args.force)
    if args.save_recipe:
        check_recipe_goal(args.save_recipe, force=args.force)
    if args.preview:
        check_pictures(_preview_path(args), 1, force=args.force)


def _preview_path(args: argparse.Namespace) -> Path:
    goal: Path = args.output.with_suffix(".preview.png")
    return goal


def _answer_plan(context: Context, planned: Plan) -> None:
    report = planned.report
    data: dict[str, Any] = {
        "size": planned.header.file_size,
        "merged": len(report.merged),
        "copied": len(report.copied),
        "dropped": len(report.dropped),
        "warnings": report.warnings,
        "recipe": planned.recipe.dumps(),
    }

    def lines() -> Iterator[str]:
        yield one_line(f"would write {context.args.output}: {human_size(data['size'])}")
        yield f"{plural(data['merged'], 'tensor')} merged, {data['copied']:,} copied, {data['dropped']:,} left out"
        yield from (one_line(f"warning: {warning}") for warning in report.warnings)
        yield ""
        yield data["recipe"].rstrip()

    context.answer(data, lines)


def _preview(context: Context, planned: Plan) -> None:
    from modelhub.preview.render import Renderer, Request

    path = _preview_path(context.args)
    name = planned.recipe.name or context.args.output.stem
    renderer = Renderer(planned, name=name, recipe=planned.header.metadata["modelhub.recipe"], job=context.job)
    rendering = renderer.render(Request(context.args.preview), job=context.job)
    save_pictures(rendering, path, force=context.args.force)
    context.say(one_line(f"preview of the unwritten merge: {path}"))


def _merge_json(report: MergeReport, number: int) -> dict[str, Any]:
    written = report.written
    return {
        "id": number,
        "path": str(written.path),
        "size": written.size,
        "sha256": written.sha256,
        "autov3": written.autov3,
        "tensors": written.tensors,
        "merged": report.merged,
        "copied": report.copied,
        "dropped": report.dropped,
        "warnings": list(report.warnings),
        "seconds": report.seconds,
    }


def _merge_lines(report: MergeReport, number: int) -> Iterator[str]:
    written = report.written
    yield Bold(one_line(f"{written.path}  #{number}"))
    done = f"{plural(report.merged, 'tensor')} merged, {report.copied:,} copied, {report.dropped:,} left out"
    yield from facts(
        [
            ("size", human_size(written.size)),
            ("sha256", written.sha256 or ""),
            ("tensors", done),
            ("time", human_seconds(report.seconds)),
        ]
    )


def _methods(context: Context) -> int:
    found = methods().values()
    data = [
        {
            "name": m.name,
            "title": m.title,
            "inputs": m.inputs,
            "formula": m.formula,
            "help": m.help,
            "parameters": [asdict(p) for p in m.parameters],
        }
        for m in found
    ]

    def lines() -> Iterator[str]:
        for m in found:
            yield Bold(f"{m.name}  {' '.join('ABCDEFGH'[: m.inputs])}")
            yield f"    {m.formula}"
            for p in m.parameters:
                yield f"    --{p.name}  {p.help} (default {p.default:g}, usually {p.low:g} to {p.high:g})"
            yield from wrapped("    " + " ".join(m.help.split()), 4)
            yield ""

    context.answer(data, lines)
    return 0


def _recipe(context: Context) -> int:
    from modelhub.catalog.refs import locate
    from modelhub.catalog.store import Catalog
    from modelhub.formats.safetensors import read_header

    with Catalog.open() as catalog:
        path, _ = locate(catalog, context.args.ref)
    text = read_header(path).metadata.get("modelhub.recipe")
    if text is None:
        raise NotFoundError(f"{path} carries no recipe.", "Only files that modelhub merged do.")
    context.answer_exactly({"path": str(path), "recipe": text}, text)
    return 0
