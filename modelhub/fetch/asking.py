"""Asking: what each of several sources leads to; one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.fetch.choosing import Choice, Wish, choose
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.offers import find_offer
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import CivitaiSource, HashSource, HuggingFaceSource
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.net import Net
    from modelhub.fetch.offer import Offer

_NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class Asked:
    """One source and what came of it: an offer with what is chosen of it, an asset that is there, or why not."""

    source: str
    offer: Offer | None = None
    choice: Choice | None = None
    asset: Asset | None = None
    error: ModelhubError | None = None


def pasted_tokens(sources: Sequence[str]) -> dict[str, str]:
    """The tokens that stood in pasted addresses, by provider: for this call alone."""
    pasted: dict[str, str] = {}
    for source in sources:
        with suppress(UsageError):
            meant = read_source(source)
            if isinstance(meant, CivitaiSource | HuggingFaceSource) and meant.token:
                pasted["civitai" if isinstance(meant, CivitaiSource) else "huggingface"] = meant.token
    return pasted


def ask_all(catalog: Catalog, sources: Sequence[str], net: Net, job: Job = QUIET, *, owned: bool = True) -> list[Asked]:
    """Every source with its offer and nothing chosen yet, or with its error. Raises CancelledError.

    `owned`: nobody is asked for a hash whose file is there.
    """
    with job.phase("asking", len(sources), "sources") as advance:
        found = []
        for source in sources:
            found.append(_asked(catalog, source, net, job, owned))
            advance(item=shown(source))
    return found


def _asked(catalog: Catalog, source: str, net: Net, job: Job, owned: bool) -> Asked:
    try:
        asset = owned_by_hash(catalog, source) if owned else None
        if asset is not None:
            return Asked(shown(source), asset=asset)
        offer = find_offer(source, net, job)
        return Asked(shown(source), replace(offer, source=shown(source)))
    except CancelledError:
        raise
    except ModelhubError as error:
        return Asked(shown(source), error=error)


def shown(source: str) -> str:
    """A source as it was typed, without the secrets in it."""
    return redacted(source)


def owned_by_hash(catalog: Catalog, source: str) -> Asset | None:
    """The asset that a hash names and that is there: no provider has to be asked for it."""
    meant = read_source(source)
    if not isinstance(meant, HashSource):
        return None
    return next((asset for asset in catalog.hashed(meant.digits) if asset.path.exists()), None)


def usual(one: Asked, wish: Wish = _NO_WISH) -> Asked:
    """With what is taken of an offer where nobody says more; nothing where one has to say, or it is refused."""
    if one.offer is None or one.offer.trouble is not None:
        return one
    try:
        return replace(one, choice=choose(one.offer, wish))
    except ModelhubError:
        return one
