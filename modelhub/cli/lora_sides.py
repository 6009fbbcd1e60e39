"""One side of a check, as the user names it: a row of the catalog, or a file that is in none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.reading import CatalogReader


def side(catalog: CatalogReader, ref: str) -> Asset:
    """What is known of one side: its row if that is true of the file as it is, else its header and sidecars."""
    from modelhub.catalog.refs import locate
    from modelhub.formats.opening import stat_of
    from modelhub.lora.checking.unlisted import unlisted
    from modelhub.scan.know import know_beside

    path, asset = locate(catalog, ref)
    if asset is not None and asset.stat == stat_of(path) and asset.problem is None:
        return asset
    return unlisted(path.absolute(), know_beside(path).identity)
