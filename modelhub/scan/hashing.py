"""Hash catalogued files that have no hash yet, several at once where the machine has the cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError
from modelhub.formats.hashes import Hashes, hash_many
from modelhub.formats.opening import stat_of
from modelhub.jobs import Job

#: Threads that one file keeps busy.
_PER_FILE = 4


def hash_assets(
    catalog: Catalog, assets: Sequence[Asset], mode: str, workers: int, job: Job
) -> Iterator[tuple[str, ModelhubError | None]]:
    """Hash the assets and store each at once; yields every path with what went wrong, if anything did."""
    by_path = {str(asset.path): asset for asset in assets}
    lanes = max(1, min(workers, os.cpu_count() or 1) // _PER_FILE)
    with closing(hash_many([asset.path for asset in assets], mode, lanes, job)) as hashed:
        for path, result in hashed:
            yield str(path), result if isinstance(result, ModelhubError) else _keep(catalog, by_path[str(path)], result)


def _keep(catalog: Catalog, asset: Asset, hashes: Hashes) -> ModelhubError | None:
    """Store the hashes, unless the file or the row is no longer the one that was indexed."""
    try:
        if stat_of(asset.path) == asset.stat:
            catalog.set_hashes(asset.id, hashes, asset.stat)
    except FileError as error:
        return error
    return None
