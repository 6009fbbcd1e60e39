"""Offers: what a person typed, asked for at the provider that it means; and a file once more, by a fresh link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import CivitaiSource, HashSource, HuggingFaceSource
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net
    from modelhub.fetch.order import Order


def find_offer(text: str, net: Net, job: Job = QUIET) -> Offer:
    """What the source `text` leads to; a hash is looked for at Civitai.

    Raises UsageError for what is no source, NotFoundError, ProviderError.
    """
    source = read_source(text)
    if isinstance(source, HashSource):
        from modelhub.fetch import civitai

        return civitai.by_hash(source.digits, net, job)
    if isinstance(source, CivitaiSource):
        from modelhub.fetch import civitai

        return civitai.find_offer(source, net, job)
    if isinstance(source, HuggingFaceSource):
        from modelhub.fetch import huggingface

        return huggingface.find_offer(source, net, job)
    from modelhub.fetch import direct

    return direct.find_offer(source, net, job)


def same_file(order: Order, file: RemoteFile, net: Net, job: Job = QUIET) -> RemoteFile:
    """`file` of an order as its provider offers it now, for the link that it has now; itself if it is there no more."""
    return the_same(file, find_offer(order.address, net, job).files) or file


def the_same(file: RemoteFile, now: Sequence[RemoteFile]) -> RemoteFile | None:
    """The one of `now` that is `file`, by its number, its hash, or name and size; None if it is not among them."""
    sha256 = file.hashes.get("sha256")
    by_number = (one for one in now if file.id is not None and one.id == file.id)
    by_hash = (one for one in now if sha256 and one.hashes.get("sha256") == sha256)
    by_name = (one for one in now if (one.path or one.name, one.size) == (file.path or file.name, file.size))
    return next(by_number, None) or next(by_hash, None) or next(by_name, None)
