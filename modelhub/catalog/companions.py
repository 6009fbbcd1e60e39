"""Companions: the text encoders and VAEs that go with a model, where they stand in a file, and which files have them.

What goes with what is data: `catalog/companions.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from modelhub.catalog.data import data_path

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.identity import Component
    from modelhub.catalog.reading import CatalogReader

VAE = "vae"


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


def parts_of(architecture: str) -> tuple[str, ...]:
    """What a picture of this architecture needs beside the denoiser: its text encoders, then "vae"."""
    return (*table()["encoders"].get(architecture, {}), VAE)


def title(part: str) -> str:
    """What people call a part: "the T5-XXL text encoder"."""
    said: str = table()["titles"].get(part, part)
    return said


def where_to_get(architecture: str, part: str) -> str:
    """What `modelhub get` takes to fetch a released part for an architecture; "" where nothing is known."""
    known: Mapping[str, str] = table()["sources"]
    return known.get(f"{architecture} {part}", known.get(part, ""))


def place(components: Sequence[Component], architecture: str, part: str) -> Component | None:
    """Which of the components of a file is the part; None if none is.

    A text encoder is told by the prefix that files of the architecture keep it below, else by its own architecture,
    unless it stands where such files keep another one.
    """
    if part == VAE:
        return next((one for one in components if one.role == VAE), None)
    encoders = [one for one in components if one.role == "text_encoder"]
    prefixes = tuple(table()["places"].get(architecture, {}).get(part, ()))
    by_prefix = [one for one in encoders if prefixes and one.prefix.startswith(prefixes)]
    by_name = [one for one in encoders if one.architecture == part and not _elsewhere(one, architecture, part)]
    return next(iter([*by_prefix, *by_name]), None)


def _elsewhere(one: Component, architecture: str, part: str) -> bool:
    """Whether a text encoder stands where files of the architecture keep another one."""
    places: Mapping[str, Sequence[str]] = table()["places"].get(architecture, {})
    return any(one.prefix.startswith(tuple(prefixes)) for other, prefixes in places.items() if other != part)


def find(catalog: CatalogReader, architecture: str, part: str, *, width: int | None = None) -> Asset | None:
    """The file of the catalog that is best for a part that a model lacks; None if there is none.

    Files of the part alone come first, those known by hash before those known by name, then checkpoints of the same
    architecture that have it, then files that fit as far as anybody can tell. `width` is that of a token, if known.
    """
    alone = _vaes(catalog, architecture) if part == VAE else _encoders(catalog, part, width)
    ranked = [*alone, *_checkpoints(catalog, architecture, part)]
    return min(ranked, key=lambda one: (one[0], one[1].path), default=(0, None))[1]


_Ranked = tuple[int, "Asset"]
_BY_HASH, _BY_NAME, _INSIDE, _UNCLEAR = range(4)


def _there(assets: Iterable[Asset]) -> Iterator[Asset]:
    return (asset for asset in assets if not asset.missing and asset.problem is None)


def _vaes(catalog: CatalogReader, architecture: str) -> Iterator[_Ranked]:
    """The VAEs of the right shapes whose latents are not known to be others'."""
    kind = table()["vaes"].get(architecture)
    own = next((one for one in latents() if architecture in one.models), None)
    for asset in _there(catalog.find("kind:vae")):
        if asset.architecture != kind or asset.variant is not None:
            continue
        found = _whose(asset)
        if own in found:
            yield (_BY_HASH if (asset.sha256 or "-").startswith(own.hashes or ("?",)) else _BY_NAME), asset
        elif not found:
            yield _UNCLEAR, asset


def _whose(asset: Asset) -> list[Latents]:
    said = (str(asset.facts.get("declared_base") or ""), asset.title or "", asset.name)
    return vae_latents(asset.kind, asset.architecture, asset.sha256, said)


def vae_latents(kind: str, architecture: str | None, sha256: str | None, said: Sequence[str]) -> list[Latents]:
    """Whose latents the VAE in a file is likely to have: as its model, by the hash, else by what it is called."""
    if kind != VAE:
        return [one for one in latents() if architecture in one.models]
    by_hash = [one for one in latents() if one.hashes and (sha256 or "-").startswith(one.hashes)]
    by_name = [one for one in latents() if any(one.names.search(text[:1000]) for text in said)]
    return by_hash or [one for one in by_name if one.vae == architecture]


def _encoders(catalog: CatalogReader, part: str, width: int | None) -> Iterator[_Ranked]:
    for asset in _there(catalog.find("kind:text-encoder")):
        fits = asset.variant is None and width in (None, asset.facts.get("width", width))
        if asset.architecture == part and fits:
            yield _BY_NAME, asset


def _checkpoints(catalog: CatalogReader, architecture: str, part: str) -> Iterator[_Ranked]:
    from modelhub.catalog.identity import Component

    for asset in _there(catalog.find(f"kind:checkpoint arch:{architecture}")):
        if place([Component(**one) for one in asset.components], architecture, part):
            yield _INSIDE, asset
