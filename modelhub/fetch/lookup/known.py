"""Known updates: what earlier answers say is newer than an asset; nobody is asked."""

from __future__ import annotations

from modelhub.catalog import lookups
from modelhub.catalog.askable import askable
from modelhub.catalog.reading import CatalogReader
from modelhub.fetch.lookup.choosing import known_models
from modelhub.fetch.lookup.newer import Here, Newer, compare


def known_newer(catalog: CatalogReader, number: int) -> list[Newer]:
    """The versions at Civitai that are newer than an asset, by the answers that are kept; those of its base first."""
    one = next(askable(catalog, [number]), None)
    if one is None or one.never:
        return []
    model = known_models([one], lookups.answers(catalog, filter(None, [one.sha256]), "civitai")).get(one.id)
    answer = lookups.models(catalog, [model], "civitai").get(model) if model else None
    if model is None or answer is None:
        return []
    versions = lookups.owned(catalog, [model], "civitai").get(model, {})
    return compare(answer, [Here(owner, "", version) for version, owner in versions.items() if version]).newer
