"""grid: pictures over the values of up to three axes, on one sheet with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.grid_words import LETTERS
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.cli.preview_options import add_prompts, add_settings, asked
from modelhub.cli.preview_requests import request_like
from modelhub.errors import UsageError
from modelhub.preview.usual import slow_notes, usual_request

if TYPE_CHECKING:
    import argparse

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.grid_layout import Layout
    from modelhub.cli.grid_models import Wishes
    from modelhub.cli.options import Commands
    from modelhub.preview.grids.axes import Axis
    from modelhub.preview.grids.cells import Group
    from modelhub.preview.grids.drawing import Place
    from modelhub.preview.grids.family import Compared
    from modelhub.preview.grids.painting import Painted
    from modelhub.preview.grids.ready import Checked

_AXIS_HELP = {
    "x": "what differs from left to right, e.g. --x 'alpha=0-1[5]', --x 'sampler=Euler a,DPM++ 2M Karras'",
    "y": "from top to bottom, e.g. --y seed=1-4",
    "z": "from page to page, e.g. --z prompt=red,green,blue",
}
_EXAMPLES = """modelhub grid my-merge.toml --x "alpha=0-1[5]" --y seed=1-3 -p "a red circle" -o grid.png
  modelhub grid my-merge.toml --x IN04=0,0.5,1 --y OUT03-OUT05=0,1 -p "a cat" -o blocks.png
  modelhub grid my-merge.toml --x B=photo,anime --y "alpha=0.2-0.8[3]" -p "a cat" -o partners.png
  modelhub grid A B C --y seed=1-4 -p "a cat" -o models.png
  modelhub grid my-merge.toml --parents --y seed=1-4 -p "a cat" --report -o beside.png
  modelhub grid A --x sampler="Euler a","DPM++ 2M" --y "steps=10-30(+10)" --z cfg=3,7 -p "a cat" -o s.png
  modelhub grid A --x "lora:my-style=0-1[5]" --y prompt=cat,dog,bird -p "a cat" -o style.png"""
_AXES = """\
axes:
  a setting       seed, steps, cfg, sampler, schedule, clip-skip, size, guidance, variation, denoise, hires, \
hires-steps, upscaler, switch-at, emphasis, rng, ensd, eta, churn, noise, rho, sigma-min, ...; A1111's names do, too
  text            prompt, negative: each value in the place of the first; prompt-order: these words in every order
  models          model, vae, refiner (none: the model's own, or none), lora:NAME for its strength
  a recipe's      its parameters, such as alpha (of the second step: 2.alpha), blocks, such as IN04 or OUT03-OUT05, \
and models by their letters: B=NAME,NAME
values:
  1,2,5           these, numbers or words; "a, b",c where one has a comma
  1-5             all whole numbers; 1-10(+3) every third; 0-1[5] five, evenly spaced (a shell wants these in quotes)"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "grid",
        _grid,
        "Render pictures over the values of up to three axes, on one sheet with labels.",
        _EXAMPLES,
        reads=False,
    )
    parser.description = f"{parser.description}\n\n{_AXES}"
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help=f"{REF_HELP}; or a recipe, e.g. my-merge.toml; several are an axis of their own",
    )
    for letter in LETTERS:
        parser.add_argument(f"--{letter}", metavar="AXIS=VALUES", action="append", help=_AXIS_HELP[letter])
    add_prompts(parser)
    parser.add_argument(
        "-o", "--output", metavar="GRID.png", type=path_word, required=True, help="the sheet, e.g. grid.png"
    )
    parser.add_argument("--parents", action="store_true", help="put the parents of a recipe or a merge beside it")
    parser.add_argument(
        "--report", action="store_true", help="compare the merge with its parents, in numbers and words"
    )
    parser.add_argument(
        "--cells", metavar="DIR", type=path_word, help="also save each picture with its own infotext, e.g. --cells out"
    )
    add_settings(parser)
    parser.add_argument("--force", action="store_true", help="replace GRID.png and pictures in DIR if they exist")


def _grid(context: Context) -> int:
    from modelhub.catalog.opener import SharedOpener
    from modelhub.catalog.store import Catalog

    args = context.args
    if args.prompt is None and args.like is None:
        raise UsageError("The following arguments are required: -p PROMPT.", "See `modelhub grid --help`.")
    _check_goals(args)
    if args.download_tokenizer:
        from modelhub.cli.tokenizer_download import get_tokenizer

        get_tokenizer(context)
    with Catalog.open() as catalog, SharedOpener(catalog, job=context.job) as opener:
        _make(context, catalog, opener)
    return 0


