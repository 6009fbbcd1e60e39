"""Lineage: the family of fine-tunes that a file comes from, such as Pony or Illustrious, by `catalog/lineages.toml`.

Files of one architecture have the same shapes, so only what was written about a file tells: advice, never a verdict.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Evidence, Identity
from modelhub.text import one_line, shorten

#: Metadata is not searched any further, and what was found is kept in so many columns.
_SEARCHED = 4_000_000
_SHOWN = 120
#: How far a text that holds names between much else (a merge recipe) is searched for names.
_NAMED = 20_000
_PARENTS = 50
#: Kinds of files that a lineage is worth knowing of.
_TRACED = frozenset({"lora", "checkpoint", "diffusion-model"})
_HEX = re.compile(r"[0-9a-f]{8,64}")
_WHOLE_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Lineage:
    """One piece of evidence: the lineage (`id` is empty for a known file of none), and why.

    `rule` is hash, base model, merge, declared, captions, VAE name or file name; `key` the metadata key that was read,
    `found` what stood there, `strength` 6 (a hash) to 1 (a name).
    """

    id: str
    title: str
    rule: str
    key: str
    found: str
    strength: int


@dataclass(frozen=True, slots=True)
class _Family:
    id: str
    title: str
    architecture: str
    names: re.Pattern[str]
    captions: tuple[str, ...]
    captions_needed: int
    declared: tuple[str, ...]
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    rule: str
    strength: int
    keys: tuple[str, ...]


@cache
def _tables() -> tuple[tuple[_Family, ...], dict[str, _Place]]:
    table = tomllib.loads(data_path("lineages.toml").read_text(encoding="utf-8"))
    families = tuple(
        _Family(
            row["id"],
            row["title"],
            row["architecture"],
            re.compile(row["names"], re.IGNORECASE),
            tuple(row.get("captions", ())),
            row.get("captions_needed", 1),
            tuple(row.get("declared", ())),
            tuple(row.get("hashes", ())),
        )
        for row in table["lineage"]
    )
    places = {row["rule"]: _Place(row["rule"], row["strength"], tuple(row["keys"])) for row in table["evidence"]}
    return families, places


def lineage(
    metadata: Mapping[str, str],
    *,
    known_hashes: Callable[[str], str | None] | None = None,
    declared: str | None = None,
    name: str = "",
    architecture: str | None = None,
) -> tuple[Lineage, ...]:
    """All evidence for a lineage, the strongest first.

    `known_hashes` gives the file name (or the lineage) of a model with some hash, `declared` is the base model that a
    sidecar or the user names, `name` the file's own name. With `architecture` lineages of others are left out.
    """
    found = (
        *_by_hash(metadata, known_hashes),
        *_by_names(metadata, "base model"),
        *_by_merge(metadata, known_hashes),
        *_by_declaration(declared or ""),
        *_by_captions(metadata),
        *_by_names(metadata, "VAE name"),
        *_named("file name", "", name),
    )
    of = {family.id: family.architecture for family in _tables()[0]}
    return tuple(one for one in found if architecture is None or of.get(one.id, architecture) == architecture)


def strongest(found: tuple[Lineage, ...]) -> str | None:
    """The id of the strongest evidence that names a lineage."""
    return next((one.id for one in found if one.id), None)


def lineage_architecture(id: str) -> str | None:
    """The architecture of a lineage; None for one that there is not."""
    return next((family.architecture for family in _tables()[0] if family.id == id), None)


def lineage_title(id: str) -> str:
    """What people call a lineage; the id itself where it is unknown."""
    return next((family.title for family in _tables()[0] if family.id == id), id)


def _lineage(family: _Family | None, rule: str, key: str, found: str) -> Lineage:
    clean = shorten(one_line(found[:1000]), _SHOWN)
    strength = _tables()[1][rule].strength
    return Lineage(family.id if family else "", family.title if family else clean, rule, key, clean, strength)


def _by_hash(metadata: Mapping[str, str], known: Callable[[str], str | None] | None) -> Iterator[Lineage]:
    for key in _tables()[1]["hash"].keys:
        digest = metadata.get(key, "")[:80].strip().lower().removeprefix("0x")
        if _HEX.fullmatch(digest):
            yield from _of_hash("hash", key, digest, known)


def _by_merge(metadata: Mapping[str, str], known: Callable[[str], str | None] | None) -> Iterator[Lineage]:
    """The models that a merge was made of, by hash and by name."""
    for key in _tables()[1]["merge"].keys:
        text = metadata.get(key, "")[:_NAMED]
        for digest in dict.fromkeys(_WHOLE_HASH.findall(text.lower())[:_PARENTS]):
            yield from _of_hash("merge", key, digest, known)
        yield from _named("merge", key, text)


def _of_hash(rule: str, key: str, digest: str, known: Callable[[str], str | None] | None) -> Iterator[Lineage]:
    """What the shipped table says, else the user's library: a file of no known lineage is worth knowing too."""
    family = next((one for one in _tables()[0] if any(_same(digest, hash) for hash in one.hashes)), None)
    if family:
        yield _lineage(family, rule, key, digest)
    elif file := known(digest) if known else None:
        yield _lineage(_family(file), rule, key, file)


