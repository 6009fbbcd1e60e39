"""Choosing what to ask for: contents with a hash that may leave this machine and that there is no young answer for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelhub.catalog.askable import Askable, askable, secret
from modelhub.catalog.lookups import Lookup
from modelhub.catalog.store import Catalog
from modelhub.formats.hashes import EMPTY_SHA256
from modelhub.formats.naming import shard_name

DAY = 86_400
#: Seconds that an answer holds: that of a provider that knows a content, and that of one that does not.
FOUND, UNKNOWN = 30 * DAY, 7 * DAY


@dataclass(frozen=True)
class Chosen:
    """Assets that are looked up: all of a query, of which some have no hash and some are nobody's business.

    `contents` are the others by SHA256, copies together; `folders` are models of several files, which have a hash of
    hashes that nobody else knows. `secret` are hashes that must not be sent.
    """

    assets: int
    unhashed: list[Askable]
    never: int
    contents: Mapping[str, list[Askable]]
    folders: Mapping[str, list[Askable]]
    secret: frozenset[str]

    @property
    def all(self) -> list[Askable]:
        """All assets that may be asked about, with a hash or without."""
        return [*(one for copies in self.contents.values() for one in copies), *self.unhashed]

    def due(self, answers: Mapping[str, Lookup], *, refresh: bool) -> list[str]:
        """The contents to ask for now: those without a young answer."""
        return [digest for digest in self.contents if refresh or not _is_young(answers.get(digest))]


def choose(catalog: Catalog, query: str) -> Chosen:
    """What `query` finds of files that are there. Raises BadQueryError."""
    there = [one for one in askable(catalog, catalog.ids(query)) if not one.missing and one.sha256 != EMPTY_SHA256]
    kept_back = secret(catalog)
    single = [one for one in there if _is_one_file(one)]
    open_ones = [one for one in there if not one.never and one.sha256 not in kept_back]
    files = [one for one in open_ones if _is_one_file(one)]
    folders = _by_digest(one for one in open_ones if not _is_one_file(one))
    unhashed = [one for one in files if not one.sha256]
    return Chosen(len(single), unhashed, len(single) - len(files), _by_digest(files), folders, kept_back)


def known_models(assets: Iterable[Askable], answers: Mapping[str, Lookup]) -> dict[int, str]:
    """Civitai's id of the model of each asset (by its own id) that has one: by its answer, else by a sidecar."""
    found = {}
    for one in assets:
        answer = answers.get(one.sha256 or "")
        number = (answer.model if answer else None) or one.model
        if number and number.isdecimal():
            found[one.id] = number
    return found


def _is_one_file(one: Askable) -> bool:
    return one.format != "diffusers" and shard_name(one.name) is None


def _by_digest(assets: Iterable[Askable]) -> dict[str, list[Askable]]:
    found: dict[str, list[Askable]] = {}
    for one in assets:
        if one.sha256:
            found.setdefault(one.sha256, []).append(one)
    return found


def _is_young(answer: Lookup | None) -> bool:
    if answer is None:
        return False
    holds = FOUND if answer.found and "gone" not in answer.facts else UNKNOWN
    return answer.at > time.time() - holds
