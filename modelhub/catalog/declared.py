"""Declared base: the base model that a sidecar or a provider names, and the lineage that follows from its name."""

from __future__ import annotations

from functools import lru_cache

from modelhub.catalog.identity import Evidence
from modelhub.catalog.lineage import lineage, strongest
from modelhub.text import one_line


@lru_cache(maxsize=1000)
def declared_lineage(base_model: str) -> str | None:
    """The lineage that the name of a base model, such as "Pony", stands for."""
    return strongest(lineage({}, declared=base_model))


def declared_facts(base_model: str) -> dict[str, str]:
    """The facts of an asset that follow from a declared base; none of them overrules what the file itself tells."""
    family = declared_lineage(base_model)
    return {**({"lineage": family} if family else {}), "declared_base": base_model}


@lru_cache(maxsize=1000)
def declared_evidence(base_model: str, where: str) -> Evidence:
    """The same as evidence; `where` says which file or which provider declares it."""
    family = declared_lineage(base_model)
    rule = f"lineage: {family}, declared" if family else "declared base"
    return Evidence(rule, where, one_line(base_model))
