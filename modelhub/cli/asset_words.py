"""Everything known of an asset, in lines for a person: what it is, what the user and the sidecars say, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelhub.catalog.asset import Asset
from modelhub.catalog.provided import TITLES
from modelhub.cli.context import Bold
from modelhub.cli.identity_words import (
    Pair,
    adapter_words,
    architecture_words,
    component_words,
    counted_words,
    evidence_lines,
    fact_rows,
    merged_row,
)
from modelhub.cli.table import facts, wrapped
from modelhub.text import human_count, human_size, one_line, shorten

if TYPE_CHECKING:
    from modelhub.catalog.parents import Ancestor


def asset_lines(asset: Asset, base: Asset | None = None, parents: Sequence[Ancestor] = ()) -> Iterator[str]:
    """The lines of `show`; `base` is the model in the catalog that it was trained on, `parents` went into a merge."""
    yield Bold(one_line(asset.title or asset.name))
    trained_on = [("trained on", f"#{base.id} {one_line(base.name)}, by its hash")] if base else []
    yield from facts([*_one_line_each(asset), *trained_on, merged_row(parents), ("notes", asset.notes)])
    for conflict in asset.conflicts:
        yield from wrapped(f"contradiction: {one_line(conflict)}", 2)
    if asset.problem:
        yield from wrapped(f"problem: {one_line(asset.problem)}", 2)
    yield from evidence_lines([item for item in asset.evidence if item["rule"] != asset.problem])


def _one_line_each(asset: Asset) -> list[Pair]:
    pairs = [
        ("id", f"#{asset.id}"),
        ("path", str(asset.path) + (" (missing)" if asset.missing else "")),
        ("also at", "  ".join(asset.links)),
        ("size", f"{human_size(asset.size)} ({asset.size:,} bytes)"),
        ("kind", asset.kind),
        ("architecture", architecture_words(asset) if asset.architecture else "unknown"),
        ("set by you", override_words(asset)),
        ("format", asset.format),
        ("layout", asset.layout or ""),
        ("prediction", asset.prediction or ""),
        ("dtypes", counted_words(asset.dtypes)),
        ("parameters", human_count(asset.parameters) if asset.parameters else ""),
        ("components", component_words(asset.components)),
        ("adapter", adapter_words(asset.adapter)),
        ("trigger words", ", ".join(asset.trigger_words)),
        *fact_rows({name: value for name, value in asset.facts.items() if name != "declared_base"}),
        ("tags", ", ".join(asset.tags)),
        ("rating", "★" * asset.rating),
        ("source", asset.source or ""),
        *sidecar_facts(asset.sidecar),
        *provided_facts(asset),
        ("confidence", asset.confidence),
        *((name, value or "") for name, value in asset.hashes.items()),
        ("verified", time.strftime("%Y-%m-%d %H:%M", time.localtime(asset.verified)) if asset.verified else ""),
        ("fingerprint", asset.fingerprint or ""),
    ]
    return [(name, one_line(value)) for name, value in pairs]


def override_words(asset: Asset) -> str:
    """What the user set against the bytes, with what these say."""
    return ", ".join(
        f"{name} {word} (the file says {asset.found.get(name) or 'unknown'})" for name, word in asset.said.items()
    )


#: What to show of a sidecar, and as what.
_SIDECAR = {
    "version": "version", "base_model": "declared base", "creator": "creator", "licence": "licence",
    "tags": "sidecar tags", "negative_words": "negative words", "weight": "weight", "preview": "preview",
    "description": "description",
}  # fmt: skip


def sidecar_facts(sidecar: Mapping[str, Any]) -> Iterator[Pair]:
    """What the files beside a model say of it."""
    return ((shown, _value(sidecar[name])) for name, shown in _SIDECAR.items() if name in sidecar)


def provided_facts(asset: Asset) -> Iterator[Pair]:
    """What a provider says of the content, where no file beside it says anything else."""
    said = asset.provided
    if asset.never_look_up:
        yield "looked up", "never"
    if said:
        yield "provider", provider_words(said)
    for name, shown in _SIDECAR.items():
        if name in said and name not in asset.sidecar:
            yield shown.replace("sidecar", "provider"), _value(said[name])


def provider_words(said: Mapping[str, Any]) -> str:
    """Which provider was asked and when, and how it knows the content."""
    title = TITLES.get(said.get("provider", ""), "the web")
    day = time.strftime("%Y-%m-%d", time.localtime(said.get("at", 0)))
    if said.get("not_found"):
        return f"{title} does not know it (asked {day})"
    words = [f"{title}, asked {day}"]
    if said.get("matched_by") == "autov3":
        words.append("known by its weights, only the header differs")
    if gone := said.get("gone"):
        words.append(f"gone from there since {time.strftime('%Y-%m-%d', time.localtime(gone))}")
    return "; ".join(words)


def _value(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return shorten(text.replace("\n", " "), 300)
