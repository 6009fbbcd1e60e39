"""What Civitai writes into pictures made there: models by their numbers, in a list and as AIRs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from modelhub.preview.pictures.generation import Made, digits, number, whole
from modelhub.preview.pictures.reading.tables import rows, text, value

_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?P<base>[\w.-]+):(?P<type>[\w.-]+):civitai:(?P<model>\d{1,12})@(?P<version>\d{1,12})[\w.+-]*",
    re.IGNORECASE,
)
#: Civitai's words for kinds of models, in small letters.
_ROLES = {
    "checkpoint": "checkpoint", "model": "checkpoint", "lora": "lora", "locon": "lora", "dora": "lora",
    "lycoris": "lora", "embed": "embedding", "embedding": "embedding", "textualinversion": "embedding", "vae": "vae",
    "upscaler": "upscaler", "hypernet": "hypernetwork", "hypernetwork": "hypernetwork", "controlnet": "controlnet",
}  # fmt: skip
_MOST = 200


def read_air(said: str) -> Made | None:
    """A model by its AIR, `urn:air:sdxl:lora:civitai:1@2`; None for anything else."""
    match = _AIR.fullmatch(said.strip())
    if match is None:
        return None
    return Made(role_of(match["type"]), model=int(match["model"]), version=int(match["version"]))


def role_of(kind: str | None) -> str:
    """A kind of Civitai's in our words; "other" for one that is not known."""
    return _ROLES.get((kind or "").lower().replace(" ", ""), "other")


def resources(said: str | None, others: Sequence[Made]) -> Iterator[Made]:
    """The models of a `Civitai resources` list, joined to what else is known of the same ones."""
    found = list(_listed(value(said)))
    counts = Counter(one.role for one in found), Counter(one.role for one in others)
    single = {role for role in ("checkpoint", "vae") if counts[0][role] == counts[1][role] == 1}
    for other in others:
        same = next((one for one in found if _is_same(one, other) or one.role == other.role in single), None)
        if same is None:
            yield other
        else:
            found.remove(same)
            weight = same.weight if other.weight is None else other.weight
            yield replace(
                other,
                name=other.name or same.name,
                hash=other.hash or same.hash,
                weight=weight,
                model=same.model,
                version=same.version,
            )
    yield from found


def _listed(said: Any) -> Iterator[Made]:
    """The entries that name a model in some way."""
    return (made for made in _entries(said) if made.name or made.hash or made.version)


def _entries(said: Any) -> Iterator[Made]:
    for _, one in zip(range(_MOST), rows(said), strict=False):
        air = read_air(text(one.get("air")) or "")
        role = role_of(text(one.get("type"))) if one.get("type") else air.role if air else "other"
        names = [text(one.get("modelName")), text(one.get("modelVersionName")) or text(one.get("versionName"))]
        yield Made(
            role,
            " ".join(filter(None, names)) or text(one.get("name")),
            digits(one.get("hash")),
            number(one.get("weight")),
            model=whole(one.get("modelId")) or (air.model if air else None),
            version=whole(one.get("modelVersionId")) or (air.version if air else None),
        )


def _is_same(one: Made, other: Made) -> bool:
    """Whether two entries mean one model, by hash or by the first word of their names."""
    if one.role != other.role:
        return False
    if one.hash and one.hash == other.hash:
        return True
    names = (one.name or "").split()[:1], (other.name or "").split()[:1]
    return bool(names[0]) and names[0] == names[1]
