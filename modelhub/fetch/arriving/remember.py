"""What a provider said of a file is remembered by its SHA256, so that it outlives a move, a rename and a new scan."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelhub.catalog import lookups
from modelhub.catalog.lookups import Lookup
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.fetch.offer import Offer
from modelhub.fetch.order_facts import facts_to_keep
from modelhub.fetch.sources import HuggingFaceSource, read_source

_COMMIT = re.compile("[0-9a-f]{40}")


def remember(catalog: Catalog, sha256: str, offer: Offer, picture: Path | None = None) -> None:
    """Keep what `offer` says of the content of a file that came from it, with the picture that was kept of it."""
    facts = facts_to_keep(offer)
    if picture is not None:
        facts["preview"] = str(picture)
    if offer.provider == "huggingface":
        facts |= _place(offer, sha256)
    model, version = _names(offer)
    lookups.keep(catalog, [Lookup(sha256, offer.provider, True, facts, model, version)])


def _names(offer: Offer) -> tuple[str | None, str | None]:
    """The provider's names of the model and of the version: Civitai's ids, or a repository and a commit."""
    facts, raw = offer.facts, offer.raw
    if offer.provider == "civitai":
        return _text(facts.model_id), _text(facts.version_id)
    if offer.provider == "huggingface":
        return _text(raw.get("id")), _text(raw.get("sha"))
    return offer.address, None


def _place(offer: Offer, sha256: str) -> dict[str, Any]:
    """Where a file, or the files of a folder, lie in a repository, and on which branch."""
    source = _on_hub(offer.source)
    branch = source.revision if source else None
    if branch and _COMMIT.fullmatch(branch):  # a commit that was asked for is none
        branch = None
    found = _folder(offer, source, branch) if offer.whole and source else _file(offer, sha256)
    return {**found, "revision": branch} if branch else found


def _file(offer: Offer, sha256: str) -> dict[str, Any]:
    same = [file for file in offer.files if file.hashes.get("sha256") == sha256]
    return {"path": same[0].path or same[0].name} if same else {}


def _folder(offer: Offer, source: HuggingFaceSource, branch: str | None) -> dict[str, Any]:
    """The SHA256 of those files of a folder that have one, by their paths in the repository, and what `get` takes."""
    there = [(_on_hub(file.url), file.hashes.get("sha256")) for file in offer.files]
    files = {one.path: sha256 for one, sha256 in there if one and sha256}
    return {"files": files, "folder": replace(source, revision=branch).address}


def _on_hub(address: str) -> HuggingFaceSource | None:
    try:
        source = read_source(address)
    except UsageError:
        return None
    return source if isinstance(source, HuggingFaceSource) else None


def _text(value: Any) -> str | None:
    return str(value) if value else None
