"""Lookups: what providers say of contents, by SHA256, and of models. It outlives a move, a rename and a new scan."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.columns import FROM_CIVITAI
from modelhub.formats.sidecars.facts import FIELDS, says

if TYPE_CHECKING:
    from modelhub.catalog.database import CatalogFile
    from modelhub.formats.sidecars import SidecarFacts

#: Characters of a description that are kept; its page has the rest.
_DESCRIPTION = 4_000
#: Characters that a search looks through.
_WORDS = 8_000
#: Values in one statement; every build of SQLite takes so many.
_PAGE = 500
#: Not for other files of this content: where the words came from, and wishes that are kept elsewhere.
_LEFT_OUT = {"never_look_up", "favourite", "not_found"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a provider (civitai, huggingface, web) says of a content; `found` False: it does not know the content.

    `at` is when it was asked (seconds since 1970), now if that is 0. `facts` are fields of `SidecarFacts` as plain
    values. `model` and `version` are the provider's own names of them: Civitai's ids, or a repository and a commit.
    """

    sha256: str
    provider: str
    found: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    version: str | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a provider says of a model and all its versions; `found` False: it is there no more."""

    provider: str
    model: str
    found: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0


def plain_facts(facts: SidecarFacts) -> dict[str, Any]:
    """What a provider's facts say, as JSON can hold it, made no longer than is worth keeping."""
    said = {name: value for name, value in asdict(facts).items() if name in FIELDS and says(value)}
    kept = {name: _plain(value) for name, value in said.items() if name not in _LEFT_OUT}
    text = str(kept.get("description", ""))
    if len(text) > _DESCRIPTION:
        kept["description"] = text[: _DESCRIPTION - 1].rstrip() + "…"
    return kept


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def words_of(facts: Mapping[str, Any]) -> str:
    """What a search finds a content by."""
    names = ("name", "version", "base_model", "creator")
    lists = (*facts.get("trigger_words", ()), *facts.get("tags", ()))
    parts = (*(facts.get(name) for name in names), *lists, facts.get("description"))
    return " ".join(str(part) for part in parts if part)[:_WORDS]


# -- contents ----------------------------------------------------------------------------------------------------------


def keep(catalog: CatalogFile, lookups: Iterable[Lookup]) -> None:
    """Remember answers, all of them or none; each takes the place of what the same provider said before."""
    with catalog.atomic():
        catalog.each(_KEEP, [_row(one) for one in lookups])


def _row(one: Lookup) -> tuple[Any, ...]:
    told = (_json(one.facts), words_of(one.facts))
    return (one.sha256, one.provider, one.at or time.time(), int(one.found), *told, one.model, one.version)


#: The picture of an earlier answer stays: a later one only says what to read, and brings none.
_KEEP = """
INSERT INTO lookups (sha256, provider, at, found, facts, words, model, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sha256, provider) DO UPDATE SET at = excluded.at, found = excluded.found, words = excluded.words,
    model = coalesce(excluded.model, model), version = coalesce(excluded.version, version),
    facts = CASE WHEN json_extract(facts, '$.preview') IS NULL THEN excluded.facts
        ELSE json_patch(json_object('preview', json_extract(facts, '$.preview')), excluded.facts) END
"""


def tell(catalog: CatalogFile, more: Iterable[tuple[Lookup, Mapping[str, Any]]]) -> None:
    """Add facts to answers that were kept; when they were asked for stays."""
    with catalog.atomic():
        catalog.each(_KEEP, [_row(replace(one, facts={**one.facts, **facts})) for one, facts in more])


def answers(catalog: CatalogFile, digests: Iterable[str], provider: str) -> dict[str, Lookup]:
    """What `provider` said of contents, by SHA256; those that it was not asked for are left out."""
    sql = "SELECT * FROM lookups WHERE provider = ? AND sha256 IN ({})"
    return {one.sha256: one for one in map(_lookup, _selected(catalog, sql, [provider], digests))}


