"""Running downloads and answering for them: what get and queue run have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog import downloads
from modelhub.cli.context import Context
from modelhub.cli.get_words import Told
from modelhub.errors import CancelledError

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.net import Net
    from modelhub.fetch.order import Order
    from modelhub.fetch.queue import Outcome


def run_queue(
    context: Context,
    catalog: Catalog,
    ids: Sequence[int] | None,
    jobs: int | None,
    net: Net,
    orders: Sequence[Order] = (),
) -> list[Told]:
    """Run these downloads of the queue, or all that wait, several at once; what became of each.

    `orders` are those just put into it: what was typed into an address to log in is in them, not in the queue.
    Raises CancelledError, which says that the queue keeps them.
    """
    from modelhub.fetch.queue import run
    from modelhub.scan.adding import add_file
    from modelhub.settings import load_settings

    at_once = jobs or load_settings(catalog.folder).download_jobs or 1
    try:
        outcomes = run(catalog.folder, net, add_file, context.job, ids, at_once, orders=orders)
    except CancelledError as error:
        raise CancelledError(
            "Stopped; what has come so far is kept.", "`modelhub queue run` goes on with it."
        ) from error
    return [told(catalog, outcome) for outcome in outcomes]


def told(catalog: Catalog, outcome: Outcome) -> Told:
    """An outcome of the queue with what the catalog knows of the file."""
    return Told(
        outcome.source,
        outcome.status,
        outcome.path,
        outcome.size,
        outcome.sha256,
        outcome.title,
        outcome.id,
        catalog.in_place(outcome.path) if outcome.path else None,
        notes=outcome.notes,
        error=outcome.error,
    )


def queued(catalog: Catalog, ids: Sequence[int]) -> list[Told]:
    """What was put into the queue for later."""
    rows = downloads.listed(catalog, ids=ids)
    return [
        Told(str(row.plan["source"]), "queued", Path(row.goal), row.size, row.sha256, row.title, row.id) for row in rows
    ]


def answer(context: Context, found: Sequence[Told], text: Callable[[], Iterable[str]] | None = None) -> int:
    """Answer for every model; the exit code is that of the first failure. The only one that fails raises its error."""
    if len(found) == 1 and found[0].error is not None:
        raise found[0].error

    def lines() -> Iterator[str]:
        yield from (line for one in found if text is None or one.is_settled for line in one.lines())
        yield from text() if text else ()

    context.answer([one.as_dict() for one in found], lines)
    return next((one.error.exit_code for one in found if one.error is not None), 0)
