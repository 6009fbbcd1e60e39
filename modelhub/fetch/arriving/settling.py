"""Settling: a model at its place becomes known: to the catalog, with its facts, picture and sidecars.

The file is there already, so nothing here makes its download fail: what goes wrong is told in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, FileError, ModelhubError
from modelhub.fetch.arriving.pictures import kept_picture
from modelhub.fetch.arriving.placing import Arrived, Index
from modelhub.fetch.arriving.remember import remember
from modelhub.fetch.arriving.sidecar_files import write_sidecars
from modelhub.fetch.order import Order
from modelhub.fetch.order_facts import offer_of
from modelhub.formats.hashes import Hashes
from modelhub.formats.naming import INDEX, is_model_name, shard_name
from modelhub.formats.walk import find_assets
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net


def settle(
    catalog: Catalog, order: Order, arrived: Arrived, net: Net, index: Index, job: Job = QUIET
) -> tuple[str, ...]:
    """Index what arrived, remember its facts, keep its picture, write its sidecars; returns what a user should read."""
    picture, problems = _picture(catalog, order, arrived, net, job)
    # sidecars first: the index reads them
    problems += write_sidecars(order, arrived.path, arrived.hashes, picture)
    assets = list(_assets(order, arrived))
    digests = {hashes.sha256 for hashes in (arrived.hashes, *(hashes for _, hashes in assets)) if hashes.sha256}
    for digest in digests:
        problems += _tried(partial(remember, catalog, digest, offer_of(order), picture))
    for path, hashes in assets:
        problems += _tried(partial(index, catalog, path, hashes if hashes.sha256 else None))
    return tuple(problems)


def _assets(order: Order, arrived: Arrived) -> Iterator[tuple[Path, Hashes]]:
    """What of it the catalog lists: the file or the diffusers folder, or all models in another kind of folder."""
    path = arrived.path
    if not path.is_dir():
        if is_model_name(path.name):
            yield path, arrived.hashes
    elif (path / INDEX).is_file():
        yield path, arrived.hashes
    else:
        told = {path / file.path: file.hashes.get("sha256") for file in order.files}
        for found in find_assets([path], lambda error, path: None):
            model = Path(found.path)
            sha256 = None if shard_name(model.name) else told.get(model)
            yield model, Hashes(sha256=sha256, autov2=sha256 and sha256[:10])


def _picture(catalog: Catalog, order: Order, arrived: Arrived, net: Net, job: Job) -> tuple[Path | None, list[str]]:
    """A stop is no reason to lose what is whole: the job notices it right afterwards."""
    if order.picture is None or not arrived.hashes.sha256:
        return None, []
    try:
        return kept_picture(catalog.folder, arrived.hashes.sha256, order.picture, net, job), []
    except CancelledError:
        return None, []
    except ModelhubError as error:
        return None, [f"Its picture was not kept: {error.message}"]


def _tried(do: Callable[[], object]) -> list[str]:
    """What went wrong in words, if anything did."""
    try:
        do()
    except FileError as error:
        return [error.message]
    return []
