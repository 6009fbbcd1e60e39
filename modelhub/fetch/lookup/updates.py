"""Updates: which versions are here, and which are newer where they came from. Nothing is ever fetched by itself.

Versions of one model may be different styles, or for different base models: those of the same base come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelhub.catalog import lookups
from modelhub.catalog.askable import Askable
from modelhub.catalog.lookups import Lookup
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, ModelhubError, ProviderError, error_dict
from modelhub.fetch.lookup.choosing import DAY, Chosen, choose, known_models
from modelhub.fetch.lookup.hub_updates import Hub, HubFiles
from modelhub.fetch.lookup.models import Models
from modelhub.fetch.lookup.newer import Here, ModelUpdates, compare
from modelhub.fetch.lookup.report import asdict_without
from modelhub.fetch.net import Net
from modelhub.jobs import QUIET, Job


@dataclass
class UpdatesReport:
    """What `updates` found. `assets` were chosen; `unknown` of them came from nowhere that is known, `never` are not
    to be looked up. `models` were compared, after `requests`; `behind` have newer versions. `vanished` are models that
    are to be had no more, `problems` what single ones said instead. `stopped` is what ended it early.
    """

    assets: int = 0
    unknown: int = 0
    never: int = 0
    models: int = 0
    requests: int = 0
    behind: list[ModelUpdates] = field(default_factory=list)
    vanished: list[ModelUpdates] = field(default_factory=list)
    problems: list[ModelhubError] = field(default_factory=list)
    stopped: ModelhubError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        plain = asdict_without(self, "stopped", "problems")
        return {**plain, "problems": [one.as_dict() for one in self.problems], "stopped": error_dict(self.stopped)}


def updates(catalog: Catalog, query: str, net: Net, job: Job = QUIET, *, refresh: bool = False) -> UpdatesReport:
    """Compare the files that `query` finds with where they came from; answers are kept for a day, unless `refresh`.

    What stops it early is in the report, beside what is known. Raises BadQueryError.
    """
    return _Updates(catalog, choose(catalog, query), net, job, 0 if refresh else DAY).run()


class _Updates:
    def __init__(self, catalog: Catalog, chosen: Chosen, net: Net, job: Job, age: float) -> None:
        self.catalog, self.chosen = catalog, chosen
        self.answers = lookups.answers(catalog, chosen.contents, "civitai")
        self.mine = known_models(chosen.all, self.answers)
        contents = {**chosen.contents, **chosen.folders}
        self.files = HubFiles.of(contents, lookups.answers(catalog, contents, "huggingface"))
        self.models, self.hub = Models(catalog, net, age, job), Hub(catalog, net, age, job)
        self.report = UpdatesReport(chosen.assets, never=chosen.never)

    def run(self) -> UpdatesReport:
        """Ask for what is not known, then compare all that is."""
        for ask in (self._ask_civitai, self._ask_hub):
            try:
                ask()
            except CancelledError as error:
                self.report.stopped = error
                break
            except ProviderError as error:
                self.report.stopped = self.report.stopped or error
        self.report.problems = list(self.hub.problems.values())
        self._compare()
        return self.report

    def _ask_civitai(self) -> None:
        for _ in self.models.ask(self.models.stale(self.mine.values())):
            self.report.requests += 1

    def _ask_hub(self) -> None:
        for _ in self.hub.ask(self.hub.stale(self.files), self.files):
            self.report.requests += 1

    def _compare(self) -> None:
        everything = choose(self.catalog, "")
        found = [*self._of_civitai(everything), *self.hub.compare(self.files, frozenset(everything.contents))]
        found.sort(key=lambda one: max((newer.published or "" for newer in one.newer), default=""), reverse=True)
        self.report.models = len(found)
        self.report.behind = [one for one in found if one.newer]
        self.report.vanished = [one for one in found if one.gone]
        known = set(self.mine) | self.files.ids
        self.report.unknown = sum(one.id not in known for one in self.chosen.all)

    def _of_civitai(self, everything: Chosen) -> Iterable[ModelUpdates]:
        """What is newer, also than what the query did not find: a version that is here is no news."""
        wanted = set(self.mine.values())
        answers = lookups.answers(self.catalog, everything.contents, "civitai")
        models = known_models(everything.all, answers)
        here: dict[str, list[Here]] = {}
        for one in everything.all:
            if (model := models.get(one.id)) in wanted:
                here.setdefault(str(model), []).append(_here(one, answers))
        known = lookups.models(self.catalog, wanted, "civitai")
        return (compare(known[model], mine) for model, mine in here.items() if model in known)


def _here(one: Askable, answers: Mapping[str, Lookup]) -> Here:
    answer = answers.get(one.sha256 or "")
    if answer and answer.model:
        return Here(one.id, one.path, answer.version, answer.facts.get("version"), answer.facts.get("base_model"))
    return Here(one.id, one.path, one.version, None, one.base_model)
