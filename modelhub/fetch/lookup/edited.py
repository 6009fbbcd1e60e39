"""Edited files: an adapter whose header was changed has another SHA256, and still the hash of its weights, AutoV3."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelhub.catalog.askable import Askable
from modelhub.catalog.lookups import Lookup
from modelhub.errors import NotFoundError
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.looking import read_by_hash
from modelhub.fetch.lookup import civitai_words
from modelhub.fetch.net import Net
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job

#: Requests of a run: there is one for each file.
MOST = 100
_DIGITS = 12
#: Kinds whose headers people edit.
_KINDS = ("lora", "embedding")
#: Bytes that headers of the same weights may differ by.
_HEADER = 64_000_000
#: The same as a part of the file, where only its header claims to have these weights: a copy in another size keeps it.
_CLAIMED = 0.1


@dataclass(frozen=True, slots=True)
class Edited:
    """Asks Civitai for files by the hash of their weights, never for one of `secret`."""

    net: Net
    job: Job = QUIET
    secret: frozenset[str] = frozenset()
    most: int = MOST

    def is_due(self, one: Askable, answer: Lookup | None) -> bool:
        """Whether a file that Civitai does not know is to be asked for so, and was not yet."""
        digits = weights_hash(one)
        if answer is None or not digits or digits in self.secret or one.kind not in _KINDS:
            return False
        return not answer.found and answer.facts.get("asked_autov3") != digits

    def ask(self, waiting: Sequence[Askable]) -> Iterator[Lookup]:
        """The answers about as many as one run may ask for."""
        waiting = waiting[: self.most]
        with self.job.phase("asking for edited files", len(waiting), "files") as advance:
            for one in waiting:
                yield self._answer(one, weights_hash(one))
                advance()

    def _answer(self, one: Askable, digits: str) -> Lookup:
        digest = str(one.sha256)
        try:
            raw = read_by_hash(digits, self.net, self.job)
        except NotFoundError:
            raw = {}
        for file, hashes in civitai_words.files_of(raw):
            if hashes.get("autov3") == digits and _is_near(one, file):
                return civitai_words.content(digest, raw, file, matched_by="autov3")
        return Lookup(digest, "civitai", False, {"asked_autov3": digits}, at=time.time())


def weights_hash(one: Askable) -> str:
    """The digits of AutoV3: computed, else as the header tells them; "" for none, and for the hash of nothing."""
    return values.one_hash("autov3", (one.autov3 or one.embedded or "")[:_DIGITS]) or ""


def _is_near(one: Askable, file: Table) -> bool:
    """Whether two files can differ in their headers alone."""
    kilobytes = file.get("sizeKB")
    if not isinstance(kilobytes, (int, float)) or isinstance(kilobytes, bool):
        return False
    size = kilobytes * 1024
    allowed = _HEADER if one.autov3 else _CLAIMED * max(one.size, size)
    return bool(abs(one.size - size) <= allowed)