def _same(left: str, right: str) -> bool:
    """Whether one is the beginning of the other, of at least ten digits."""
    size = min(len(left), len(right))
    return size >= 10 and left[:size] == right[:size]


def _family(text: str) -> _Family | None:
    """The family of a name, or of a family's id."""
    families = _tables()[0]
    exact = next((family for family in families if family.id == text), None)
    return exact or next((family for family in families if family.names.search(text[:_NAMED])), None)


def _by_names(metadata: Mapping[str, str], rule: str) -> Iterator[Lineage]:
    for key in _tables()[1][rule].keys:
        yield from _named(rule, key, _text(metadata, key))


def _text(metadata: Mapping[str, str], key: str) -> str:
    """A value, or with `key:field` a text field of the JSON in it, which is not parsed for it."""
    key, _, field = key.partition(":")
    text = metadata.get(key, "")
    if not field:
        return text
    fits = re.search(rf'"{field}"\s*:\s*"([^"]{{1,500}})"', text[:_SEARCHED])
    return fits[1] if fits else ""


def _named(rule: str, key: str, text: str) -> Iterator[Lineage]:
    """Every family that a text names; what was found is the text around the first place."""
    for family in _tables()[0]:
        fits = family.names.search(text, 0, _NAMED)
        if fits:
            begin = max(0, fits.start() - _SHOWN // 3)
            yield _lineage(family, rule, key, text[begin : begin + _SHOWN])


def _by_declaration(declared: str) -> Iterator[Lineage]:
    """The words of model pages, such as "Pony" or "SDXL 1.0"."""
    said = declared[:200].strip().lower()
    family = next((one for one in _tables()[0] if said and said in one.declared), None) or _family(said)
    if family:
        yield _lineage(family, "declared", "", declared)


def _by_captions(metadata: Mapping[str, str]) -> Iterator[Lineage]:
    """Tags that only captions for a lineage have. They are looked for as they stand in the JSON, without reading it."""
    for key in _tables()[1]["captions"].keys:
        text = metadata.get(key, "")[:_SEARCHED]
        for family in _tables()[0]:
            tags = [tag for tag in family.captions if f'"{tag}"' in text]
            if len(tags) >= family.captions_needed and tags:
                yield _lineage(family, "captions", key, ", ".join(tags))


def trace(identity: Identity, metadata: Mapping[str, str], name: str = "") -> Identity:
    """`identity` of a LoRA or a model with its lineage and the evidence for it; nothing else of it changes."""
    if identity.architecture is None or identity.kind not in _TRACED:
        return identity
    found = lineage(metadata, name=name, architecture=identity.architecture)
    evidence = tuple(Evidence(f"lineage: {one.id} ({one.rule})", one.key, one.found) for one in found)
    first = strongest(found)
    facts = {**identity.facts, "lineage": first} if first else identity.facts
    return replace(identity, evidence=(*identity.evidence, *evidence), facts=facts)
