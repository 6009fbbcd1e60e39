"""Running: one download of the queue from its order to a model that is filed and known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from modelhub.catalog.store import Catalog
from modelhub.fetch.arriving.folders import Staging
from modelhub.fetch.arriving.placing import Arrived, Index, place
from modelhub.fetch.arriving.settling import settle
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.offers import same_file
from modelhub.fetch.order import Order
from modelhub.fetch.planning.owned import find_owned, twins_of
from modelhub.fetch.planning.space import disks
from modelhub.jobs import Advance, Event, Job

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net


class View(Job):
    """One download's view of the job of all: it stops when that does, or alone; what it says is heard there."""

    def __init__(self, outer: Job) -> None:
        super().__init__(outer.name, self._pass_on)
        self._outer = outer

    @property
    def cancelled(self) -> bool:
        """Whether this download or all of them shall stop."""
        return self._outer.cancelled or super().cancelled

    def check(self) -> None:
        """Raise CancelledError if this download or all of them shall stop."""
        self._outer.check()
        super().check()

    def _pass_on(self, event: Event) -> None:
        """Sentences only: of the progress there is one bar for all."""
        if event.level != "progress":
            self._outer.say(event.item, event.level)


@dataclass(frozen=True, slots=True)
class Ended:
    """A download that ended well: `status` is downloaded, or owned for bytes that turned out to be there."""

    arrived: Arrived
    status: str = "downloaded"


def download(catalog: Catalog, order: Order, net: Net, index: Index, job: Job, advance: Advance) -> Ended:
    """Fetch what an order asks for, file it and make it known; `advance` hears bytes as they come.

    Raises UnsafePickleError for what would run code, ProviderError, FileError, CancelledError.
    """
    found = None if order.replace or order.whole else find_owned(catalog, order.files[0], order, job)
    if found is not None:
        arrived = Arrived(found.path, order.size or found.path.stat().st_size, found.hashes)
        advance(arrived.size, kept=True)
        notes = () if found.asset else settle(catalog, order, arrived, net, index, job)
        return Ended(replace(arrived, notes=(f"It was there already: {found.path}", *notes)), "owned")
    fetch = _folder if order.whole else _file
    arrived = fetch(catalog, order, net, job, advance)
    if arrived.refused is not None:
        raise arrived.refused
    twins = twins_of(catalog, arrived.hashes.sha256, arrived.path)
    notes = settle(catalog, order, arrived, net, index, job)
    return Ended(replace(arrived, notes=(*arrived.notes, *twins, *notes)))


def discard(order: Order) -> None:
    """Remove what has come of an order that nobody wants any more. Raises FileError."""
    from modelhub.fetch.download import discard as discard_part

    if order.whole:
        Staging(order).discard()
    else:
        discard_part(order.files[0], order.goal)


def _file(catalog: Catalog, order: Order, net: Net, job: Job, advance: Advance) -> Arrived:
    from modelhub.fetch.download import already, fetched

    file = order.files[0]
    _check_space(order, (file.size or 0) - already(file, order.goal))
    with fetched(file, order.goal, order.provider, net, job, advance, partial(_again, order, net, job, file)) as got:
        arrived = place(catalog, order, got.part, got.size, got.hashes, job)
        return replace(arrived, notes=(*got.notes, *arrived.notes))


def _folder(catalog: Catalog, order: Order, net: Net, job: Job, advance: Advance) -> Arrived:
    staging = Staging(order)
    _check_space(order, (order.size or 0) - staging.already())
    refused = staging.collect(net, job, advance, partial(_again, order, net, job))
    return refused or staging.place(catalog, job)


def _again(order: Order, net: Net, job: Job, file: RemoteFile) -> RemoteFile:
    return same_file(order, file, net, job)


def _check_space(order: Order, size: int) -> None:
    """Raise NoSpaceError if the disk has no room: much may have come to it since the plan."""
    for disk in disks([(order.goal, max(size, 0))]):
        disk.check()
