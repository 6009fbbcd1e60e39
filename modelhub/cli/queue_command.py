"""queue: the downloads that wait, run, rest, failed or are done; they outlive the program that began them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import command, number_from_1
from modelhub.cli.table import table, wrapped
from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.downloads import Download
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands

_ID_HELP = "the number of a download, as `modelhub queue list` shows it, e.g. 3"


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "List, run, pause and retry downloads; `modelhub queue` alone lists them."
    parser = command(commands, "queue", _list, help, "modelhub queue run")
    parser.set_defaults(state=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    _add_running(verbs)
    _add_changing(verbs)
    for action in (action for verb in verbs.choices.values() for action in verb._actions if action.dest == "json"):
        action.default = argparse.SUPPRESS  # so that --json may stand before the verb, too


def _add_running(verbs: Commands) -> None:
    help = "List the downloads: which wait, run, are paused, failed or are done."
    parser = command(verbs, "list", _list, help, "modelhub queue list --state failed")
    states = ("waiting", "running", "paused", "failed", "done")
    parser.add_argument("--state", choices=states, help="only those in this state, e.g. --state failed")

    help = "Download what waits, and go on with what was broken off."
    parser = command(verbs, "run", _run, help, "modelhub queue run --jobs 3", reads=False)
    parser.add_argument("ids", metavar="ID", type=int, nargs="*", help=f"{_ID_HELP} (default: all that wait)")
    parser.add_argument(
        "--jobs", metavar="N", type=number_from_1(99), help="files at once (default: settings.toml, else 2)"
    )


def _add_changing(verbs: Commands) -> None:
    """The verbs that change states, and run nothing."""
    help = "Pause downloads, also one that runs right now; what has come of them is kept."
    parser = command(verbs, "pause", _pause, help, "modelhub queue pause 3", reads=False)
    parser.add_argument("ids", metavar="ID", type=int, nargs="+", help=_ID_HELP)

    help = "Let downloads that were paused wait again."
    parser = command(verbs, "resume", _resume, help, "modelhub queue resume 3", reads=False)
    parser.add_argument("ids", metavar="ID", type=int, nargs="+", help=_ID_HELP)

    help = "Let downloads that failed wait again; queue run then goes on where they broke off."
    parser = command(verbs, "retry", _retry, help, "modelhub queue retry", reads=False)
    parser.add_argument("ids", metavar="ID", type=int, nargs="*", help=f"{_ID_HELP} (default: all that failed)")

    help = "Take downloads out of the queue, with what came of them so far; a file that is done stays."
    parser = command(verbs, "remove", _remove, help, "modelhub queue remove 3", reads=False)
    parser.add_argument("ids", metavar="ID", type=int, nargs="+", help=_ID_HELP)
    parser.add_argument("--keep-part", action="store_true", help="leave the bytes that came; a new get goes on there")

    help = "Take all downloads that are done out of the list; their files stay."
    command(verbs, "clear", _clear, help, "modelhub queue clear", reads=False)


# -- list --------------------------------------------------------------------------------------------------------------


def _list(context: Context) -> int:
    from modelhub.catalog import downloads
    from modelhub.catalog.store import Catalog

    state = context.args.state
    with Catalog.open() as catalog:
        rows = downloads.listed(catalog, [state] if state else downloads.STATES)
    context.answer([row.as_dict() for row in rows], lambda: download_lines(rows))
    if not rows:
        context.say("The queue is empty." if state is None else f"No download is {state}.")
    return 0


def download_lines(rows: Sequence[Download]) -> Iterator[str]:
    """A table of downloads, and below it why some failed."""
    if not rows:
        return
    cells = [(str(row.id), row.state, _share(row), human_size(row.size), row.title, row.goal) for row in rows]
    lines = table(("ID", "STATE", "DONE", "SIZE", "TITLE", "GOAL"), cells, right=(0, 2, 3))
    yield Bold(next(lines))
    yield from lines
    for row in rows:
        if row.error is not None:
            yield from wrapped(f"{row.id} {row.state}: {one_line(row.error.message)} {one_line(row.error.hint)}", 4)


def _share(row: Download) -> str:
    if row.state == "done":
        return "100%"
    return f"{min(row.done / row.size, 1):.0%}" if row.size else human_size(row.done) if row.done else ""


# -- run ---------------------------------------------------------------------------------------------------------------


def _run(context: Context) -> int:
    from modelhub.catalog import downloads
    from modelhub.catalog.store import Catalog
    from modelhub.cli.get_running import answer, run_queue
    from modelhub.fetch.net import Net

    args = context.args
    with Catalog.open() as catalog:
        for number in args.ids:
            downloads.get(catalog, number)
        rows = downloads.listed(catalog, downloads.TO_RUN, args.ids or None)
        if args.dry_run or not rows:
            context.answer([row.as_dict() for row in rows], lambda: download_lines(rows))
            context.say(f"would run {plural(len(rows), 'download')}" if rows else "Nothing waits in the queue.")
            return 0
        with Net() as net:
            told = run_queue(context, catalog, args.ids or None, args.jobs, net)
    return answer(context, told)


# -- what changes states -----------------------------------------------------------------------------------------------


def _pause(context: Context) -> None:
    _move(context, "paused", ("waiting", "running"))


def _resume(context: Context) -> None:
    _move(context, "waits again", ("paused",))


def _retry(context: Context) -> int:
    if _move(context, "waits again", ("failed",)) and not context.args.dry_run:
        context.say("`modelhub queue run` goes on with what waits.")
    return 0


def _move(context: Context, word: str, before: Sequence[str]) -> int:
    """Change the state of the downloads that are in one of the states `before`, and say how many; name the others."""
    from modelhub.catalog import downloads
    from modelhub.catalog.store import Catalog

    args = context.args
    change: Callable[..., list[int]] = getattr(downloads, args.verb)
    with Catalog.open() as catalog:
        rows = _rows(catalog, args.ids) if args.ids else downloads.listed(catalog, before)
        fitting = [row.id for row in rows if row.state in before]
        changed = fitting if args.dry_run else change(catalog, fitting)
        now = rows if args.dry_run else downloads.listed(catalog, ids=changed)
    would = "would be: " if args.dry_run else ""
    _answer(context, [row for row in now if row.id in changed], f"{would}{word}")
    for row in rows:
        if row.id not in changed:
            context.say(f"{row.id} is {row.state}, and stays so: {one_line(row.title)}")
    return len(changed)


def _rows(catalog: Catalog, ids: Sequence[int]) -> list[Download]:
    """The downloads of these numbers. Raises NotFoundError."""
    from modelhub.catalog import downloads

    return [downloads.get(catalog, number) for number in dict.fromkeys(ids)]


def _answer(context: Context, rows: Sequence[Download], word: str) -> None:
    def lines() -> Iterator[str]:
        yield from (f"{word}: {row.id}  {one_line(row.title)}" for row in rows)

    context.answer([row.as_dict() for row in rows], lines)


def _remove(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.queue import remove

    args = context.args
    with Catalog.open() as catalog:
        rows = _rows(catalog, args.ids)
        if not args.dry_run:
            remove(catalog, [row.id for row in rows], keep_part=args.keep_part)
    _answer(context, rows, "would be removed" if args.dry_run else "removed")
    return 0


def _clear(context: Context) -> int:
    from modelhub.catalog import downloads
    from modelhub.catalog.store import Catalog

    with Catalog.open() as catalog:
        rows = downloads.listed(catalog, ["done"])
        if not context.args.dry_run:
            downloads.clear(catalog)
    would = "would clear" if context.args.dry_run else "cleared"
    context.answer([row.as_dict() for row in rows], lambda: [f"{would} {plural(len(rows), 'download')}"])
    return 0
