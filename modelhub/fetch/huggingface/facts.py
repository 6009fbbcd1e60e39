"""Facts: what the card and the tags of a repository say of its models, read by the table `hugging-face.toml`."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.catalog.lineage import lineage, lineage_architecture
from modelhub.fetch.huggingface.repo import Repo
from modelhub.formats.sidecars import SidecarFacts, values

ADULT = "not-for-all-audiences"
#: Kinds that are not made for an architecture, or not for the one that their base model has.
_OF_THEIR_OWN = frozenset({"vae", "text-encoder", "clip-vision", "upscaler"})
#: Tags that the hub computes are pairs: license:mit, base_model:owner/repo.
_PAIR = re.compile(r"[a-z_\-]+:.+")


def facts_of(repo: Repo) -> SidecarFacts:
    """What is to be remembered of a model from this repository."""
    bases = base_models(repo.tags, repo.card)
    return SidecarFacts(
        name=repo.name,
        version=repo.sha[:12],
        base_model=bases[0] if bases else None,
        model_type=repo.class_name,
        trigger_words=values.commas(repo.card, "instance_prompt"),
        tags=own_tags(values.listed(repo.card, "tags") or repo.tags),
        creator=repo.owner,
        licence=_licence(repo),
        nsfw=is_adult(repo.tags) or None,
        source=repo.page,
    )


def is_adult(tags: tuple[str, ...]) -> bool:
    """Whether the author marked a repository as not for everybody."""
    return ADULT in tags


def kind_of(tags: tuple[str, ...], class_name: str | None) -> str | None:
    """The kind of what tags or a class speak of; None where they say nothing of it."""
    if class_name and (class_name.endswith("Pipeline") or pipeline_class(tags)):
        by_class = None  # a repository with a whole pipeline may hold anything beside it
    else:
        by_class = next((row["kind"] for row in _table()["model"] if class_name and _fits(row, class_name)), None)
    lowered = {tag.lower() for tag in tags}
    return next((kind for tag, kind in _table()["tags"].items() if tag in lowered), None) or by_class


def architecture_of(
    tags: tuple[str, ...], class_name: str | None, card: Any = None, kind: str | None = None
) -> str | None:
    """The architecture that a pipeline's class or the base models name; None where these are at odds or silent."""
    if kind in _OF_THEIR_OWN:
        return None
    pipeline = class_name if class_name and class_name.endswith("Pipeline") else pipeline_class(tags)
    by_class = next((row["architecture"] for row in _table()["pipeline"] if pipeline and _fits(row, pipeline)), None)
    if by_class:
        return str(by_class)
    named = {found for base in base_models(tags, card) if (found := _of_base(base))}
    return named.pop() if len(named) == 1 else None


def pipeline_class(tags: tuple[str, ...]) -> str | None:
    """The class of the pipeline that a whole repository is, by its tags."""
    return next((tag.partition(":")[2] for tag in tags if tag.startswith("diffusers:")), None)


def base_models(tags: tuple[str, ...], card: Any) -> list[str]:
    """The repositories that a model comes from: those of the card, else those of the tags."""
    said = values.at(card, "base_model")
    listed = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    found = [one.strip()[:200] for one in listed[:20] if isinstance(one, str) and one.strip()]
    of_tags = [tag.rpartition(":")[2] for tag in tags if tag.startswith("base_model:")]
    return list(dict.fromkeys(found or of_tags))


def _of_base(base: str) -> str | None:
    row = next((row for row in _table()["base"] if re.search(row["names"], base, re.IGNORECASE)), None)
    if row:
        return str(row["architecture"])
    return next((found for one in lineage({}, declared=base) if (found := lineage_architecture(one.id))), None)


def own_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the tags that say what a model shows."""
    return tuple(tag for tag in tags if tag.lower() not in _table()["technical"] and not _PAIR.fullmatch(tag))


def _licence(repo: Repo) -> str | None:
    said = values.text(repo.card, "license")
    if said == "other":
        return values.text(repo.card, "license_name") or said
    return said or next((tag.partition(":")[2] for tag in repo.tags if tag.startswith("license:")), None)


def _fits(row: dict[str, Any], name: str) -> bool:
    return name.startswith(tuple(row.get("begins", ()))) or name.endswith(tuple(row.get("ends", ())))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("hugging-face.toml").read_text(encoding="utf-8"))
