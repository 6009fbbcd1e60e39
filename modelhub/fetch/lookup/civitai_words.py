"""Civitai's answers made fit to keep: what it says of a content, and of a model with its versions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.catalog.lookups import Lookup, ModelAnswer, plain_facts
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.offering import facts_of, joined, versions_of
from modelhub.fetch.offer import Version
from modelhub.formats.sidecars import values
from modelhub.formats.sidecars.facts import says

#: What the answer about a model tells, or tells better than that about a file.
_OF_MODEL = ("description", "tags", "creator", "licence", "nsfw", "model_type")


def files_of(raw: Table) -> Iterator[tuple[Table, dict[str, str]]]:
    """The files of a version, each with its hashes in lower case."""
    return ((one, values.hashes(one.get("hashes"))) for one in values.tables(raw.get("files")))


def content(sha256: str, raw: Table, file: Table, **more: Any) -> Lookup:
    """What Civitai's version `raw`, as it came just now, says of one of its files; `more` is kept too."""
    name = values.text(file, "name")
    facts = {**plain_facts(facts_of(raw)), **({"file": name} if name else {}), **more}
    model, version = (values.identifier(raw, key) for key in ("modelId", "id"))
    return Lookup(sha256, "civitai", True, facts, _text(model), _text(version), time.time())


def of_model(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a model and holds for all its files."""
    return {name: about[name] for name in _OF_MODEL if name in about}


def model(number: str, raw: Table) -> ModelAnswer:
    """What Civitai says of a model, made short: one of fifty versions takes a megabyte in its own words."""
    versions = [_version(one) for one in versions_of(raw, int(number))]
    kept = {**plain_facts(facts_of(joined({}, raw))), "mode": values.text(raw, "mode"), "versions": versions}
    return ModelAnswer("civitai", number, True, {name: value for name, value in kept.items() if says(value)})


def _version(one: Version) -> dict[str, Any]:
    """One version; `size` in bytes is that of the file that Civitai gives where none is chosen."""
    file = next((file for file in one.files if file.primary), one.files[0] if one.files else None)
    words = {"name": one.name or None, "base_model": one.base_model, "published": one.published}
    more = {"size": file.size if file else None, "trouble": one.trouble.message if one.trouble else None}
    said = {name: value for name, value in {**words, **more}.items() if value is not None}
    return {"id": int(one.address.rpartition("@")[2]), **said}


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
