"""convert: any model file as safetensors, one or all that a search finds."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.conversion_words import Outcome, sizes
from modelhub.cli.options import REF_HELP, add_goal, add_precisions, command, path_word
from modelhub.cli.table import wrapped
from modelhub.errors import UsageError
from modelhub.text import one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.cli.options import Commands
    from modelhub.convert.batch import Item
    from modelhub.convert.one import Wish


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "convert",
        _convert,
        "Write models as safetensors, bit for bit: pickles, of which no byte is run, shards, a folder, GGUF.",
        "modelhub convert --all format:pickle --trash-originals",
        reads=False,
    )
    parser.add_argument("source", metavar="SRC", nargs="?", help=REF_HELP)
    add_goal(parser, "NAME.safetensors")
    add_precisions(parser)
    parser.add_argument(
        "--salvage", action="store_true", help="take the tensors out of a dangerous or damaged pickle, too"
    )
    parser.add_argument(
        "--max-output",
        type=_size,
        metavar="SIZE",
        help="how much a pickle may unpack to, e.g. --max-output 20GB (default: four times its size)",
    )
    parser.add_argument("--hash", action="store_true", help="also make the SHA256 of source and result")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--all", metavar="QUERY", help='every asset that a search finds, e.g. --all "format:pickle"')
    parser.add_argument(
        "--to", metavar="DIR", type=path_word, help="with --all: write to this folder, e.g. --to ~/converted"
    )
    parser.add_argument(
        "--trash-originals", action="store_true", help="move originals to the trash once their results are proven"
    )


def _size(text: str) -> int:
    from modelhub.convert.asking import read_size

    try:
        return read_size(text)
    except UsageError as error:
        raise ArgumentTypeError(error.message.rstrip(".")) from None


def _wish(context: Context) -> Wish:
    from modelhub.convert.converting import Options
    from modelhub.convert.one import Wish

    args = context.args
    options = Options(args.dtype, args.vae_dtype, args.salvage, args.max_output)
    return Wish(options, force=args.force, hashes=args.hash, trash=args.trash_originals)


def _convert(context: Context) -> int:
    args = context.args
    if args.all is not None:
        if args.source is not None:
            raise UsageError("Name one SRC, or give --all, not both.", "The folder for all of them is named with --to.")
        return _convert_all(context)
    if args.source is None:
        raise UsageError("There is nothing to convert.", "Name a SRC, or give --all QUERY.")
    if args.to is not None:
        raise UsageError("--to goes with --all.", "Name the folder as DST: `modelhub convert SRC DIR`.")
    return _convert_one(context)


# -- one ---------------------------------------------------------------------------------------------------------------


def _convert_one(context: Context) -> int:
    from modelhub.cli.convert_library import find_source, library_of
    from modelhub.convert.batch import Item, trash_originals
    from modelhub.convert.conversion import check_goal
    from modelhub.convert.one import convert_file, sha256_to_be
    from modelhub.convert.tasks import goal_for, planned
    from modelhub.formats.opening import stat_of

    args, wish = context.args, _wish(context)
    with library_of([args.source], context.job) as library:
        path, asset = find_source(library, args.source)
        goal = goal_for(path, args.goal, wish.options)
        original = Item(_of_catalog(path, asset), goal) if wish.trash else None
        size = stat_of(path).size
        if args.dry_run:
            with planned(path, wish.options, sha256=sha256_to_be(path, wish, asset)) as plan:
                check_goal(plan.conversion, goal, force=wish.force)
                if original is not None:
                    original.stays = plan.why_stays(path, goal)
                _answer(context, Outcome(plan.conversion, path, size, goal), original)
            return 0
        done = convert_file(path, goal, wish, library=library, asset=asset, job=context.job)
        if library is not None and original is not None:
            original.stays = done.stays
            trash_originals(library, [original])
    _answer(context, Outcome(done.report.conversion, path, size, goal, done.report, done.id), original)
    return 0


def _of_catalog(path: Path, asset: Asset | None) -> Asset:
    """The asset that is to go to the trash. Raises UsageError for a file that the catalog does not have."""
    if asset is None or asset.path != path.absolute():
        raise UsageError(
            f"{one_line(str(path))} is not in the catalog under this path, and cannot go to the trash.",
            "Index its folder with `modelhub scan FOLDER`, or leave --trash-originals away.",
        )
    return asset


def _answer(context: Context, outcome: Outcome, original: Item | None) -> None:
    data, more = outcome.as_dict(), []
    if original is not None:
        data |= {"trashed": original.trashed, "original_stays": original.stays or None}
        more = [("original", _fate(original, planned=outcome.report is None))]
    context.answer(data, lambda: outcome.lines(more=more))


def _fate(original: Item, *, planned: bool) -> str:
    """What becomes of the original."""
    if original.stays:
        return f"{'would stay' if planned else 'stays'}: {one_line(original.stays)}"
    return "would move to the trash" if planned else f"moved to the trash; undo: modelhub undo {original.trashed}"


# -- all ---------------------------------------------------------------------------------------------------------------


def _convert_all(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.cli.catalog_commands import query_text
    from modelhub.cli.convert_library import make_library
    from modelhub.convert.batch import plan_batch, run_batch

    args, wish = context.args, _wish(context)
    with Catalog.open() as catalog:
        assets = catalog.find(query_text([args.all]), sort="path")
        to = None if args.to is None else args.to.absolute()
        items = plan_batch(assets, to, wish, context.job)
        done = iter(items) if args.dry_run else run_batch(make_library(catalog, context.job), items, wish, context.job)
        if context.json:
            finished = list(done)
            context.answer(_batch_json(finished), list)
        else:
            context.answer(None, lambda: _batch_lines(context, done, items, wish))
    return max((item.exit_code for item in items), default=0) and 3


def _batch_json(items: Sequence[Item]) -> dict[str, Any]:
    counts: Counter[str] = Counter(item.status for item in items)
    names = ("planned", "converted", "already", "idle", "skipped", "failed")
    return {**{name: counts[name] for name in names}, "results": [item.as_dict() for item in items]}


#: Status to what a line says of one, and what the sums say of many.
_VERBS = {
    "planned": ("would convert", "to convert"), "converted": ("converted", "converted"),
    "already": ("already converted", "already converted"), "skipped": ("skipped", "skipped"),
    "failed": ("failed", "failed"), "idle": ("", "safetensors already"),
}  # fmt: skip


def _batch_lines(context: Context, done: Iterator[Item], items: Sequence[Item], wish: Wish) -> Iterator[str]:
    """A line for each as it is done, those left out that are safetensors already; then the sums."""
    for item in done:
        context.progress.close()
        yield from _item_lines(item)
    context.progress.close()
    yield from _sum_lines(items, wish, context.args.dry_run)


def _item_lines(item: Item) -> Iterator[str]:
    if item.status == "idle":
        return
    path, goal = item.source, item.goal
    line = f"{_VERBS[item.status][0]}  {item.label} {one_line(str(path))}"
    if item.status in ("planned", "converted"):
        shown = goal.name if goal.parent == path.parent else str(goal)
        line += f"  →  {one_line(shown)}  {sizes(item.before, item.size)}"
    elif item.message:
        line += f": {one_line(item.message.removeprefix(f'{path} '))}"
    yield from wrapped(line, 4)
    if item.status in ("planned", "converted"):
        for word, sentences in (("warning", item.warnings), ("found", item.findings)):
            for sentence in sentences:
                yield from wrapped(f"    {word}: {one_line(sentence)}", 6)


def _sum_lines(items: Sequence[Item], wish: Wish, dry_run: bool) -> Iterator[str]:
    counts: Counter[str] = Counter(item.status for item in items)
    words = [f"{counts[status]:,} {many}" for status, (_, many) in _VERBS.items() if counts[status]]
    made = [item for item in items if item.status in ("planned", "converted")]
    yield Bold(f"{plural(len(items), 'asset')}: {', '.join(words) or 'nothing to convert'}")
    if made:
        yield f"{sizes(sum(item.before for item in made), sum(item.size for item in made))} in all"
    if wish.trash:
        yield from _trash_lines(items, dry_run)


def _trash_lines(items: Sequence[Item], dry_run: bool) -> Iterator[str]:
    stand = [item for item in items if item.status in ("planned", "converted", "already")]
    for item in stand:
        if item.stays:
            stays = "would stay" if dry_run else "stays"
            yield from wrapped(f"{stays}: {one_line(str(item.source))}: {one_line(item.stays)}", 4)
    going = [item for item in stand if not item.stays]
    if not going:
        return
    done = "would move to the trash" if dry_run else "moved to the trash"
    room = "room is free again after `modelhub trash --empty`"
    yield from wrapped(f"{done}: {plural(len(going), 'original')}; {room}", 2)
    yield from (f"undo: modelhub undo {entry}" for entry in dict.fromkeys(i.trashed for i in going) if entry)
