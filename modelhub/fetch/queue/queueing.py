"""Queue: downloads that survive a restart; several run at once, in this process and in others, each row in one of them.

A row belongs to whoever holds its lock. Pausing and removing are changes of the row, which its runner looks at.
"""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import downloads
from modelhub.catalog.downloads import Download
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, FileError, ModelhubError
from modelhub.fetch.arriving.placing import Index
from modelhub.fetch.order import Order
from modelhub.fetch.queue.pasted import full_addresses, with_addresses, without_secrets
from modelhub.fetch.queue.row_locks import RowLock, ask_to_keep, is_to_keep, lock_row
from modelhub.fetch.queue.running import Ended, View, discard, download
from modelhub.jobs import QUIET, Advance, Counter, Job

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net

#: Seconds between two looks at what other processes did to the rows, and between two notes of the progress.
_LOOK = 1.0

#: Told of each row that runs how many bytes of it are there, and how many of these were there before.
Hear = Callable[[Mapping[int, tuple[int, int]]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one download.

    `status` is downloaded, owned (the bytes were there), failed, paused or removed; `notes` are sentences to read.
    """

    id: int
    source: str
    title: str
    status: str
    path: Path | None = None
    size: int | None = None
    sha256: str | None = None
    error: ModelhubError | None = None
    notes: tuple[str, ...] = ()


def add(catalog: Catalog, orders: Iterable[Order]) -> list[int]:
    """Put orders into the queue, all or none; returns their ids. One that is there already waits again.

    Passwords and tokens in addresses are left out: `run` is handed them once more, or the server asks for them.
    """
    with catalog.atomic():
        plain = [without_secrets(one) for one in orders]
        return [downloads.add(catalog, one.as_dict(), one.title, one.size, one.sha256) for one in plain]


def remove(catalog: Catalog, ids: Iterable[int], *, keep_part: bool = False) -> list[Download]:
    """Take downloads out of the queue, with what has come of them unless `keep_part`; one that runs is stopped.

    Returns their rows. Files that are done stay. Raises FileError for a part that cannot be removed.
    """
    wanted = list(ids)
    for row in downloads.listed(catalog, downloads.TO_RUN, wanted) if keep_part else ():
        ask_to_keep(catalog.folder, row.id)
    gone = downloads.remove(catalog, wanted)
    for row in gone:
        lock = None if row.state == "done" else lock_row(catalog.folder, row.id)
        if lock is not None:  # else its runner does it, when it sees that the row is gone
            with lock:
                if not keep_part:
                    discard(Order.from_dict(row.plan))
    return gone


def run(
    folder: Path,
    net: Net,
    index: Index,
    job: Job = QUIET,
    ids: Sequence[int] | None = None,
    jobs: int = 2,
    *,
    orders: Iterable[Order] = (),
    secrets: dict[str, str] | None = None,
    look: float = _LOOK,
    hear: Hear | None = None,
) -> list[Outcome]:
    """Run the downloads that wait, or those of `ids`, `jobs` at once; what became of each, in the order of the queue.

    `folder` is that of the catalog: each thread opens its own. What of `ids` another process runs is waited for;
    without `ids`, what is added meanwhile is run, too. `orders` are those that were added, with what the queue does not
    keep of their addresses; `secrets` is the same of orders that are yet to come, as `full_addresses` has it, and may
    grow. `look` is how often other processes' changes are looked at, in seconds; as often `hear` is told how far the
    rows are that run here. Raises CancelledError when the job is stopped: what has not ended waits then, with all that
    has come. One that fails stops no other.
    """
    with Catalog.open(folder) as catalog:
        rows = downloads.listed(catalog, downloads.TO_RUN if ids is None else downloads.STATES, ids)
        total = _total([row for row in rows if row.state in downloads.TO_RUN])
        with job.phase("downloading", total, "bytes") as advance:
            full = ChainMap(full_addresses(orders), {} if secrets is None else secrets)
            running = _Running(catalog, net, index, job, advance, ids, look, full, hear)
            running.run(jobs)
        job.check()
        return running.outcomes(rows)


def _total(rows: Sequence[Download]) -> int | None:
    sizes = [row.size for row in rows]
    return None if None in sizes else sum(size for size in sizes if size is not None)


class _Running:
    """One run: what its workers share. The main thread watches the rows and writes down the progress."""

    def __init__(
        self,
        catalog: Catalog,
        net: Net,
        index: Index,
        job: Job,
        counter: Counter,
        ids: Sequence[int] | None,
        look: float,
        full: Mapping[str, str],
        hear: Hear | None,
    ) -> None:
        self._catalog, self._net, self._index, self._job = catalog, net, index, job
        self._all, self._ids, self._look, self._full, self._hear = counter, ids, look, full, hear
        self._lock, self._taking, self._over = threading.Lock(), threading.Lock(), threading.Event()
        self._contents: dict[int, str | None] = {}
        self._views: dict[int, View] = {}
        self._names: dict[int, str] = {}
        self._done: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._counted = set(downloads.open_ids(catalog, ids))
        self._tried: set[int] = set()
        self._ended: dict[int, Outcome] = {}

    # -- the main thread -----------------------------------------------------------------------------------------------

    def run(self, jobs: int) -> None:
        """Work until nothing is left to take, and nothing of `ids` runs in another process."""
        while True:
            with ThreadPoolExecutor(max(jobs, 1), "download") as pool:
                try:
                    self._watch(pool, max(jobs, 1))
                finally:
                    self._stop()
            if self._job.cancelled or self._ids is None or not self._left():
                return
            self._over.wait(self._look)

    def outcomes(self, rows: Sequence[Download]) -> list[Outcome]:
        """What became of these rows, and of others that were added and taken meanwhile."""
        found = dict(self._ended)
        for row in rows if self._ids is not None else ():
            if row.id not in found:
                found[row.id] = self._elsewhere(row)
        return [found[number] for number in sorted(found)]

    def _watch(self, pool: ThreadPoolExecutor, jobs: int) -> None:
        waiting = {pool.submit(self._work) for _ in range(jobs)}
        while waiting:
            done, waiting = wait(waiting, self._look)
            self._keep_progress()
            for one in done:
                one.result()
            if self._has_more():
                waiting |= {pool.submit(self._work) for _ in range(jobs - len(waiting))}

    def _has_more(self) -> bool:
        """Whether there is something to take that was not there when this was asked last."""
        if self._ids is not None or self._job.cancelled:
            return False
        free = set(downloads.open_ids(self._catalog)) - set(self._contents)
        before, self._tried = self._tried, free
        return bool(free - before)

    def _keep_progress(self) -> None:
        """Note how far all have come, and stop those that somebody paused or removed."""
        with self._lock:
            done, kept, views = dict(self._done), dict(self._kept), dict(self._views)
        if self._hear is not None:
            self._hear({number: (done.get(number, 0), kept.get(number, 0)) for number in views})
        if not views:
            return
        downloads.progress(self._catalog, {number: done.get(number, 0) for number in views})
        now = downloads.states(self._catalog, views)
        for number, view in views.items():
            if now.get(number, "gone") in ("paused", "gone"):
                view.cancel()

    def _stop(self) -> None:
        """End what still runs, when this thread was interrupted."""
        with self._lock:
            views = list(self._views.values())
        for view in views:
            view.cancel()

    def _left(self) -> bool:
        return bool(downloads.open_ids(self._catalog, self._ids))

    def _elsewhere(self, row: Download) -> Outcome:
        """The outcome of a row that another process took."""
        now = next(iter(downloads.listed(self._catalog, ids=[row.id])), None)
        if now is None:
            return _outcome(row, "removed")
        if now.state == "done":
            return _outcome(row, "downloaded", path=Path(now.goal), size=now.size, sha256=now.sha256)
        return _outcome(row, now.state, error=now.error)

    # -- the workers ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Take one row after the other, until none is left."""
        with Catalog.open(self._catalog.folder) as catalog:
            while not self._job.cancelled and (taken := self._take(catalog)) is not None:
                row, lock = taken
                try:
                    with lock:
                        self._run_one(catalog, row)
                finally:
                    del self._contents[row.id]

    def _take(self, catalog: Catalog) -> tuple[Download, RowLock] | None:
        """The first row that waits, or that a dead process left running, with its lock."""
        with self._taking:
            for number, sha256 in downloads.open_ids(catalog, self._ids).items():
                if sha256 is not None and sha256 in self._contents.values():
                    continue  # the same file, which the other row will have brought
                lock = lock_row(catalog.folder, number)
                if lock is None:
                    continue
                if (row := downloads.begin(catalog, number)) is not None:
                    self._contents[number] = sha256
                    return row, lock
                lock.close()
            return None

    def _run_one(self, catalog: Catalog, row: Download) -> None:
        view, order = View(self._job), with_addresses(Order.from_dict(row.plan), self._full)
        with self._lock:
            self._views[row.id], self._names[row.id] = view, order.goal.name
            self._done[row.id] = self._kept[row.id] = 0
        self._count_in(row)
        try:
            ended = download(catalog, order, self._net, self._index, view, self._counter(row.id))
        except CancelledError:
            self._ended[row.id] = self._stopped(catalog, row, order)
        except ModelhubError as error:
            downloads.fail(catalog, row.id, error)
            self._ended[row.id] = _outcome(row, "failed", error=error)
        else:
            self._ended[row.id] = _finished(catalog, row, ended)
        finally:
            self._count_out(row)
            with self._lock:
                del self._views[row.id], self._names[row.id]

    def _count_in(self, row: Download) -> None:
        """What nobody reckoned with, or was given up before, makes the bar for all longer."""
        if row.id not in self._counted:
            self._counted.add(row.id)
            self._all.grow(row.size)

    def _count_out(self, row: Download) -> None:
        """What will not come now, though it was reckoned with, makes it shorter."""
        self._counted.discard(row.id)
        if row.size is not None:
            self._all.grow(self._done[row.id] - row.size)

    def _counter(self, number: int) -> Advance:
        def count(n: int = 1, item: str = "", picture: object = None, *, kept: bool = False) -> None:
            with self._lock:
                self._done[number] += n
                self._kept[number] += n if kept else 0
                names, more = list(self._names.values()), len(self._names) - 1
            self._all(n, f"{names[0]} and {more} more" if more > 0 else names[0] if names else item, kept=kept)

        return count

    def _stopped(self, catalog: Catalog, row: Download, order: Order) -> Outcome:
        """A download that was stopped waits, unless somebody paused or removed it."""
        downloads.progress(catalog, {row.id: self._done[row.id]})
        if downloads.wait_again(catalog, row.id):
            return _outcome(row, "waiting")
        if downloads.states(catalog, [row.id]):
            return _outcome(row, "paused")
        if not is_to_keep(catalog.folder, row.id):
            with suppress(FileError):
                discard(order)
        return _outcome(row, "removed")


def _finished(catalog: Catalog, row: Download, ended: Ended) -> Outcome:
    one = ended.arrived
    downloads.finish(catalog, row.id, str(one.path), one.size, one.hashes.sha256)
    return _outcome(row, ended.status, path=one.path, size=one.size, sha256=one.hashes.sha256, notes=one.notes)


def _outcome(row: Download, status: str, **words: object) -> Outcome:
    return Outcome(row.id, str(row.plan.get("source", "")), row.title, status, **words)  # type: ignore[arg-type]
