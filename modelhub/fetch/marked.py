"""Marked: files that a user marked among all versions of a model, as offers with what is chosen of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelhub.errors import NotFoundError
from modelhub.fetch.choosing import Choice
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.fetch.offers import find_offer, the_same
from modelhub.jobs import QUIET, Job
from modelhub.text import few

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net


def versions_to_show(offer: Offer) -> tuple[Version, ...]:
    """All versions of the model, that of the offer with the files and the trouble that only the offer knows."""
    files, listed = (*offer.files, *offer.apart), offer.all_versions
    if all(one.address != offer.address for one in listed):
        own = Version(offer.address, offer.version, offer.facts.base_model, None, files, offer.trouble)
        return (own, *listed)
    return tuple(
        replace(one, files=files, trouble=offer.trouble) if one.address == offer.address else one for one in listed
    )


def chosen(
    offer: Offer, marks: Sequence[tuple[Version, Sequence[RemoteFile]]], net: Net, job: Job = QUIET
) -> list[tuple[Offer, Choice]]:
    """What is marked of each version, as offers of their own; the provider is asked for versions that are not at hand.

    What lies apart from a whole is chosen apart from it. Raises what `find_offer` raises, NotFoundError for a file that
    its provider lists no more.
    """
    return [one for version, files in marks for one in _of_version(offer, version, files, net, job)]


def _of_version(
    offer: Offer, version: Version, files: Sequence[RemoteFile], net: Net, job: Job
) -> list[tuple[Offer, Choice]]:
    if version.address != offer.address:
        offer = replace(find_offer(version.address, net, job), source=offer.source)
    found = [_found(file, offer) for file in files]
    parts = [[one for one in found if one not in offer.apart], [one for one in found if one in offer.apart]]
    return [(offer, Choice(tuple(part), why="it was marked")) for part in parts if part]


def _found(file: RemoteFile, offer: Offer) -> RemoteFile:
    now = the_same(file, (*offer.files, *offer.apart))
    if now is None:
        raise offer.trouble or NotFoundError(f"{few([file.name])} is no longer listed.", "Ask for the model once more.")
    return now
