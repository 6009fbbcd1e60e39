"""Planning: what is chosen becomes orders with paths; what is owned, in the way or too large is told beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import FileExistsAlreadyError, ModelhubError, UsageError, error_dict
from modelhub.fetch.arriving.folders import Staging
from modelhub.fetch.names.safe import folded
from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.fetch.order import Order
from modelhub.fetch.planning.ordering import Options, Ordering, is_whole
from modelhub.fetch.planning.owned import find_owned
from modelhub.fetch.planning.space import Disk, disks
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from modelhub.fetch.choosing import Choice
    from modelhub.fetch.net.client import Net


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be done about one file or folder.

    `status` is new; resume (`there` bytes of it have come before); owned (the bytes are at `path`, as `asset` if the
    catalog has them); conflict (something else is where it would go); refused (its provider does not give it). `why`
    says so in a sentence, `error` is what to raise for it. There is no order for what is refused.
    """

    status: str
    source: str
    title: str
    order: Order | None = None
    path: Path | None = None
    there: int = 0
    asset: int | None = None
    why: str = ""
    error: ModelhubError | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all its files, None if not all are known."""
        return self.order.size if self.order else None

    @property
    def to_come(self) -> int:
        """Bytes that have to be fetched, as far as they are known."""
        if self.order is None or self.status not in ("new", "resume"):
            return 0
        return max(sum(file.size or 0 for file in self.order.files) - self.there, 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        order, error = self.order, self.error
        return {
            "source": self.source,
            "status": self.status,
            "title": self.title,
            "path": str(self.path) if self.path else None,
            "size": self.size,
            "there": self.there,
            "sha256": order.sha256 if order else None,
            "kind": order.kind if order else None,
            "architecture": order.architecture if order else None,
            "files": len(order.files) if order else 0,
            "id": self.asset,
            "why": self.why or None,
            "error": error_dict(error),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one call asks for, and what it takes on each disk."""

    items: tuple[Planned, ...]
    disks: tuple[Disk, ...] = ()

    @property
    def orders(self) -> tuple[Order, ...]:
        """What is to be downloaded."""
        return tuple(one.order for one in self.items if one.order and one.status in ("new", "resume"))

    @property
    def to_come(self) -> int:
        """Bytes that have to be fetched, as far as they are known."""
        return sum(one.to_come for one in self.items)

    def check(self) -> None:
        """Raise NoSpaceError if some disk has no room for what is to come to it."""
        for disk in self.disks:
            disk.check()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "items": [one.as_dict() for one in self.items],
            "to_come": self.to_come,
            "disks": [{"folder": str(one.folder), "needed": one.needed, "free": one.free} for one in self.disks],
        }


def plan(
    catalog: Catalog,
    chosen: Sequence[tuple[Offer, Choice]],
    options: Options | None = None,
    net: Net | None = None,
    job: Job = QUIET,
) -> Plan:
    """What is to be done to get what was chosen. Nothing is written but hashes of files that the catalog has.

    With `net`, the headers of files of which nobody says what they are get read at their provider. Raises UsageError
    where there is no folder to go to, or `options.name` is to name several; FileError for a disk that cannot be asked.
    """
    options = options or Options()
    chosen = [(offer.of(choice.files), choice) for offer, choice in chosen]
    ordering = Ordering(catalog, options, net, job)
    if options.name is not None and sum(_count(*one) for one in chosen) > 1:
        raise UsageError("--as names one file, and several are chosen.", "Choose one with --file, or leave --as away.")
    return decided(catalog, _orders(chosen, ordering), job)


def decided(catalog: Catalog, items: Iterable[Planned], job: Job = QUIET) -> Plan:
    """What is to be done about items whose orders were not looked into yet. Raises FileError, CancelledError."""
    items = tuple(_Deciding(catalog, job).decide(items))
    wanted = [(one.order.goal, one.to_come) for one in items if one.order and one.to_come]
    return Plan(items, tuple(disks(wanted)))


def _orders(chosen: Sequence[tuple[Offer, Choice]], ordering: Ordering) -> Iterator[Planned]:
    """An order for each file or whole folder, its status not looked into yet; refusals as they are."""
    for offer, choice in chosen:
        if offer.trouble is not None:
            yield Planned("refused", offer.source, offer.title, why=offer.trouble.message, error=offer.trouble)
            continue
        for files in (choice.files,) if is_whole(offer, choice.files) else tuple((file,) for file in choice.files):
            order = ordering.order(offer, files)
            yield Planned("new", offer.source, offer.title, order, order.goal)