def of_models(catalog: CatalogFile, models: Iterable[str], provider: str) -> dict[str, list[Lookup]]:
    """The contents that are files of these models, by model."""
    sql = "SELECT * FROM lookups WHERE provider = ? AND model IN ({})"
    found: dict[str, list[Lookup]] = {}
    for one in map(_lookup, _selected(catalog, sql, [provider], models)):
        found.setdefault(str(one.model), []).append(one)
    return found


def forget(catalog: CatalogFile, digests: Iterable[str]) -> None:
    """Drop what all providers said of contents."""
    with catalog.atomic():
        catalog.each("DELETE FROM lookups WHERE sha256 = ?", [(digest,) for digest in digests])


def _lookup(row: Any) -> Lookup:
    plain = {name: row[name] for name in ("sha256", "provider", "model", "version", "at")}
    return Lookup(**plain, found=bool(row["found"]), facts=json.loads(row["facts"]))


# -- models ------------------------------------------------------------------------------------------------------------


def keep_models(catalog: CatalogFile, found: Iterable[ModelAnswer]) -> None:
    """Remember what a provider says of models, all of it or nothing; of one that vanished, what was said before."""
    with catalog.atomic():
        catalog.each(_KEEP_MODEL, [_model_row(one) for one in found])


def _model_row(one: ModelAnswer) -> tuple[Any, ...]:
    return (one.provider, one.model, one.at or time.time(), int(one.found), _json(one.facts))


_KEEP_MODEL = """
INSERT INTO models (provider, model, at, found, facts) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (provider, model) DO UPDATE SET at = excluded.at, found = excluded.found,
    facts = CASE WHEN excluded.found THEN excluded.facts ELSE facts END
"""


def models(catalog: CatalogFile, names: Iterable[str], provider: str) -> dict[str, ModelAnswer]:
    """What `provider` said of models, by its name of them; those that it was not asked for are left out."""
    rows = _selected(catalog, "SELECT * FROM models WHERE provider = ? AND model IN ({})", [provider], names)
    return {row["model"]: _model(row) for row in rows}


def _model(row: Any) -> ModelAnswer:
    return ModelAnswer(row["provider"], row["model"], bool(row["found"]), json.loads(row["facts"]), row["at"])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)


def _selected(catalog: CatalogFile, sql: str, first: list[Any], values: Iterable[str]) -> Iterable[Any]:
    """The rows of a SELECT with `IN ({})`, however many values there are."""
    wanted = list(dict.fromkeys(values))
    for start in range(0, len(wanted), _PAGE):
        page = wanted[start : start + _PAGE]
        yield from catalog.rows(sql.format(",".join("?" * len(page))), [*first, *page])


# -- what is here ------------------------------------------------------------------------------------------------------


def owned(catalog: CatalogFile, names: Iterable[str], provider: str) -> dict[str, dict[str, int]]:
    """The assets that are of these models: model to version ("" for one that is not known) to the id of an asset."""
    wanted = list(dict.fromkeys(names))
    rows = [row for sql in (_OWNED, _BESIDE) for row in _selected(catalog, sql, [provider], wanted)]
    found: dict[str, dict[str, int]] = {}
    for model, version, number in rows:
        found.setdefault(model, {}).setdefault(version or "", number)
    return found


_OWNED = """
SELECT model, version, assets.id FROM lookups JOIN assets ON assets.sha256 = lookups.sha256
WHERE trashed IS NULL AND missing = 0 AND lookups.found AND provider = ? AND model IN ({}) ORDER BY assets.id
"""
_BESIDE = f"""
SELECT CAST(json_extract(sidecar, '$.model_id') AS TEXT) AS model,
    CAST(json_extract(sidecar, '$.version_id') AS TEXT), id FROM assets
WHERE trashed IS NULL AND missing = 0 AND ? = 'civitai' AND {FROM_CIVITAI}
    AND model IN ({{}}) ORDER BY id
"""  # noqa: S608
