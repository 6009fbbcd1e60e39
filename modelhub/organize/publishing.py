"""Publishing with a way back: the links of a plan are made, known to the catalog, and stand in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.jobs import QUIET, Job
from modelhub.organize.entries import begin, plain
from modelhub.organize.link import LinkPlan, publish, unpublish
from modelhub.text import one_line, plural


def publish_links(
    catalog: Catalog, assets: Sequence[Asset], plan: LinkPlan, title: str, job: Job = QUIET
) -> int | None:
    """Make the new links of a plan into the folders of the tool `title`; returns the journal's entry, None for none.

    Raises as `publish`, and then no link is left.
    """
    if not plan.new:
        return None
    ids = {asset.path: asset.id for asset in assets}
    summary = f"Linked {plural(len(plan.new), 'file')} into {one_line(title)}"
    entry = begin(catalog, "link", summary, {"links": plain(plan.new)})
    with ExitStack() as undo:
        undo.callback(journal.forget, catalog, entry)
        publish(plan, job)
        undo.callback(unpublish, plan.new)
        catalog.set_links({str(target): ids[source] for target, source in plan.new if source in ids})
        undo.pop_all()
    return entry
