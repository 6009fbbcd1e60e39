"""Undo: take back what the journal says was done, the newest first, also after other sessions and after a kill.

Everything is looked at before anything is changed: what is in the way is named, and then nothing is half undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.journal import Entry
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError, UsageError
from modelhub.jobs import QUIET, Job
from modelhub.organize.carrying import Pair, back, carry
from modelhub.organize.entries import clear_row, explained, pairs_of, row_in_the_way
from modelhub.organize.links import Relink, relink
from modelhub.organize.move import remove_sources, settle
from modelhub.organize.renaming import remove
from modelhub.organize.trash import drop_folders
from modelhub.text import one_line, plural


def find(catalog: Catalog, entry: int | None = None) -> Entry:
    """The entry that `undo` would take back: the newest that was not, or the one asked for.

    Raises NotFoundError, UsageError for one that was undone already.
    """
    if entry is None:
        newest = journal.last(catalog)
        if newest is None:
            raise NotFoundError("There is nothing to undo.", "`modelhub undo --list` shows what was done.")
        return newest
    if entry >= 2**63:
        raise NotFoundError("The journal has no entry of such a number.", "List them with `modelhub undo --list`.")
    found = journal.get(catalog, entry)
    if found.undone is not None:
        raise UsageError(f"Entry {entry} was undone already: {found.summary}.", "See `modelhub undo --list`.")
    return found


def undo(catalog: Catalog, entry: int | None = None, job: Job = QUIET) -> str:
    """Take back one entry of the journal and say so in a sentence. Raises ModelhubError, and then nothing changed."""
    found = find(catalog, entry)
    way = _WAYS.get(found.action)
    if way is None:
        raise UsageError(f"Entry {found.id} cannot be undone: {found.summary}.", "See `modelhub undo --list`.")
    return f"Undid {found.id}: {found.summary}; {way(catalog, found, job)}."


def _finish(catalog: Catalog, entry: Entry) -> None:
    """Mark it, inside the transaction of the change. Raises UsageError if another process was quicker."""
    find(catalog, entry.id)
    journal.mark_undone(catalog, entry.id)


def _rows(catalog: Catalog, entry: Entry) -> list[tuple[int, Path]]:
    """The assets of an entry that still have a row, with their old paths, where no other row may stand."""
    wanted = [(number, Path(old)) for number, old, _ in entry.details["assets"]]
    known = {asset.id for asset in catalog.assets([number for number, _ in wanted])}
    rows = [(number, path) for number, path in wanted if number in known]
    for number, path in rows:
        row_in_the_way(catalog, path, number)
    return rows


def _bring_back(todo: Sequence[Pair], stack: ExitStack, job: Job) -> list[Path]:
    for _, old in todo:
        with explained(old.parent):
            old.parent.mkdir(parents=True, exist_ok=True)
    return carry(todo, stack, job, phase="moving back")


def _untrash(catalog: Catalog, entry: Entry, job: Job) -> str:
    pairs = pairs_of(entry.details)
    todo, twice = back(pairs)
    rows = _rows(catalog, entry)
    with ExitStack() as stack:
        _bring_back(todo, stack, job)
        with catalog.atomic():
            for number, path in rows:
                clear_row(catalog, path, number)
                catalog.set_trashed(number, None, path)
            numbers = [number for number, _ in rows]
            catalog.set_missing(numbers, False)
            catalog.set_links({path: n for path, n in entry.details["links"].items() if n in numbers})
            _finish(catalog, entry)
        stack.pop_all()
    _drop(twice)
    drop_folders(list(dict.fromkeys(new.parent for _, new in pairs)))
    return f"{plural(len(pairs), 'file')} back in place"


def _unmove(catalog: Catalog, entry: Entry, job: Job) -> str:
    pairs = pairs_of(entry.details)
    todo, twice = back(pairs, copies=entry.details["state"] != "done")
    rows = _rows(catalog, entry)
    with ExitStack() as stack:
        copied = _bring_back(todo, stack, job)
        for link, before, after in entry.details["links"]:
            relink(Relink(Path(link), after, before))
            stack.callback(relink, Relink(Path(link), before, after))
        with catalog.atomic():
            settle(catalog, rows)
            _finish(catalog, entry)
        stack.pop_all()
    _drop(twice)
    remove_sources(copied)
    return f"{plural(len(pairs), 'file')} back in place"


def _drop(twice: Sequence[Path]) -> None:
    for path in twice:
        with suppress(OSError):  # a second name of what is in place already
            remove(path)


def _unlink(catalog: Catalog, entry: Entry, job: Job) -> str:
    from modelhub.organize.link import unpublish

    links = [(Path(target), Path(source)) for target, source in entry.details["links"]]
    removed = unpublish(links)
    with catalog.atomic():
        catalog.set_links({}, gone=[str(target) for target, _ in links])
        _finish(catalog, entry)
    kept = len(links) - len(removed)
    left = f", {kept} left: no longer the links that were made" if kept else ""
    return f"{plural(len(removed), 'link')} removed{left}"


def _remember(catalog: Catalog, entry: Entry, job: Job) -> str:
    rows = entry.details["rows"]
    with catalog.atomic():
        for whole in rows:
            clear_row(catalog, Path(whole["row"]["path"]), 0)
            catalog.put_back(whole)
        _finish(catalog, entry)
    return f"{plural(len(rows), 'asset')} in the catalog again"


def _unsay(put: Callable[[Catalog, Asset, object, object], None]) -> Callable[[Catalog, Entry, Job], str]:
    """Put back words: `put(catalog, asset, before, after)` for every asset that is still the one it was."""

    def way(catalog: Catalog, entry: Entry, job: Job) -> str:
        done = 0
        with catalog.atomic():
            for number, added, before, after in entry.details["assets"]:
                for asset in catalog.assets([number]):
                    if asset.added == added:
                        put(catalog, asset, before, after)
                        done += 1
            _finish(catalog, entry)
        return f"{plural(done, 'asset')} as before"

    return way


def _untag(catalog: Catalog, asset: Asset, before: object, after: object) -> None:
    """Only what the entry changed: tags that came later stay."""
    assert isinstance(before, list) and isinstance(after, list)
    catalog.tag([asset.id], set(before) - set(after), set(after) - set(before))


def _unrate(catalog: Catalog, asset: Asset, before: object, after: object) -> None:
    _check_unchanged(asset, "rating", asset.rating, after)
    assert isinstance(before, int)
    catalog.rate(asset.id, before)


def _unnote(catalog: Catalog, asset: Asset, before: object, after: object) -> None:
    _check_unchanged(asset, "note", asset.notes, after)
    catalog.note(asset.id, str(before))


def _unset(catalog: Catalog, asset: Asset, before: object, after: object) -> None:
    _check_unchanged(asset, "kind, architecture or variant", asset.said, after)
    assert isinstance(before, dict) and isinstance(after, dict)
    catalog.override([asset.id], {name: before.get(name, "") for name in {*before, *after}})


def _check_unchanged(asset: Asset, what: str, now: object, after: object) -> None:
    if now != after:
        raise UsageError(
            f"The {what} of {one_line(asset.name)} was changed again since.",
            "Undo the later change first: `modelhub undo --list`.",
        )


_WAYS: dict[str, Callable[[Catalog, Entry, Job], str]] = {
    "rm": _untrash,
    "mv": _unmove,
    "link": _unlink,
    "forget": _remember,
    "tag": _unsay(_untag),
    "rate": _unsay(_unrate),
    "note": _unsay(_unnote),
    "set": _unsay(_unset),
}
