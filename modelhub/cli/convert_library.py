"""The library as convert, prune and repair see it: rooms that do not know each other are joined here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import NotFoundError
from modelhub.settings import home, user_path

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.convert.one import Library
    from modelhub.jobs import Job


@contextmanager
def library_of(refs: Sequence[str], job: Job) -> Iterator[Library | None]:
    """The library; None where there is no catalog and `refs` are paths, so that none comes to be for a file or two."""
    from modelhub.catalog.store import Catalog

    if not (home() / "catalog.db").exists() and all(map(_is_path, refs)):
        yield None
        return
    with Catalog.open() as catalog:
        yield make_library(catalog, job)


def make_library(catalog: Catalog, job: Job) -> Library:
    """The catalog with what scan and organize do for it."""
    from modelhub.convert.one import Library
    from modelhub.scan.adding import add_file

    return Library(catalog, partial(add_file, catalog), _trash(catalog, job))


def find_source(library: Library | None, ref: str) -> tuple[Path, Asset | None]:
    """What `ref` names: whatever is at this path, or an asset that is not in the trash. Raises as `refs.locate`."""
    from modelhub.catalog.refs import locate

    path = user_path(ref)
    if library is None or (path.is_dir() and (path / "config.json").is_file()):
        return path, None if library is None else library.catalog.by_path(path.absolute())
    try:
        path, asset = locate(library.catalog, ref)
    except NotFoundError:
        if not _is_path(ref):
            raise
        return path, None  # whoever opens it says what it is
    if asset is not None and library.catalog.by_path(asset.path) is None:
        raise NotFoundError(f"#{asset.id} is in the trash.", "`modelhub undo` brings it back.")
    return path, asset


def _is_path(ref: str) -> bool:
    return bool(ref) and os.path.lexists(user_path(ref))


def _trash(catalog: Catalog, job: Job) -> Callable[[Sequence[Asset]], int | None]:
    def trash_all(assets: Sequence[Asset]) -> int | None:
        from modelhub.organize.trash import trash

        return trash(catalog, assets, job).entry

    return trash_all
