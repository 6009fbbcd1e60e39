"""What goes with a model without being in it: text encoders, VAEs and the like, from `catalog/companions.toml`."""

from __future__ import annotations

from functools import cache

from modelhub.catalog.architectures import architectures
from modelhub.catalog.companions import table
from modelhub.lora.checking.known import Known


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
