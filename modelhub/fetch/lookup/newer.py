"""Newer: what of a model's versions is newer than those that are here, by base model. A pure comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelhub.catalog.lookups import ModelAnswer
from modelhub.fetch.sources.source import CivitaiSource
from modelhub.formats.sidecars.civitai import page


@dataclass(frozen=True, slots=True)
class Here:
    """An asset of a model: its id, and the version that it is, by the provider's id and name."""

    id: int
    path: str
    version_id: str | None
    version: str | None = None
    base_model: str | None = None


@dataclass(frozen=True, slots=True)
class Newer:
    """A version that is newer: `address` is what `get` takes for it. `published` is a date as the provider writes it.

    `same_base`: it is for a base model that a version here is for. `trouble` says in words why it cannot be had.
    """

    address: str
    version_id: str
    version: str | None = None
    base_model: str | None = None
    published: str | None = None
    size: int | None = None
    same_base: bool = True
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class ModelUpdates:
    """A model of which versions are here, and what is newer: the same base first, of that the newest first.

    `at` is when the provider was asked (seconds since 1970); `gone` says in words that it is not to be had any more.
    """

    provider: str
    model: str
    title: str | None
    page: str | None
    at: float
    here: list[Here]
    newer: list[Newer] = field(default_factory=list)
    gone: str | None = None


def compare(answer: ModelAnswer, here: Sequence[Here]) -> ModelUpdates:
    """What Civitai's answer about a model has that is newer than what is here."""
    versions: list[dict[str, Any]] = list(answer.facts.get("versions", ()))
    by_id = {str(one["id"]): one for one in versions}
    mine = [by_id.get(str(one.version_id)) or _listed_no_more(one) for one in here if _is_number(one.version_id)]
    known = [_named(one, by_id.get(str(one.version_id), {})) for one in here]
    found = ModelUpdates(
        answer.provider,
        answer.model,
        answer.facts.get("name"),
        page(int(answer.model), None),
        answer.at,
        known,
        gone=_gone(answer),
    )
    found.newer.extend(_newer(answer.model, versions, mine) if mine and answer.found else ())
    return found


def _newer(model: str, versions: Sequence[Mapping[str, Any]], mine: Sequence[Mapping[str, Any]]) -> list[Newer]:
    owned = {one["id"] for one in mine}
    bases = {one.get("base_model") for one in mine}
    others = [one for one in versions if one["id"] not in owned]
    same = [one for one in others if one.get("base_model") in bases and _is_newer(one, _of_base(mine, one))]
    different: dict[str | None, Mapping[str, Any]] = {}
    for one in others:
        base = one.get("base_model")
        newer_than_all = base not in bases and _is_newer(one, mine)
        if newer_than_all and (base not in different or _is_newer(one, [different[base]])):
            different[base] = one
    ordered = [_sorted(same), _sorted(list(different.values()))]
    return [_told(model, one, same_base=at == 0) for at, part in enumerate(ordered) for one in part]


def _of_base(mine: Sequence[Mapping[str, Any]], one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [other for other in mine if other.get("base_model") == one.get("base_model")]


def _is_newer(one: Mapping[str, Any], than: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a version came after all of these: by its date where both have one of their own, else by its number."""
    return all(
        one["published"] > other["published"]
        if "published" in one and "published" in other and one["published"] != other["published"]
        else one["id"] > other["id"]
        for other in than
    )


def _sorted(versions: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(versions, key=lambda one: (one.get("published", ""), one["id"]), reverse=True)


def _told(model: str, one: Mapping[str, Any], *, same_base: bool) -> Newer:
    return Newer(
        CivitaiSource(int(model), one["id"]).address,
        str(one["id"]),
        one.get("name"),
        one.get("base_model"),
        one.get("published"),
        one.get("size"),
        same_base,
        one.get("trouble"),
    )


def _named(one: Here, version: Mapping[str, Any]) -> Here:
    """What is here in the provider's words, where it still lists the version."""
    words = (version.get("name") or one.version, version.get("base_model") or one.base_model)
    return Here(one.id, one.path, one.version_id, *words)


def _listed_no_more(one: Here) -> dict[str, Any]:
    return {"id": int(one.version_id or 0), "base_model": one.base_model}


def _gone(answer: ModelAnswer) -> str | None:
    if not answer.found:
        return "Civitai lists it no more"
    return "its files were taken away" if answer.facts.get("mode") == "Archived" else None


def _is_number(text: str | None) -> bool:
    return text is not None and text.isdecimal()
