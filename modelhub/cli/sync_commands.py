"""sync, updates: what Civitai knows of the files that are here, and which have newer versions where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.cli.catalog_commands import query_text
from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import table, wrapped
from modelhub.errors import ModelhubError, UsageError
from modelhub.text import brief, human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.fetch.lookup.newer import ModelUpdates, Newer
    from modelhub.fetch.lookup.report import SyncReport, Vanished
    from modelhub.fetch.lookup.updates import UpdatesReport

_QUERY = "which assets, as in ls (default: all), e.g. kind:lora lookup:none"


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "Look files up at Civitai by their hashes, a hundred in a request; Hugging Face has no search by hash."
    parser = command(commands, "sync", _sync, help, "modelhub sync kind:lora --hash", reads=False)
    parser.add_argument("words", metavar="QUERY", nargs="*", help=_QUERY)
    parser.add_argument("--hash", action="store_true", help="first hash the files that have no SHA256 yet")
    parser.add_argument("--refresh", action="store_true", help="ask again also for what was answered lately")
    marks = parser.add_mutually_exclusive_group()
    text = "ask nobody now, and never about the assets that the words name as REFs, e.g. sync --never my-own-lora"
    marks.add_argument("--never", action="store_true", help=text)
    text = "take --never back, also that of a file beside the model, e.g. sync --again my-own-lora"
    marks.add_argument("--again", action="store_true", help=text)

    help = "Show which models have newer versions where they came from; nothing is downloaded."
    parser = command(commands, "updates", _updates, help, "modelhub updates kind:lora")
    parser.add_argument("query", metavar="QUERY", nargs="*", help=_QUERY)
    parser.add_argument("--refresh", action="store_true", help="ask again, although answers are kept for a day")


# -- sync --------------------------------------------------------------------------------------------------------------


def _sync(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.lookup.sync import sync
    from modelhub.fetch.net import Net

    args = context.args
    if args.never or args.again:
        return _mark(context)
    with Catalog.open() as catalog, Net() as net:
        report = sync(
            catalog,
            query_text(args.words),
            net,
            context.job,
            refresh=args.refresh,
            dry_run=args.dry_run,
            hashing=(lambda ids: _hash(context, catalog, ids)) if args.hash else None,
        )
    context.answer(report.as_dict(), lambda: _sync_lines(report))
    return _end(context, report.stopped, "The next sync goes on with what is left.")


def _hash(context: Context, catalog: Catalog, ids: Sequence[int]) -> None:
    """Hash assets; those that cannot be read are said."""
    from modelhub.scan.hashing import hash_assets
    from modelhub.settings import load_settings

    workers = load_settings().workers
    for path, error in hash_assets(catalog, catalog.assets(ids), "full", workers, context.job):
        if error is not None:
            context.say(f"{one_line(path)}: {error.message}")


def _end(context: Context, stopped: ModelhubError | None, hint: str) -> int:
    """The exit code; what stopped the command early is said, for what was kept until then is shown all the same."""
    if stopped is None:
        return 0
    context.say(f"{stopped.message} {stopped.hint}".strip())
    context.say(hint)
    return stopped.exit_code


def _mark(context: Context) -> int:
    from modelhub.catalog.refs import resolve
    from modelhub.catalog.store import Catalog

    args = context.args
    if args.hash or args.refresh:
        raise UsageError("--never and --again only mark assets, and ask for nothing.", "Give no other option.")
    if not args.words:
        raise UsageError("Say which assets.", f"Each word names one: {REF_HELP}.")
    with Catalog.open() as catalog:
        ids = [resolve(catalog, ref, strict=True).id for ref in args.words]
        if not args.dry_run:
            catalog.never_look_up(ids, args.never)
        assets = catalog.assets(ids)
    data = [{"id": one.id, "path": str(one.path), "never_look_up": args.never} for one in assets]
    words = "is never looked up" if args.never else "may be looked up"
    would = "would be: " if args.dry_run else ""
    context.answer(data, lambda: (f"{would}{one_line(one.name)} {words}" for one in assets))
    return 0


def _sync_lines(report: SyncReport) -> Iterator[str]:
    if report.dry_run:
        more = f", and up to {report.more} for their models" if report.more else ""
        yield Bold(f"would ask for {plural(report.asked, 'file')} in {plural(report.requests, 'request')}{more}")
    else:
        yield Bold(f"{len(report.found):,} known to Civitai, {report.unknown:,} unknown to it")
        yield f"{plural(report.asked, 'file')} asked for now, in {plural(report.requests, 'request')}"
    yield from _left_out(report)
    yield from _vanished_lines(report.vanished)


def _left_out(report: SyncReport) -> Iterator[str]:
    """What was not asked for, and why."""
    if report.fresh:
        yield f"{plural(report.fresh, 'file')} asked for lately, and not again; --refresh does"
    if report.never:
        yield f"{plural(report.never, 'asset')} never looked up; `modelhub ls lookup:never` lists them"
    if report.unhashed:
        yield f"{plural(report.unhashed, 'asset')} without a hash; `modelhub sync --hash` hashes them first"
    if report.left:
        yield f"{plural(report.left, 'edited file')} left to ask for by their weights; the next sync goes on"
    edited = sum(1 for one in report.found if one.matched_by == "autov3")
    if edited:
        yield f"{plural(edited, 'file')} known by the hash of the weights: only the header was edited"


#: Models that are named.
_NAMED = 50


def _vanished_lines(vanished: Sequence[Vanished]) -> Iterator[str]:
    if not vanished:
        return
    yield Bold(f"no longer on Civitai: {plural(len(vanished), 'asset')}")
    for one in vanished[:_NAMED]:
        title = f"  {brief(one.title)}" if one.title else ""
        yield from wrapped(f"  #{one.id}  {one_line(one.path)}{title}", 6)
    if len(vanished) > _NAMED:
        yield f"  and {len(vanished) - _NAMED:,} more; --json has them all"


# -- updates -----------------------------------------------------------------------------------------------------------


def _updates(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.lookup.updates import updates
    from modelhub.fetch.net import Net

    args = context.args
    with Catalog.open() as catalog, Net() as net:
        report = updates(catalog, query_text(args.query), net, context.job, refresh=args.refresh)
    context.answer(report.as_dict(), lambda: _updates_lines(report))
    for problem in report.problems:
        context.say(f"{problem.message} {problem.hint}".strip())
    return _end(context, report.stopped, "What is shown is what is known so far.")


def _updates_lines(report: UpdatesReport) -> Iterator[str]:
    rows = [row for one in report.behind for row in _rows(one)]
    if rows:
        head = ("MODEL", "HERE", "NEWER", "BASE", "DATE", "SIZE", "GET")
        lines = table(head, rows, right=(5,))
        yield Bold(next(lines))
        yield from lines
    yield from _notes(report)
    yield f"{plural(report.models, 'model')} compared, {len(report.behind):,} with something newer"
    if report.unknown:
        yield f"{plural(report.unknown, 'asset')} from nowhere that is known; `modelhub sync` looks them up"


def _rows(one: ModelUpdates) -> Iterator[Sequence[str]]:
    """The newest version for each base that can be had, with how many more there are."""
    here = ", ".join(dict.fromkeys(f"{mine.version or '?'}" for mine in one.here))
    first = True
    for base in dict.fromkeys(newer.base_model for newer in one.newer):
        same = [newer for newer in one.newer if newer.base_model == base]
        yield _row(brief(one.title or one.model, 40) if first else "", here if first else "", same)
        first = False


def _row(title: str, here: str, same: Sequence[Newer]) -> Sequence[str]:
    newest = next((one for one in same if not one.trouble), same[0])
    more = f" (+{len(same) - 1})" if len(same) > 1 else ""
    version = f"{newest.version or newest.version_id}{more}" + (" ✗" if newest.trouble else "")
    base = f"{newest.base_model or '-'}" + ("" if newest.same_base else " (another base)")
    return title, here, version, base, (newest.published or "")[:10], human_size(newest.size), newest.address


def _notes(report: UpdatesReport) -> Iterator[str]:
    """What speaks against an update, and what is gone."""
    for one in report.behind:
        for newer in one.newer:
            if newer.trouble:
                yield from wrapped(f"✗ {one_line(newer.address)}: {one_line(newer.trouble)}", 2)
    for one in report.vanished:
        names = ", ".join(f"#{mine.id}" for mine in one.here)
        yield from wrapped(f"gone: {brief(one.title or one.model)} ({names}): {one_line(one.gone or '')}", 2)
