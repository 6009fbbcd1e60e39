"""The one runner of the queue: a job that goes on while other places are used, and takes what is added meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelhub.jobs import Job
from modelhub.settings import Settings
from modelhub.text import one_line
from modelhub.tui.download.words import with_keys
from modelhub.tui.jobs.record import JobRecord
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.fetch.net import Net
    from modelhub.fetch.order import Order
    from modelhub.fetch.queue import Outcome
    from modelhub.tui.jobs.center import JobCenter

#: Seconds between two looks of the runner at the rows, and between two notes of how far they are.
_LOOK = 0.5


class QueueRunner:
    """Runs what waits. `sofar` is how far its rows are: bytes that are there, and how many of them were before.

    `notes` are sentences about rows that are done. `tokens` were pasted, and are in no file: they last as long as this.
    """

    def __init__(self, library: Library, jobs: JobCenter, settings: Callable[[], Settings], place: str) -> None:
        self._library, self._jobs, self._settings, self._place = library, jobs, settings, place
        self.sofar: Mapping[int, tuple[int, int]] = {}
        self.notes: dict[int, Sequence[str]] = {}
        self.tokens: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._record: JobRecord | None = None
        self._net: Net | None = None
        self.wants_more = False

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is about to."""
        return self._record is not None and self._record.is_open

    def remember(self, orders: Iterable[Order]) -> None:
        """Passwords in the addresses of orders, which the queue does not keep: for this run only."""
        from modelhub.fetch.queue import full_addresses

        self._addresses.update(full_addresses(orders))

    def start(self, over: Callable[[], None]) -> None:
        """Run what waits; where that is done already, it will see what was added. `over` is called at the end."""
        if self.is_running:
            self.wants_more = True
            self.forget_tokens()
            return
        self.wants_more = False
        self._record = self._jobs.start(
            "Downloads", self._run, place=self._place, lane="download", says=_words, over=lambda _: over()
        )

    def forget_tokens(self) -> None:
        """Look for tokens anew: the user may have given one."""
        net = self._net
        if net is not None:
            net.forget_tokens()

    def stop(self) -> None:
        """Stop; what has come is kept, and waits."""
        if self._record is not None:
            self._jobs.cancel(self._record)

    def _run(self, job: Job) -> list[Outcome]:
        from modelhub.fetch.net import Net
        from modelhub.fetch.queue import run
        from modelhub.scan.adding import add_file

        at_once = self._settings().download_jobs or 1
        with Net(given=self.tokens) as net:
            self._net = net
            try:
                found = run(
                    self._library.folder,
                    net,
                    add_file,
                    job,
                    jobs=at_once,
                    secrets=self._addresses,
                    look=_LOOK,
                    hear=self._hear,
                )
            finally:
                self._net, self.sofar = None, {}
        self.notes.update({one.id: one.notes for one in found if one.notes})
        return found

    def _hear(self, sofar: Mapping[int, tuple[int, int]]) -> None:
        self.sofar = sofar


def _words(outcomes: Sequence[Outcome]) -> str:
    """What came of a run, in a sentence or two."""
    counts = [
        (sum(one.status == "downloaded" for one in outcomes), "downloaded"),
        (sum(one.status == "owned" for one in outcomes), "owned already"),
        (sum(one.status == "failed" for one in outcomes), "failed"),
    ]
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    failed = next((one.error for one in outcomes if one.error is not None), None)
    if len(outcomes) == 1 and failed is None:
        told = f"{one_line(outcomes[0].title)}: {told}"
    said = f" {failed.message} {with_keys(failed.hint)}".rstrip() if failed is not None else ""
    return f"{told}.{said}" if told else ""