def _make(context: Context, catalog: Catalog, opener: Opener) -> None:
    from modelhub.cli.grid_layout import architecture_of, axes_named, cells_of, layout, texts_of
    from modelhub.cli.grid_models import Wishes
    from modelhub.cli.grid_words import Done, done_json, done_lines, plan_json, plan_lines
    from modelhub.preview.grids.cells import in_order

    began, args = perf_counter(), context.args
    like = request_like(args.like)
    notes, args.lora = like.notes, [*like.loras, *args.lora]
    for note in notes:
        context.say(f"note: {note}")
    usual = like.request or usual_request(architecture_of(opener, args.sources[0]))
    request = asked(args, usual, axes_named(args))
    laid = layout(catalog, opener, args, request)
    cells = cells_of(laid.axes, args, request)
    wishes = Wishes(context, catalog, opener, [*dict.fromkeys(texts_of(cells))])
    groups = [_checked(wishes, group, context) for group in in_order(cells)]
    _check_room(laid, groups, args)
    if args.dry_run:
        context.answer(plan_json(args.output, laid, groups), lambda: plan_lines(args.output, laid, groups))
        return
    painted = _paint(context, laid.axes, groups)
    _save(args, laid.axes, painted)
    for note in dict.fromkeys(note for one in painted.values() for note in one.notes):
        wishes.say(note)
    notes += [note.removeprefix("note: ") for note in wishes.notes]
    done = Done(args.output, laid, painted, _reports(laid, painted), notes, perf_counter() - began)
    context.answer(done_json(done, report=args.report), lambda: done_lines(done, report=args.report))


def _check_goals(args: argparse.Namespace) -> None:
    from modelhub.formats.images import check_png

    check_png(args.output, force=args.force)
    if args.cells is not None and args.cells.exists() and not args.cells.is_dir():
        raise UsageError(f"{args.cells} is not a folder.", "Name a folder for the pictures.")
    if args.cells is not None and not args.cells.parent.is_dir():
        raise UsageError(f"{args.cells.parent} is not a folder.", "Create it first.")


def _checked(wishes: Wishes, group: Group, context: Context) -> Checked:
    from modelhub.preview.grids.ready import checked

    context.job.check()
    found = checked(group, wishes(group))
    for note in slow_notes(found.identity.architecture, context.args.device):
        wishes.say(note)
    return found


def _check_room(laid: Layout, groups: Sequence[Checked], args: argparse.Namespace) -> None:
    """Raise what drawing, saving and comparing would end in."""
    from modelhub.formats.images import check_png
    from modelhub.preview.grids.drawing import check
    from modelhub.preview.grids.family import check_comparable

    sizes = {cell.place: group.size(cell.request) for group in groups for cell in group.group.cells}
    check(laid.axes, max(width for width, _ in sizes.values()), max(height for _, height in sizes.values()))
    if args.report and laid.family is not None:
        check_comparable(laid.axes, laid.family, sizes)
    if args.cells is not None and args.cells.is_dir():
        for place in sizes:
            check_png(_cell_path(args, laid.axes, place), force=args.force)


def _cell_path(args: argparse.Namespace, axes: Sequence[Axis], place: Place) -> Path:
    """GRID-x2-y1.png: counted from 1, in as many digits as the last one has."""
    words = [
        f"{letter}{at + 1:0{len(str(len(axis.values)))}}"
        for letter, at, axis in zip(LETTERS, place, axes, strict=False)
        if axis.values
    ]
    folder: Path = args.cells
    return folder / f"{'-'.join([args.output.stem, *words])}.png"


def _paint(context: Context, axes: Sequence[Axis], groups: Sequence[Checked]) -> dict[Place, Painted]:
    """All pictures; those that are to be saved are saved as they come, each whole."""
    from modelhub.formats.images import save_png
    from modelhub.preview.grids.painting import paint

    args, found = context.args, {}
    for one in paint(groups, context.job):
        found[one.cell.place] = one
        if args.cells is not None:
            args.cells.mkdir(exist_ok=True)
            path = _cell_path(args, axes, one.cell.place)
            save_png(path, one.picture.pixels, one.picture.infotext, force=args.force)
    return found


def _reports(laid: Layout, painted: dict[Place, Painted]) -> list[Compared]:
    from modelhub.preview.grids.family import compared

    return [] if laid.family is None else list(compared(laid.axes, laid.family, painted))


def _save(args: argparse.Namespace, axes: Sequence[Axis], painted: dict[Place, Painted]) -> None:
    from modelhub.formats.images import save_png
    from modelhub.preview.grids.drawing import draw
    from modelhub.preview.grids.telling import grid_infotext

    sheet = draw(axes, {place: one.picture.pixels for place, one in painted.items()})
    infotext = grid_infotext(painted[0, 0, 0].picture.infotext, axes)
    save_png(args.output, sheet, infotext, force=args.force)
