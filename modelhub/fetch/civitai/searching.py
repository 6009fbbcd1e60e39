"""Searching Civitai: what is looked for in its words, and each model that is found in ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelhub.catalog.base_models import architecture_of, base_models_of, kind_of, types_of
from modelhub.errors import ProviderError
from modelhub.fetch.choosing.ranking import best
from modelhub.fetch.civitai.asking import Table, ask, table
from modelhub.fetch.civitai.files import files_of
from modelhub.fetch.civitai.offering import describe, joined
from modelhub.fetch.civitai.trouble import trouble_of
from modelhub.fetch.net import Net, Refused
from modelhub.fetch.search.hits import Found, Search
from modelhub.fetch.sources.source import CivitaiSource
from modelhub.formats.sidecars import values
from modelhub.formats.sidecars.civitai import page
from modelhub.jobs import QUIET, Job

Params = list[tuple[str, Any]]

_SORTS = {"downloads": "Most Downloaded", "likes": "Highest Rated", "newest": "Newest"}
#: Models in one answer, and answers that are asked for at most: a filter may leave little of each.
_PAGE, _PAGES = 100, 10


def search(wanted: Search, net: Net, job: Job = QUIET) -> list[Found]:
    """Models on Civitai, `wanted.limit` at most. Raises ProviderError.

    Of each, the newest version of the wanted architecture. The `cursor` of the last goes on behind it.
    """
    params = _params(wanted)
    found: list[Found] = []
    cursor = wanted.cursor
    for _ in range(_PAGES if params is not None else 0):
        missing = wanted.limit - len(found)
        if missing <= 0:
            break
        answer, params = _answer(params or [], [("limit", min(missing, _PAGE)), ("cursor", cursor)], net, job)
        hits = [hit for one in values.tables(answer.get("items")) if (hit := _hit(one, wanted)) is not None]
        cursor = _cursor(answer)
        found += [*hits[:-1], *(replace(one, cursor=cursor) for one in hits[-1:])][:missing]
        if cursor is None:
            break
    return found


def _answer(params: Params, more: Params, net: Net, job: Job) -> tuple[Table, Params]:
    """A page, and what was asked for it: Civitai refuses a search that names one base model it does not list today."""
    try:
        return _page([*params, *more], net, job), params
    except ProviderError as error:
        if not (_is_bad(error) and any(name == "baseModels" for name, _ in params)):
            raise
        taken = _taken(net, job)
        kept = [(name, value) for name, value in params if name != "baseModels" or value in taken]
        if kept == params or not any(name == "baseModels" for name, _ in kept):
            raise
    return _page([*kept, *more], net, job), kept


def _is_bad(error: ProviderError) -> bool:
    return isinstance(error.__cause__, Refused) and error.__cause__.refusal.status == 400


def _taken(net: Net, job: Job) -> frozenset[str]:
    """The base models that Civitai lists."""
    return frozenset(values.listed(ask(net, "enums", "the words of its searches", job), "BaseModel"))


def _page(params: Params, net: Net, job: Job) -> Table:
    job.check()
    said = [(name, value) for name, value in params if value is not None]
    return table(ask(net, "models", "models of that kind", job, said), "models")


def _cursor(answer: Table) -> str | None:
    cursor = values.at(answer, "metadata", "nextCursor")
    known = isinstance(cursor, (str, int)) and not isinstance(cursor, bool)
    return str(cursor) if known and 0 < len(str(cursor)) <= 1000 else None


def _params(wanted: Search) -> Params | None:
    """What is asked for; None where Civitai has no word for the kind or the architecture, and so no such model."""
    types = types_of(wanted.kind) if wanted.kind else ()
    bases = base_models_of(wanted.architecture) if wanted.architecture else ()
    if wanted.base_model:
        bases = (wanted.base_model,)
    if (wanted.kind and not types) or (wanted.architecture and not bases):
        return None
    return [
        ("query", wanted.text.strip() or None),
        ("nsfw", "true" if wanted.adult else "false"),
        ("sort", _SORTS.get(wanted.sort)),
        ("username", wanted.creator),
        ("tag", wanted.tag),
        *(("types", one) for one in types),
        *(("baseModels", one) for one in bases),
    ]


def _hit(model: Table, wanted: Search) -> Found | None:
    """A model as a hit; None for one that was not wanted, or has nothing to offer."""
    version = _version(model, wanted)
    number = values.identifier(model, "id")
    kind = kind_of(values.text(model, "type"))
    if version is None or number is None or (wanted.kind and kind != wanted.kind):
        return None
    if not wanted.adult and values.flag(model, "nsfw") is True:
        return None
    return _found(model, joined(version, model), number, kind)


def _version(model: Table, wanted: Search) -> Table | None:
    listed = [one for one in values.tables(model.get("modelVersions")) if values.identifier(one, "id")]
    return next((one for one in listed if _is_wanted(one, wanted)), None)


def _is_wanted(version: Table, wanted: Search) -> bool:
    base = wanted.base_model in (None, values.clear_text(version, "baseModel"))
    return base and wanted.architecture in (None, _architecture(version))


def _architecture(version: Table) -> str | None:
    return architecture_of(values.text(version, "baseModel"), values.text(version, "baseModelType"))


def _found(model: Table, version: Table, number: int, kind: str | None) -> Found:
    source = CivitaiSource(number, values.identifier(version, "id"))
    files = best(files_of(version))
    trouble = trouble_of(version, model, describe(version))
    return Found(
        provider="civitai",
        address=source.address,
        title=values.text(model, "name") or f"model {number}",
        version=values.text(version, "name") or "",
        creator=values.text(model, "creator", "username"),
        kind=kind,
        base_model=values.clear_text(version, "baseModel"),
        architecture=_architecture(version),
        downloads=values.count(model, "stats", "downloadCount"),
        likes=values.count(model, "stats", "thumbsUpCount"),
        size=files[0].size if files else None,
        updated=values.text(version, "publishedAt") or values.text(version, "createdAt"),
        nsfw=values.flag(model, "nsfw"),
        page=page(number, source.version),
        tags=values.listed(model, "tags"),
        trouble=trouble.message if trouble else None,
    )
