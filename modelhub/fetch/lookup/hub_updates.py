"""Files from Hugging Face that are here, compared with what their repositories hold now. One request per repository."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.catalog import lookups
from modelhub.catalog.askable import Askable
from modelhub.catalog.lookups import Lookup, ModelAnswer
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError, NotFoundError
from modelhub.fetch import refusals
from modelhub.fetch.lookup.newer import Here, ModelUpdates, Newer
from modelhub.fetch.net import Net, Refused
from modelhub.fetch.sources.source import HuggingFaceSource
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from modelhub.fetch.huggingface.repo import RepoFile


class Place(NamedTuple):
    """A repository and one of its revisions ("" for the main one)."""

    repo: str
    revision: str

    @property
    def key(self) -> str:
        """Its name in the catalog."""
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


@dataclass(frozen=True)
class HubFiles:
    """The files and folders here by the place that they came from: each with what was remembered of it."""

    places: Mapping[Place, list[tuple[Askable, Lookup]]]

    @classmethod
    def of(cls, contents: Mapping[str, list[Askable]], answers: Mapping[str, Lookup]) -> HubFiles:
        """Of contents by SHA256, and what Hugging Face said of them."""
        places: dict[Place, list[tuple[Askable, Lookup]]] = {}
        for digest, answer in answers.items():
            if answer.found and answer.model and _paths(answer):
                place = Place(answer.model, str(answer.facts.get("revision", "")))
                places.setdefault(place, []).extend((one, answer) for one in contents[digest])
        return cls(places)

    def paths(self, place: Place) -> set[str]:
        """The paths in the repository of what is here of it."""
        return {path for _, answer in self.places[place] for path in _paths(answer)}

    @property
    def ids(self) -> set[int]:
        """The ids of all that came from some place."""
        return {one.id for many in self.places.values() for one, _ in many}


@dataclass(frozen=True)
class Hub:
    """Asks for repositories; an answer younger than `age` seconds is not asked for again.

    `problems` are what some of them said instead, by place.
    """

    catalog: Catalog
    net: Net
    age: float
    job: Job = QUIET
    problems: dict[Place, ModelhubError] = field(default_factory=dict)

    def stale(self, files: HubFiles) -> list[Place]:
        """The places that there is no young answer about all our files for."""
        known = lookups.models(self.catalog, [place.key for place in files.places], "huggingface")
        oldest = time.time() - self.age
        return [place for place in files.places if not _covers(known.get(place.key), files.paths(place), oldest)]

    def ask(self, places: Iterable[Place], files: HubFiles) -> Iterator[Place]:
        """Ask for each place; its answer is kept before it is yielded."""
        waiting = list(places)
        with self.job.phase("asking Hugging Face", len(waiting), "repositories") as advance:
            for place in waiting:
                if (answer := self._answer(place, files.paths(place))) is not None:
                    lookups.keep_models(self.catalog, [answer])
                yield place
                advance()

    def _answer(self, place: Place, paths: set[str]) -> ModelAnswer | None:
        """What the repository holds at our paths; None, and a problem, where it may not be seen."""
        from modelhub.fetch.huggingface.hub import repository

        try:
            repo = repository(place.repo, place.revision or None, self.net.token("huggingface"), self.net, self.job)
        except Refused as refused:
            error = refusals.explained(refused, "huggingface", place.key)
            if isinstance(error, NotFoundError):
                return ModelAnswer("huggingface", place.key, False)
            if refused.refusal.status not in (401, 403):
                raise error from refused
            self.problems[place] = error
            return None
        found = {path: _told(repo.by_path[path]) for path in sorted(paths) if path in repo.by_path}
        facts = {"sha": repo.sha, "modified": repo.modified, "asked": sorted(paths), "files": found}
        return ModelAnswer("huggingface", place.key, True, facts)

    def compare(self, files: HubFiles, here: frozenset[str]) -> Iterator[ModelUpdates]:
        """What the answers so far say; bytes that are `here` (by SHA256) under any name are no news."""
        known = lookups.models(self.catalog, [place.key for place in files.places], "huggingface")
        for place, mine in files.places.items():
            if (answer := known.get(place.key)) is not None:
                yield _compare(place, mine, answer, here)


def _told(file: RepoFile) -> dict[str, Any]:
    return {"sha256": file.sha256, "size": file.size}


def _covers(answer: ModelAnswer | None, paths: set[str], oldest: float) -> bool:
    young = answer is not None and answer.at > oldest
    return answer is not None and young and (not answer.found or paths <= set(answer.facts.get("asked", ())))


def _compare(
    place: Place, mine: list[tuple[Askable, Lookup]], answer: ModelAnswer, here: frozenset[str]
) -> ModelUpdates:
    assets = [
        Here(one.id, one.path, said.version, _short(said.version), said.facts.get("base_model")) for one, said in mine
    ]
    facts: Mapping[str, Any] = answer.facts
    now: Mapping[str, Mapping[str, Any]] = facts.get("files", {})
    lost = sorted(
        {path for _, said in mine for path in _paths(said) if path in facts.get("asked", ()) and path not in now}
    )
    newer = [*_newer_files(place, mine, facts, here), *_newer_folders(mine, facts)]
    gone = None if answer.found else "Hugging Face shows it no more"
    gone = gone or (f"no longer there: {', '.join(lost)}" if lost else None)
    page = f"https://huggingface.co/{place.repo}"
    return ModelUpdates("huggingface", place.repo, place.key, page, answer.at, assets, newer, gone)


def _newer_files(
    place: Place, mine: list[tuple[Askable, Lookup]], facts: Mapping[str, Any], here: frozenset[str]
) -> Iterator[Newer]:
    """The single files that have other bytes now."""
    for path in sorted({str(said.facts["path"]) for _, said in mine if "path" in said.facts}):
        now = facts.get("files", {}).get(path)
        if now and now.get("sha256") and now["sha256"] not in here:
            yield _newer(HuggingFaceSource(place.repo, place.revision or None, path).address, now.get("size"), facts)


def _newer_folders(mine: list[tuple[Askable, Lookup]], facts: Mapping[str, Any]) -> Iterator[Newer]:
    """The folders in which a file has other bytes now, unless they are here as they are now, too."""
    now: Mapping[str, Mapping[str, Any]] = facts.get("files", {})
    folders: dict[str, list[Mapping[str, str]]] = {}
    for _, said in mine:
        if "folder" in said.facts:
            folders.setdefault(str(said.facts["folder"]), []).append(said.facts["files"])
    for address, copies in sorted(folders.items()):
        if not any(_is_as(files, now) for files in copies):
            yield _newer(address, sum(now[path]["size"] or 0 for path in copies[0] if path in now), facts)


def _is_as(files: Mapping[str, str], now: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether none of `files` (SHA256 by path) is known to have other bytes now."""
    return all(now[path]["sha256"] in (None, sha256) for path, sha256 in files.items() if path in now)


def _newer(address: str, size: int | None, facts: Mapping[str, Any]) -> Newer:
    return Newer(address, str(facts.get("sha")), _short(facts.get("sha")), None, facts.get("modified"), size)


def _paths(answer: Lookup) -> list[str]:
    """The paths in its repository of what an answer is about: one file, or those of a folder."""
    path = answer.facts.get("path")
    return [str(path)] if path else list(answer.facts.get("files", ()))


def _short(commit: Any) -> str | None:
    return str(commit)[:8] if commit else None
