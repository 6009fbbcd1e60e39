"""Sentences that tell a person what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelhub.catalog.blocks import VAE
from modelhub.merge.explain.explanation import component_row
from modelhub.merge.explain.proposing import formula
from modelhub.text import few, plural

if TYPE_CHECKING:
    from modelhub.merge.explain.explanation import Explanation, Row

_KINDS = {
    "copy": "an unchanged copy",
    "parts": "parts of several models",
    "weighted-sum": "a weighted sum",
    "add-difference": "an added difference",
    "triple-sum": "a sum of three",
    "linear": "a linear combination",
    "none": "not a linear merge of these",
}


def tell(found: Explanation) -> Iterator[str]:
    """The sentences: the form, what is copied, what is alike, and what stays unexplained."""
    form, keys = found.form, {at: one.key for at, one in enumerate(found.parents)}
    written = formula(form, keys)
    nearly = form.kind == "none" and found.verdict == "good"
    kind = "nearly a linear merge of these, but for more than rounding" if nearly else _KINDS[form.kind]
    perhaps = "perhaps " if found.verdict == "cannot tell" and not form.twins else ""
    yield perhaps + kind + (f": {written}" if written else "") + ("" if form.is_uniform else ", by block")
    if found.preset:
        yield f"The block weights are the preset {found.preset}."
    rows = {name: component_row(part, list(keys.values())) for name, part in found.parts.items()}
    for component, parent in form.copied.items() if form.kind != "copy" else ():
        if len(rows[component].same) < 2:
            yield f"{component}: that of {keys[parent]}."
    if form.kind != "linear" and (VAE, None) in form.weights:
        yield "vae: merged, too."
    for parent, twins in form.twins.items():
        names = ", ".join(keys[twin] for twin in twins)
        yield f"{keys[parent]} and {names} are the same wherever they were compared: it may have been any of them."
    for one in rows.values():
        yield from _about(one)
    for why, skipped in found.skipped.items():
        yield f"{plural(len(skipped), 'tensor')} not compared, {why}: {few(skipped)}."
    if found.is_sampled:
        yield "A sample of each tensor was read, not all of it."


def _about(one: Row) -> Iterator[str]:
    """What is to be said of one component: what stays unexplained, and what cannot be told apart."""
    if one.verdict in ("partly", "not from these"):
        yield (
            f"{one.component}: {one.residual:.0%} of its way from {one.nearest}, the nearest, stays unexplained; that "
            f"way is {one.distance:.2g} of its size."
        )
    if len(one.same) > 1:
        yield f"{one.component}: the same in {', '.join(one.same)}."
    elif one.verdict == "cannot tell":
        sets = "; ".join(" and ".join(group) for group in one.apart)
        yield f"{one.component}: {sets} cannot be told apart here."
