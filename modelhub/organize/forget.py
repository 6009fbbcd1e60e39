"""Forget: rows of files that are gone leave the catalog, and stand in the journal as they were."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.organize.entries import names
from modelhub.text import one_line


def forget(catalog: Catalog, assets: Sequence[Asset], *, dry_run: bool = False) -> int | None:
    """Remove the rows of missing files, with their tags and notes; returns the entry of the journal.

    Nothing is done in a dry run, or without assets: None. Raises UsageError for a file that is there.
    """
    once = list({asset.id: asset for asset in assets}.values())
    for asset in once:
        if asset.path.exists():
            raise UsageError(
                f"{one_line(str(asset.path))} is there; only missing files can be forgotten.",
                "`modelhub rm` moves a file to the trash; `modelhub scan` finds one that came back.",
            )
    if dry_run or not once:
        return None
    with catalog.atomic():
        rows = [catalog.whole(asset.id) for asset in once]
        entry = journal.write(catalog, "forget", f"Forgot {names([a.name for a in once])}", {"rows": rows})
        catalog.remove(asset.id for asset in once)
    return entry