def _count(offer: Offer, choice: Choice) -> int:
    """How many orders it makes."""
    return 1 if is_whole(offer, choice.files) else len(choice.files)


class _Deciding:
    """Looks at one order after the other, knowing those before it."""

    def __init__(self, catalog: Catalog, job: Job) -> None:
        self._catalog, self._job = catalog, job
        self._waiting = downloads.open_goals(catalog)
        self._seen: dict[str, Path] = {}
        self._goals: set[str] = set()

    def decide(self, items: Iterable[Planned]) -> Iterator[Planned]:
        for item in items:
            self._job.check()
            yield item if item.order is None else self._decided(item, item.order)

    def _decided(self, item: Planned, order: Order) -> Planned:
        content = order.sha256 or " ".join(file.url for file in order.files)
        first = self._seen.setdefault(content, order.goal)
        if first != order.goal:
            why = f"It is the same as {first.name}, which this call gets already."
            return replace(item, status="owned", path=first, why=why)
        return self._of_whole(item, order) if order.whole else self._of_file(item, order, order.files[0])

    def _of_file(self, item: Planned, order: Order, file: RemoteFile) -> Planned:
        owned = None if order.replace else find_owned(self._catalog, file, order, self._job)
        if owned is not None:
            why = f"It is there already: {owned.path}"
            if order.sha256 is None:
                why = f"It came from there before: {owned.path}. `--force` gets it once more."
            return replace(item, status="owned", path=owned.path, asset=owned.asset, why=why)
        from modelhub.fetch.download import already

        return self._conflict(item, order) or _with_there(item, already(file, order.goal))

    def _of_whole(self, item: Planned, order: Order) -> Planned:
        if not order.replace and order.goal.is_dir() and _holds(order.goal, order.files):
            known = self._catalog.in_place(order.goal)
            why = f"It is there already: {order.goal}"
            return replace(item, status="owned", asset=known.id if known else None, why=why)
        return self._conflict(item, order) or _with_there(item, Staging(order).already())

    def _conflict(self, item: Planned, order: Order) -> Planned | None:
        """The item as one that something is in the way of, if so."""
        row = self._waiting.get(str(order.goal))
        why, hint = self._in_the_way(order), "Name it otherwise with `--as NAME`, or replace it with `--force`."
        if row is not None and not downloads.asks_the_same(row.plan, order.as_dict()):
            why = f"Download {row.id} of the queue ({row.state}) is to become {order.goal}."
            hint = f"Name it otherwise with `--as NAME`, or give that one up with `modelhub queue remove {row.id}`."
        if self._is_promised(order.goal):
            why, hint = f"Something before it is to become {order.goal}, too.", "Name it otherwise with `--as NAME`."
        if order.replace and not order.whole and order.goal.is_dir() and not order.goal.is_symlink():
            why, hint = f"{order.goal} is a folder, which no file replaces.", "Name it otherwise with `--as NAME`."
        if why is None:
            return None
        return replace(item, status="conflict", why=why, error=FileExistsAlreadyError(why, hint))

    def _is_promised(self, goal: Path) -> bool:
        """Whether something before it goes there; from now on this does."""
        name = folded(str(goal))
        before = name in self._goals
        self._goals.add(name)
        return before

    def _in_the_way(self, order: Order) -> str | None:
        there = None if order.replace else _there(order.goal)
        if there is None:
            return None
        told = order.whole or order.sha256 is not None
        other = "is another" if told else "no hash tells whether it is this"
        return f"{there} exists already, and {other} {'folder' if order.whole else 'file'}."


def _with_there(item: Planned, there: int) -> Planned:
    if not there:
        return item
    return replace(item, status="resume", there=there, why="A part of it has come before.")


def _there(goal: Path) -> Path | None:
    """What is at `goal`, or at what some systems hold for the same name."""
    try:
        names = [path for path in goal.parent.iterdir() if folded(path.name) == folded(goal.name)]
    except OSError:
        return None
    return next(iter(names), None)


def _holds(folder: Path, files: Sequence[RemoteFile]) -> bool:
    """Whether all files are there with their sizes; they came together, and each was verified then."""
    try:
        return all(file.size in (None, (folder / file.path).stat().st_size) for file in files)
    except OSError:
        return False
