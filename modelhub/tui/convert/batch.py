"""Converting from the interface: which files, what would become of each, and the job that does it; no widgets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.asset import Asset
from modelhub.catalog.refs import locate
from modelhub.errors import ModelhubError, UsageError
from modelhub.formats.naming import INDEX
from modelhub.formats.walk import find_assets
from modelhub.jobs import Job
from modelhub.settings import user_path
from modelhub.tui.convert.words import outcome_words
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.convert.batch import Planner
    from modelhub.convert.inspect import Finding
    from modelhub.convert.items import Item
    from modelhub.convert.one import Library as Shelf
    from modelhub.convert.one import Wish
    from modelhub.formats.pickles.values import GlobalName

#: Files that one list takes, and that are remembered.
MOST, KEPT = 5000, 500
#: Names of a pickle that a report holds.
_GLOBALS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be worked on, and its asset if the catalog has it."""

    path: Path
    asset: Asset | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """What an inspection says of a file, without its tensors: the findings, and the names of a pickle, worst first."""

    format: str
    verdict: str
    findings: tuple[Finding, ...] = ()
    globals: tuple[GlobalName, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the list: what would become of it, or what did, once that is known."""

    source: Source
    item: Item | None = None
    glance: Glance | None = None
    runs: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def is_over(self) -> bool:
        """Whether it was converted, so that nothing more is to be done."""
        return self.item is not None and self.item.status == "converted"


# -- which files -------------------------------------------------------------------------------------------------------


def sources_of(library: Library, text: str, job: Job) -> list[Source]:
    """What a user named: a file, a diffusers folder, a folder of models, or an asset by name, #id or hash.

    Raises UsageError, NotFoundError, AmbiguousError.
    """
    path = user_path(text)
    with library.open() as catalog:
        if not path.is_dir() or (path / INDEX).is_file() or (path / "config.json").is_file():
            return [_source(catalog, path.absolute() if path.exists() else locate(catalog, text)[0])]
        sources = [_source(catalog, one) for one in _below(path.absolute(), job)]
    if not sources:
        raise UsageError(f"There are no model files below {path}.", "Name another folder, or a file.")
    return sources


def _source(catalog: Catalog, path: Path) -> Source:
    """The file with its asset; one that the catalog has under another path is not the asset's own."""
    asset = catalog.by_path(path)
    return Source(path, asset if asset is not None and asset.path == path else None)


def _below(folder: Path, job: Job) -> list[Path]:
    found = []
    with job.phase("looking for models", None, "files") as advance:
        for one in find_assets([folder], lambda error, path: None):
            advance(1, one.path)
            found.append(Path(one.path))
            if len(found) > MOST:
                raise UsageError(f"There are more than {MOST:,} models below {folder}.", "Name a folder further down.")
    return sorted(found)


def known_sources(library: Library, paths: Iterable[str]) -> list[Source]:
    """The sources of paths, without those that are gone."""
    there = [path for path in map(Path, paths) if path.exists()]
    with library.open() as catalog:
        return [_source(catalog, path) for path in there]


def pickles(library: Library) -> list[Source]:
    """Every pickle of the library. Raises UsageError if there is none."""
    with library.open() as catalog:
        found = catalog.find("format:pickle -missing:yes", sort="path")
    if not found:
        raise UsageError("There is no pickle in the library.", "B scans more folders; a adds a file from anywhere.")
    return [Source(asset.path, asset) for asset in found[:MOST]]


# -- before ------------------------------------------------------------------------------------------------------------


def look(entries: Sequence[Entry], wish: Wish, to: Path | None, job: Job, told: Callable[[Entry], None]) -> None:
    """Tell what would become of each entry, as it is found out; those that are over keep what became of them.

    Only cancelling raises.
    """
    from modelhub.convert.batch import Planner

    planner = Planner([entry.path for entry in entries], wish)
    with job.phase("looking", len(entries), "files") as advance:
        for entry in entries:
            advance(0, entry.path.name)
            told(entry if entry.is_over else _looked(entry, planner, wish, to, job))
            advance(1)


def _looked(entry: Entry, planner: Planner, wish: Wish, to: Path | None, job: Job) -> Entry:
    from modelhub.convert.items import Item
    from modelhub.convert.tasks import goal_for

    item = Item(entry.source.asset, entry.path, entry.path)
    try:
        item.goal = goal_for(entry.path, to, wish.options)
    except ModelhubError as error:
        item.fail(error)
    else:
        planner.look(item, job)
    glance = entry.glance or (_glance(entry.path) if _is_doubtful(item) else None)
    return replace(entry, item=item, glance=glance, runs=False)


def _is_doubtful(item: Item) -> bool:
    """Whether it is worth to look deeper: pickles can hold code, and what fails has a reason."""
    from modelhub.formats.files import format_of

    if item.status == "failed":
        return True
    with suppress(ModelhubError):
        return item.source.is_file() and format_of(item.source) == "pickle"
    return False


def _glance(path: Path) -> Glance | None:
    from modelhub.convert.inspect import inspect

    with suppress(ModelhubError):
        seen = inspect(path)
        return Glance(seen.format, seen.verdict, seen.findings, seen.globals[:_GLOBALS])
    return None


def room(entries: Iterable[Entry]) -> tuple[int | None, str]:
    """The bytes that are free where the first result goes, and what is wrong if all of them do not fit."""
    from modelhub.convert.batch import check_room

    items = [entry.item for entry in entries if entry.item is not None and entry.item.status == "planned"]
    if not items:
        return None, ""
    try:
        check_room(items)
        return shutil.disk_usage(items[0].goal.parent).free, ""
    except ModelhubError as error:
        return None, f"{error.message} {error.hint}".strip()
    except OSError:
        return None, ""


# -- the job -----------------------------------------------------------------------------------------------------------


def ready(entries: Iterable[Entry], wish: Wish) -> list[Item]:
    """Those that there is something to do for: to write, or to compare what stands already before the original goes."""
    items = [entry.item for entry in entries if entry.item is not None]
    return [item for item in items if item.status == "planned" or _compares(item, wish)]


def _compares(item: Item, wish: Wish) -> bool:
    goes = wish.trash and not item.stays
    return item.status == "already" and (goes or not item.trusted)


def carry_out(
    library: Library, items: Sequence[Item], wish: Wish, *, job: Job, told: Callable[[Item], None]
) -> list[Item]:
    """Carry out what was planned; `told` gets each item when it is done, and all of them again at the end.

    Raises CancelledError; what was converted until then stays, and so do all originals.
    """
    from modelhub.convert.batch import run_batch

    with shelf(library, job) as found:
        for item in run_batch(found, items, wish, job):
            job.say(outcome_words(item), "warning" if item.status in ("failed", "skipped") else "info")
            told(replace(item))
    for item in items:
        told(replace(item))
    return [*items]


@contextmanager
def shelf(library: Library, job: Job) -> Iterator[Shelf]:
    """The library as the batch sees it: rooms that do not know each other are joined here."""
    from modelhub.convert.one import Library as Shelf
    from modelhub.organize.trash import trash
    from modelhub.scan.adding import add_file

    with library.open() as catalog:
        yield Shelf(catalog, partial(add_file, catalog), lambda assets: trash(catalog, assets, job).entry)


def bring_back(library: Library, entries: Iterable[int], job: Job) -> str:
    """Undo the moves to the trash of these entries of the journal; what was done, in words."""
    from modelhub.organize.undo import undo

    with library.open() as catalog:
        return "\n".join(undo(catalog, entry, job) for entry in entries)
