"""rm, undo, mv, rename, trash, forget, link: bring order into the library, with a way back."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.streams import live
from modelhub.cli.table import table, wrapped
from modelhub.errors import CancelledError, NotFoundError, UsageError
from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.journal import Entry
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.organize.emptying import Trashed
    from modelhub.organize.link import Link
    from modelhub.organize.move import MoveReport
    from modelhub.organize.trash import TrashReport


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "Move assets to the trash, with their sidecars and all other paths of their contents."
    parser = command(commands, "rm", _rm, help, "modelhub rm old-lora", reads=False)
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)

    help = "Move assets to a folder with all their sidecars, or give one another name."
    parser = command(commands, "mv", _mv, help, "modelhub mv my-lora ~/models/loras", reads=False)
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)
    parser.add_argument("goal", metavar="DIR", type=Path, help="a folder, or the new name of one file, e.g. loras/b.pt")

    parser.add_argument("--make", action="store_true", help="make the folder where there is none yet")

    help = "Give assets other names where they lie, with all their sidecars: one name, or a pattern for several."
    example = "modelhub rename my-lora --to '{architecture}_{stem}'"
    parser = command(commands, "rename", _rename, help, example, reads=False)
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)
    parser.add_argument(
        "--to",
        metavar="NAME",
        required=True,
        help="the name without its ending; {stem}, {architecture}, {kind} and others are filled in, e.g. --to "
        "'{architecture}_{stem}'",
    )

    help = "Take back what was done to files, tags and notes: the newest entry of the journal, or the one named."
    parser = command(commands, "undo", _undo, help, "modelhub undo", reads=False)
    parser.add_argument("entry", metavar="ENTRY", type=int, nargs="?", help="the number of an entry, e.g. 12")
    parser.add_argument("--list", action="store_true", help="show the latest entries, and change nothing")

    help = "List what is in the trash, or delete it for good."
    parser = command(commands, "trash", _trash, help, "modelhub trash --empty --older-than 30", reads=False)
    parser.add_argument("--empty", action="store_true", help="delete what is in the trash; it cannot be undone")
    parser.add_argument(
        "--older-than", type=float, metavar="DAYS", help="only what has been there for so long, e.g. --older-than 30"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal to ask on")

    help = "Take the rows of missing files out of the catalog."
    parser = command(commands, "forget", _forget, help, "modelhub forget --missing", reads=False)
    parser.add_argument("refs", metavar="REF", nargs="*", help=REF_HELP)
    parser.add_argument("--missing", action="store_true", help="all assets whose files are missing")

    help = "Show assets in the folders of another program, by links: no file is copied."
    parser = command(commands, "link", _link, help, "modelhub link ~/ComfyUI kind:lora arch:sdxl", reads=False)
    parser.add_argument("target", metavar="TARGET", type=Path, help="where the program is, e.g. ~/ComfyUI")
    parser.add_argument("query", metavar="QUERY", nargs="*", help="which assets, as in ls (default: all)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--symlink", action="store_true", help="symbolic links (the default where they can be made)")
    how.add_argument("--hardlink", action="store_true", help="hard links, which survive when the library is moved")
    parser.add_argument("--sidecars", action="store_true", help="link the preview pictures beside models, too")


# -- rm ----------------------------------------------------------------------------------------------------------------


def _rm(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.trash import trash

    with Catalog.open() as catalog:
        assets = _assets(catalog, context.args.refs)
        report = trash(catalog, assets, context.job, dry_run=context.args.dry_run)
    context.answer(report.as_dict(), lambda: _rm_lines(report))
    return 0


def _assets(catalog: Catalog, refs: Sequence[str]) -> list[Asset]:
    """The assets that REFs name. Raises UsageError for the path of a link: an asset is more than that."""
    from modelhub.catalog.refs import resolve
    from modelhub.settings import user_path

    assets = [resolve(catalog, ref, strict=True) for ref in refs]
    for ref, asset in zip(refs, assets, strict=True):
        if str(user_path(ref).absolute()) in asset.links:
            raise UsageError(
                f"{ref} is a link to #{asset.id}, {one_line(str(asset.path))}, and would not go alone.",
                f"'#{asset.id}' names the asset with all its paths; a link that modelhub made is taken back by undo.",
            )
    return assets


def _rm_lines(report: TrashReport) -> Iterator[str]:
    done = "moved to the trash" if report.entry else "would move to the trash"
    yield Bold(f"{done}: {plural(len(report.assets), 'asset')}, {plural(len(report.files), 'file')}")
    for old, new in report.files:
        yield from wrapped(f"  {one_line(str(old))}" + (f"  →  {one_line(str(new))}" if new else ""), 6)
    yield from _shared_lines(report.shared)
    yield f"emptying the trash would free {human_size(report.freed)}"
    yield from _undo_line(report.entry)


def _shared_lines(shared: Sequence[Path]) -> Iterator[str]:
    for path in shared:
        yield f"  stays with another model of that name: {one_line(str(path))}"


def _undo_line(entry: int | None) -> Iterator[str]:
    if entry is not None:
        yield f"undo: modelhub undo {entry}"


# -- mv ----------------------------------------------------------------------------------------------------------------


def _mv(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.move import move
    from modelhub.settings import user_path

    with Catalog.open() as catalog:
        assets = _assets(catalog, context.args.refs)
        goal = user_path(context.args.goal)
        report = move(catalog, assets, goal, context.job, dry_run=context.args.dry_run, make=context.args.make)
    context.answer(report.as_dict(), lambda: _mv_lines(report, "moved" if report.entry else "would move"))
    return 0


def _rename(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.names.pattern import file_name
    from modelhub.organize.move import rename

    args = context.args
    with Catalog.open() as catalog:
        assets = {asset.id: asset for asset in _assets(catalog, args.refs)}.values()
        names = [(asset, file_name(args.to, asset, number)) for number, asset in enumerate(assets, 1)]
        report = rename(catalog, names, context.job, dry_run=args.dry_run)
    context.answer(report.as_dict(), lambda: _mv_lines(report, "renamed" if report.entry else "would rename"))
    return 0


def _mv_lines(report: MoveReport, done: str) -> Iterator[str]:
    if report.files:
        yield Bold(f"{done}: {plural(len(report.assets), 'asset')}, {plural(len(report.files), 'file')}")
    for old, new in report.files:
        yield from wrapped(f"  {one_line(str(old))}  →  {one_line(str(new))}", 6)
    for path in report.links:
        yield f"  link follows: {one_line(str(path))}"
    yield from _shared_lines(report.shared)
    for asset in report.already:
        yield f"{one_line(str(asset.path))} is there already"
    yield from _undo_line(report.entry)


# -- undo --------------------------------------------------------------------------------------------------------------


def _undo(context: Context) -> int:
    from modelhub.catalog import journal
    from modelhub.catalog.store import Catalog
    from modelhub.organize.undo import find, undo

    args = context.args
    with Catalog.open() as catalog:
        if args.list:
            entries = journal.entries(catalog)
            context.answer([_entry(one) for one in entries], lambda: _entry_lines(entries))
            return 0
        found = find(catalog, args.entry)
        says = f"Would undo {found.id}: {found.summary}."
        if not args.dry_run:
            says = undo(catalog, found.id, context.job)
            found = journal.get(catalog, found.id)
    context.answer({**_entry(found), "says": says}, lambda: [says])
    return 0


def _entry(one: Entry) -> dict[str, Any]:
    return {"entry": one.id, "at": one.at, "action": one.action, "summary": one.summary, "undone": one.undone}


def _entry_lines(entries: Sequence[Entry]) -> Iterator[str]:
    if not entries:
        yield "Nothing was done yet."
        return
    rows = [(str(e.id), _when(e.at), e.action, "undone" if e.undone else "", e.summary) for e in entries]
    lines = table(("ENTRY", "WHEN", "WHAT", "", "SUMMARY"), rows, right=(0,))
    yield Bold(next(lines))
    yield from lines


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


# -- trash -------------------------------------------------------------------------------------------------------------


def _trash(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.emptying import contents, empty, select

    args = context.args
    days = args.older_than
    if days is not None and not days >= 0:
        raise UsageError("A number of days cannot be below 0.", "Give one such as --older-than 30.")
    with Catalog.open() as catalog:
        if not args.empty:
            before = time.time() - (days or 0) * 86400
            found = [one for one in contents(catalog) if one.at <= before]
            none = "The trash is empty." if days is None else "Nothing has been in the trash for so long."
            context.answer([one.as_dict() for one in found], lambda: _trash_lines(found) if found else [none])
            return 0
        found = select(catalog, older_than_days=days)
        size = sum(one.freed for one in found)
        if not args.dry_run and found:
            _confirm(context, f"Delete {_counted(found)} for good, and free {human_size(size)}?")
            size = empty(catalog, found, context.job)
    done, freed = ("would delete", "free") if args.dry_run else ("deleted", "freed")
    data = {"entries": [one.as_dict() for one in found], "freed": size, "deleted": not args.dry_run}
    context.answer(data, lambda: [f"{done} {_counted(found)}, and {freed} {human_size(size)}"])
    return 0


def _counted(found: Sequence[Trashed]) -> str:
    assets, files = sum(len(one.assets) for one in found), sum(len(one.files) for one in found)
    return f"{plural(assets, 'asset')}, {plural(files, 'file')}"


def _confirm(context: Context, question: str) -> None:
    """Raise UsageError unless the user says yes, by option or on a terminal."""
    if context.args.yes:
        return
    if context.json or not live(sys.stdin) or not live(sys.stderr):
        raise UsageError("What is deleted from the trash does not come back, and nobody is here to ask.", "Add --yes.")
    context.progress.close()
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CancelledError("Nothing was deleted.")


def _trash_lines(found: Sequence[Trashed]) -> Iterator[str]:
    rows = [
        (
            str(one.entry),
            _when(one.at),
            human_size(one.freed),
            str(len(one.files)),
            ", ".join(str(path) for path in one.assets.values())
            + ("" if one.complete else "  (interrupted: undo it, then rm again)"),
        )
        for one in found
    ]
    lines = table(("ENTRY", "WHEN", "FREES", "FILES", "FROM"), rows, right=(0, 2, 3))
    yield Bold(next(lines))
    yield from lines
    yield f"{_counted(found)}, {human_size(sum(one.freed for one in found))}; bring one back: modelhub undo ENTRY"


# -- forget ------------------------------------------------------------------------------------------------------------


def _forget(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.forget import forget

    args = context.args
    if bool(args.refs) == args.missing:
        raise UsageError("Name what to forget, or give --missing.", "`modelhub ls missing:yes` lists what is missing.")
    with Catalog.open() as catalog:
        found = _gone(catalog) if args.missing else _assets(catalog, args.refs)
        entry = forget(catalog, found, dry_run=args.dry_run)
    done = "would forget" if args.dry_run else "forgot"
    data = {"entry": entry, "assets": [{"id": a.id, "path": str(a.path)} for a in found]}

    def lines() -> Iterator[str]:
        yield Bold(f"{done} {plural(len(found), 'asset')}")
        yield from (f"  #{asset.id}  {one_line(str(asset.path))}" for asset in found)
        yield from _undo_line(entry)

    context.answer(data, lines)
    return 0


def _gone(catalog: Catalog) -> list[Asset]:
    """The assets that the last scan missed, but for those that are back by now."""
    return [asset for asset in catalog.find("missing:yes", sort="path") if not asset.path.exists()]


# -- link --------------------------------------------------------------------------------------------------------------


def _link(context: Context) -> int:
    from modelhub.catalog.layouts import recognise
    from modelhub.catalog.store import Catalog
    from modelhub.cli.catalog_commands import query_text
    from modelhub.formats.opening import members
    from modelhub.organize.link import plan_links
    from modelhub.organize.publishing import publish_links
    from modelhub.settings import user_path

    args = context.args
    target = user_path(args.target)
    if not target.is_dir():
        raise NotFoundError(f"{one_line(str(target))} is not a folder.", "Name the folder of a program that is there.")
    layout = recognise(target)
    if layout is None:
        raise UsageError(
            f"{one_line(str(args.target))} is not the folder of a program that is known, or of several.",
            "Name the folder that ComfyUI, Forge, A1111, SwarmUI or StabilityMatrix was installed to.",
        )
    mode: Literal["auto", "symlink", "hardlink"] = (
        "symlink" if args.symlink else "hardlink" if args.hardlink else "auto"
    )
    with Catalog.open() as catalog:
        assets = [asset for asset in catalog.find(query_text(args.query)) if not asset.missing]
        plan = plan_links(assets, layout, mode=mode, sidecars=args.sidecars, members=members)
        entry = None if args.dry_run else publish_links(catalog, assets, plan, layout.title, context.job)
    links = [{"source": str(one.source), "target": _path(one.target), "status": one.status} for one in plan.links]
    data = {"entry": entry, "tool": layout.id, "root": str(layout.root), "links": links}

    def lines() -> Iterator[str]:
        done = "would link" if args.dry_run else "linked"
        yield Bold(f"{done} {plural(len(plan.new), 'file')} into {layout.title}, {one_line(str(layout.root))}")
        yield from _link_lines(plan.links, layout.title)
        yield from _undo_line(entry)

    context.answer(data, lines)
    return 0


#: Files that are named where a count would do.
_NAMED = 10


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


_STATUS = {
    "taken": "not linked, another file has that name",
    "missing": "not linked, the file is missing",
    "unlinkable": "not linked, a folder cannot be linked hard",
}


def _link_lines(links: Sequence[Link], title: str) -> Iterator[str]:
    """What is linked, and why other files are not; those that there is nothing to say of are only counted."""
    for one in links:
        if one.status not in ("there", "no-folder"):
            where = "" if one.target is None else f"  →  {one_line(str(one.target))}"
            what = f"  ({_STATUS[one.status]})" if one.status in _STATUS else ""
            yield from wrapped(f"  {one_line(str(one.source))}{where}{what}", 6)
    counts = Counter(one.status for one in links)
    if counts["there"]:
        yield f"  {plural(counts['there'], 'file')} there already"
    if counts["no-folder"]:
        names = [one_line(one.source.name) for one in links if one.status == "no-folder"]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield from wrapped(f"  not linked, {title} has no folder for them: {', '.join(names[:_NAMED])}{more}", 6)
