"""Finding: one search at several providers; what one of them cannot answer does not hide the answers of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from modelhub.catalog import lookups
from modelhub.catalog.base_models import architecture_of, base_models_of
from modelhub.catalog.provided import TITLES
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, ModelhubError
from modelhub.fetch.net import Net
from modelhub.fetch.search.hits import Found, Search
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import CivitaiSource, HuggingFaceSource
from modelhub.jobs import QUIET, Job

PROVIDERS = tuple(TITLES)


@dataclass(frozen=True, slots=True)
class Hit:
    """One model that was found. `owned` is an asset of this very version, `other` one of another version of it."""

    found: Found
    owned: int | None = None
    other: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The hit for JSON."""
        plain = {name: value for name, value in asdict(self.found).items() if name != "cursor"}
        return {**plain, "tags": list(self.found.tags), "owned": self.owned, "other_version": self.other}


@dataclass
class FindReport:
    """What was found, each provider's hits in its own order, and the errors of those that did not answer."""

    hits: list[Hit] = field(default_factory=list)
    failed: dict[str, ModelhubError] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        failed = {provider: error.as_dict() for provider, error in self.failed.items()}
        return {"hits": [one.as_dict() for one in self.hits], "failed": failed}


def find(
    catalog: Catalog, wanted: Search, net: Net, job: Job = QUIET, *, providers: Sequence[str] = PROVIDERS
) -> FindReport:
    """What each of `providers` has of it, `wanted.limit` hits each. Raises the error of the first if none answers."""
    report = FindReport()
    wanted = replace(wanted, base_model=_spelled(wanted.base_model) if wanted.base_model else None)
    with job.phase("searching", len(providers), "providers") as advance:
        for provider in providers:
            try:
                found = _search(provider)(wanted, net, job)
            except CancelledError:
                raise
            except ModelhubError as error:
                report.failed[provider] = error
            else:
                report.hits += _marked(catalog, found, provider)
            advance()
    if len(report.failed) == len(providers):
        raise next(iter(report.failed.values()))
    return report


def _search(provider: str) -> Callable[[Search, Net, Job], list[Found]]:
    if provider == "civitai":
        from modelhub.fetch.civitai import search as on_civitai

        return on_civitai
    from modelhub.fetch.huggingface import search as on_hub

    return on_hub


def _spelled(base_model: str) -> str:
    """A base model as Civitai spells it, where it is known: it takes only that."""
    known = base_models_of(architecture_of(base_model) or "")
    return next((one for one in known if one.casefold() == base_model.strip().casefold()), base_model.strip())


def _marked(catalog: Catalog, found: Sequence[Found], provider: str) -> list[Hit]:
    """The hits with what of them is here."""
    names = [_names(one) for one in found]
    here = lookups.owned(catalog, [model for model, _ in names], provider)
    return [_hit(one, here.get(model, {}), version) for one, (model, version) in zip(found, names, strict=True)]


def _hit(one: Found, here: dict[str, int], version: str | None) -> Hit:
    if version is None:  # a repository is here or not
        return Hit(one, owned=next(iter(here.values()), None))
    other = next((number for name, number in here.items() if name != version), None)
    return Hit(one, here.get(version), None if version in here else other)


def _names(one: Found) -> tuple[str, str | None]:
    """The provider's names of the model and of the version; no version where the provider has none."""
    source = read_source(one.address)
    if isinstance(source, CivitaiSource):
        return str(source.model or ""), str(source.version or "")
    return (source.repo if isinstance(source, HuggingFaceSource) else ""), None
