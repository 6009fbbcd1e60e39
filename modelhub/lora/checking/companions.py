"""What goes with a model without being in it: text encoders, VAEs and the like, from `catalog/companions.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from modelhub.catalog.architectures import architectures
from modelhub.catalog.data import data_path
from modelhub.lora.checking.known import Known


@dataclass(frozen=True, slots=True)
class Latents:
    """One kind of latents of those that VAEs of the same shapes have: whose, and what files of it are called."""

    vae: str
    title: str
    scale: float
    models: tuple[str, ...]
    names: re.Pattern[str]
    hashes: tuple[str, ...]


@cache
def table() -> Mapping[str, Any]:
    """`catalog/companions.toml` as it is."""
    return tomllib.loads(data_path("companions.toml").read_text(encoding="utf-8"))


@cache
def latents() -> tuple[Latents, ...]:
    """All kinds of latents that shapes do not tell apart."""
    return tuple(
        Latents(
            row["vae"],
            row["title"],
            row["scale"],
            tuple(row["models"]),
            re.compile(row["names"], re.IGNORECASE),
            tuple(row["hashes"]) if "hashes" in row else (),
        )
        for row in table()["latents"]
    )


def encoders(model: Known) -> dict[str, int]:
    """The text encoders of a model, by architecture, and the width of a token in each; empty where nobody knows.

    A model that has only the structure of its architecture may have any width: one encoder has that of the model's
    context then, and of several none is known (0).
    """
    known: dict[str, int] = table()["encoders"].get(model.architecture, {})
    if model.confidence != "structure" or not known:
        return dict(known)
    context = size(model, "context")
    return dict.fromkeys(known, context or 0) if len(known) == 1 else dict.fromkeys(known, 0)


@cache
def vae_users(kind: str | None) -> frozenset[str]:
    """The architectures that use a VAE of this architecture."""
    listed = {model for model, vae in table()["vaes"].items() if vae == kind}
    return frozenset(listed.union(*(each.used_by for each in architectures() if each.id == kind)))


def size(one: Known, fact: str) -> int | None:
    """A measured size; None where there is none. A packed matrix of one column has none."""
    found = one.facts.get(fact)
    return found if type(found) is int and found > 1 else None


def is_pruned(model: Known) -> bool:
    """Whether a model has fewer blocks than the one it was made from."""
    return model.variant in table()["pruned"].get(model.architecture, ())
