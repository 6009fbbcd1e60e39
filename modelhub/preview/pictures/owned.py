"""Which models of a picture are here: each found in the catalog, or the source that `modelhub get` brings it from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.catalog.traces import Found, Trace, find
from modelhub.preview.pictures.generation import Made

if TYPE_CHECKING:
    from modelhub.catalog.reading import CatalogReader

#: Kinds of assets that a role is filled by.
_KINDS = {
    "checkpoint": ("checkpoint", "diffusion-model"), "diffusion-model": ("diffusion-model", "checkpoint"),
    "refiner": ("checkpoint", "diffusion-model"), "vae": ("vae", "checkpoint"), "text-encoder": ("text-encoder",),
    "lora": ("lora",), "embedding": ("embedding",), "hypernetwork": ("hypernetwork",), "upscaler": ("upscaler",),
    "controlnet": ("controlnet", "t2i-adapter", "ip-adapter"),
}  # fmt: skip
#: Lengths of hashes that providers know models by.
_ASKABLE = (8, 10, 12, 64)
HERE, MISSING, ABSENT, UNWRITTEN = "here", "missing", "absent", "unwritten"


@dataclass(frozen=True, slots=True)
class Owned:
    """A model of a picture and what the catalog has of it; `found` None: nothing."""

    made: Made
    found: Found | None

    @property
    def state(self) -> str:
        """HERE, MISSING (known, and its file is gone), ABSENT, or UNWRITTEN: a merge that is a recipe and no file."""
        if self.made.role == "merge":
            return UNWRITTEN
        if self.found is None or self.found.is_other:
            return ABSENT
        return MISSING if self.found.asset.missing else HERE

    @property
    def source(self) -> str | None:
        """What `modelhub get` brings it by, if it is not here: Civitai's number of it, else its hash."""
        if self.state in (HERE, UNWRITTEN):
            return None
        made = self.made
        if made.version is not None:
            return f"civitai:{made.model or ''}@{made.version}"
        return made.hash if made.hash and len(made.hash) in _ASKABLE else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.found
        asset = (
            None if found is None else {"id": found.asset.id, "path": str(found.asset.path), "kind": found.asset.kind}
        )
        return {
            **self.made.as_dict(),
            "state": self.state,
            "asset": asset,
            "matched_by": found.by if found else None,
            "other_content": bool(found and found.is_other),
            "unsure": bool(found and found.is_unsure),
            "get": None if self.source is None else f"modelhub get {self.source}",
        }


def owned(catalog: CatalogReader | None, models: Iterable[Made]) -> Iterator[Owned]:
    """Each model with what the catalog has of it; without a catalog nothing is here."""
    for made in models:
        trace = Trace(made.hash, made.version, made.name)
        is_file = made.role != "merge"
        found = find(catalog, trace, _KINDS.get(made.role, ())) if catalog is not None and is_file else None
        yield Owned(made, found)
