"""How two files of the same weights are related, in words, and which of several to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from modelhub.catalog.asset import PRECISIONS as NAMES
from modelhub.catalog.asset import Asset
from modelhub.formats.samples import PRECISIONS
from modelhub.organize.compare import Comparison, Weights
from modelhub.text import plural

_ROLES = {"ema": "EMA", "vae": "VAE", "text_encoder": "text encoder", "denoiser": "parts of the denoiser"}
_BITS = {NAMES[dtype]: bits for dtype, (_, bits, _) in PRECISIONS.items()}


class Relation(NamedTuple):
    """What a file is beside the one that is kept, and what it has that the other lacks ("" for nothing)."""

    words: str
    loses: str


def choose(assets: Sequence[Asset]) -> list[Asset]:
    """The one to keep, then the others.

    First what the user cares for, then the more complete one, safetensors, the finer precision, the smaller file, and
    the one that came first.
    """
    return sorted(
        assets, key=lambda asset: (tuple(-score for score in _scores(asset)), asset.size, asset.added, asset.id)
    )


def _scores(asset: Asset) -> tuple[int, ...]:
    said = bool(asset.tags) + bool(asset.rating) + bool(asset.notes) + bool(asset.said)
    roles = {part["role"] for part in asset.components} - {"ema"}
    return said, bool(asset.recipe), len(roles), asset.format == "safetensors", _BITS.get(asset.dtype or "", 0)


_REASONS = (
    "what you said of it: tags, stars, notes",
    "it has its recipe",
    "it has more components",
    "it is a safetensors file",
    "it has the finer precision",
)


def why_kept(keep: Asset, others: Sequence[Asset]) -> str:
    """The reasons that set `keep` apart from the others, from each the first that does."""
    return "; ".join(dict.fromkeys(_why_better(keep, other) for other in others))


def _why_better(keep: Asset, other: Asset) -> str:
    for mine, theirs, reason in zip(_scores(keep), _scores(other), _REASONS, strict=True):
        if mine > theirs:
            return reason
    return "it is smaller" if keep.size < other.size else "it came first"


def relate(keep: Weights, other: Weights, found: Comparison) -> Relation:
    """What `other` is beside `keep`, which `compare` found to be the same."""
    mine, theirs = keep.asset, other.asset
    parts = []
    if theirs.dtype != mine.dtype:
        parts.append(f"in {theirs.dtype or 'another precision'}")
    if theirs.format != mine.format:
        parts.append(f"as {theirs.format}")
    if found.missing:
        parts.append(f"without {_counted(found.missing)}")
    if found.extra:
        parts.append(f"with {_counted(found.extra)} more")
    if found.renamed:
        parts.append(f"under other names ({plural(found.renamed, 'tensor')})")
    if not parts:
        parts.append("with other metadata" if _metadata_differ(keep, other) else "with its tensors in another order")
    finer = found.largest > 0 and _BITS.get(theirs.dtype or "", 0) > _BITS.get(mine.dtype or "", 0)
    loses = [f"the precision of {theirs.dtype}"] if finer else []
    if found.extra:
        loses.append(_counted(found.extra))
    return Relation(", ".join(parts), ", ".join(loses))


def proof(found: Comparison, *, exact: bool) -> str:
    """What was compared, and how near it came: the numbers behind the claim."""
    share = "all" if exact else f"{found.numbers:,}"
    apart = f"at most {found.largest:.2f} rounding steps apart" if found.largest else "all equal"
    return f"{share} numbers of {plural(found.tensors, 'tensor')}, {apart}"


def _metadata_differ(one: Weights, two: Weights) -> bool:
    return dict(one.source.header.metadata) != dict(two.source.header.metadata)


def _counted(roles: Counter[str]) -> str:
    """Roles with the number of their tensors: `EMA (686 tensors), VAE (248 tensors) and 2 other tensors`."""
    words = [f"{word} ({plural(roles[role], 'tensor')})" for role, word in _ROLES.items() if roles[role]]
    others = sum(count for role, count in roles.items() if role not in _ROLES)
    words += [plural(others, "other tensor")] if others else []
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + words[-1]
