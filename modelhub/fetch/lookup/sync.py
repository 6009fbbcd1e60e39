"""Sync: ask Civitai for all files that are here, by SHA256, a hundred in a request; each answer is kept at once.

Hugging Face has no search by hash, so only Civitai is asked. What was stopped goes on with what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from modelhub.catalog import lookups
from modelhub.catalog.askable import Askable
from modelhub.catalog.lookups import Lookup
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, ProviderError
from modelhub.fetch import civitai
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.looking import BATCH, batches
from modelhub.fetch.lookup import civitai_words
from modelhub.fetch.lookup.choosing import FOUND, Chosen, choose, known_models
from modelhub.fetch.lookup.edited import Edited
from modelhub.fetch.lookup.models import Models
from modelhub.fetch.lookup.report import Known, SyncReport, Vanished
from modelhub.fetch.net import Net
from modelhub.jobs import QUIET, Job

#: Hashes the files with these ids; what cannot be hashed stays without.
Hashing = Callable[[Sequence[int]], None]


def sync(
    catalog: Catalog,
    query: str,
    net: Net,
    job: Job = QUIET,
    *,
    refresh: bool = False,
    dry_run: bool = False,
    hashing: Hashing | None = None,
) -> SyncReport:
    """Look up the files that `query` finds. `refresh` asks again for what is known; `hashing` hashes what has no hash.

    What stops it early is in the report, as what was kept until then still counts. Raises BadQueryError.
    """
    chosen = choose(catalog, query)
    if hashing and chosen.unhashed and not dry_run:
        hashing([one.id for one in chosen.unhashed])
        chosen = choose(catalog, query)
    work = _Sync(catalog, net, job, chosen, refresh)
    if dry_run:
        work.foretell()
    else:
        work.run()
    return work.report


class _Sync:
    def __init__(self, catalog: Catalog, net: Net, job: Job, chosen: Chosen, refresh: bool) -> None:
        self.catalog, self.net, self.job, self.chosen = catalog, net, job, chosen
        self.answers = lookups.answers(catalog, chosen.contents, "civitai")
        self.due = chosen.due(self.answers, refresh=refresh)
        self.models = Models(catalog, net, 0 if refresh else FOUND, job)
        self.report = SyncReport(
            assets=chosen.assets,
            unhashed=len(chosen.unhashed),
            never=chosen.never,
            fresh=len(chosen.contents) - len(self.due),
        )

    def foretell(self) -> None:
        """Count what would be asked for."""
        known = set(known_models(self._first_ones(), self.answers).values())
        new = sum(1 for digest in self.due if digest not in self.answers or not self.answers[digest].found)
        self.report.dry_run = True
        self.report.asked = len(self.due)
        self.report.requests = _requests(len(self.due))
        self.report.more = _requests(len(self.models.stale(known)) + new)

    def run(self) -> None:
        """Ask; what stops it is put down."""
        try:
            self._ask_for_contents()
            self._ask_for_weights()
            self._ask_for_models()
        except (CancelledError, ProviderError) as error:
            self.report.stopped = error
        self._tell()

    def _first_ones(self) -> list[Askable]:
        """One asset of each content."""
        return [copies[0] for copies in self.chosen.contents.values()]

    # -- contents ------------------------------------------------------------------------------------------------------

    def _ask_for_contents(self) -> None:
        with self.job.phase("asking Civitai", len(self.due), "files") as advance:
            for batch in batches(self.due):
                raw = civitai.versions_by_sha256(list(batch), self.net, self.job)
                self._keep([self._answer(digest, raw.get(digest)) for digest in batch])
                self.report.requests += 1
                self.report.asked += len(batch)
                advance(len(batch))

    def _answer(self, digest: str, raw: Table | None) -> Lookup:
        """What the answer about a content says, if it is about this content at all."""
        file = next((one for one, hashes in civitai_words.files_of(raw or {}) if hashes.get("sha256") == digest), None)
        if raw is None or file is None:
            return self._unknown(Lookup(digest, "civitai", False, at=time.time()))
        return self._with_model(civitai_words.content(digest, raw, file))

    def _with_model(self, answer: Lookup) -> Lookup:
        """The answer with what is known of the model already."""
        known = lookups.models(self.catalog, filter(None, [answer.model]), "civitai")
        about = [civitai_words.of_model(one.facts) for one in known.values()]
        return replace(answer, facts={**answer.facts, **about[0]}) if about else answer

    def _unknown(self, answer: Lookup) -> Lookup:
        """A content that Civitai does not know; what it said of it before stays worth knowing."""
        before = self.answers.get(answer.sha256)
        if before is None or not before.found:
            return answer
        if before.facts.get("matched_by") == "autov3" and not answer.facts:
            return before  # nobody expects it to be known by its SHA256: it is asked for by its weights next
        return replace(before, facts={"gone": answer.at, **before.facts}, at=answer.at)

    def _keep(self, found: list[Lookup]) -> None:
        lookups.keep(self.catalog, found)
        self.answers |= {one.sha256: one for one in found}

    # -- weights and models --------------------------------------------------------------------------------------------

    def _ask_for_weights(self) -> None:
        """Adapters that Civitai does not know by their files may be known by their weights: headers get edited."""
        edited = Edited(self.net, self.job, self.chosen.secret)
        due = set(self.due)
        waiting = [one for one in self._first_ones() if self._is_edited(edited, one, due)]
        self.report.left = len(waiting)
        for answer in edited.ask(waiting):
            self._keep([self._with_model(answer) if answer.found else self._unknown(answer)])
            self.report.requests += 1
            self.report.left -= 1

    def _is_edited(self, edited: Edited, one: Askable, due: set[str]) -> bool:
        """Whether a file is to be asked for by its weights; one that was known by them is, when its answer is old."""
        answer = self.answers.get(one.sha256 or "")
        if answer and answer.found and one.sha256 in due and answer.facts.get("matched_by") == "autov3":
            answer = replace(answer, found=False)
        return edited.is_due(one, answer)

    def _ask_for_models(self) -> None:
        wanted = self.models.stale(known_models(self._first_ones(), self.answers).values())
        for found in self.models.ask(wanted):
            self.report.models += len(found)
            self.report.requests += 1

    # -- the report ----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """What was found for all that was chosen, now or before."""
        self.answers = lookups.answers(self.catalog, self.chosen.contents, "civitai")
        names = known_models(self._first_ones(), self.answers)
        models = lookups.models(self.catalog, names.values(), "civitai")
        for digest, copies in self.chosen.contents.items():
            answer, name = self.answers.get(digest), names.get(copies[0].id)
            model = models.get(name or "")
            lost = model is not None and not model.found
            gone = answer.facts.get("gone") if answer else None
            if lost or gone:
                since = gone or (model.at if model else None)
                self.report.vanished += [_vanished(one, answer, name, since) for one in copies]
            if answer and answer.found:
                self.report.found += [_known(one, answer) for one in copies]
            self.report.unknown += bool(answer and not answer.found)


def _known(one: Askable, answer: Lookup) -> Known:
    facts = answer.facts
    return Known(
        one.id,
        one.path,
        answer.sha256,
        facts.get("name"),
        facts.get("version"),
        facts.get("base_model"),
        answer.model,
        answer.version,
        facts.get("source"),
        facts.get("matched_by", "sha256"),
    )


def _vanished(one: Askable, answer: Lookup | None, model: str | None, since: float | None) -> Vanished:
    facts = answer.facts if answer else {}
    return Vanished(one.id, one.path, facts.get("name") or one.title, model, facts.get("source"), since)


def _requests(count: int) -> int:
    return -(-count // BATCH)
