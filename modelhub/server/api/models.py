"""What the catalog has for a picture, by the names that this interface gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import NotFoundError
from modelhub.preview.models.support import RENDERED
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.upscaling.names import LATENT_NAMES, PIXEL_UPSCALERS
from modelhub.text import brief

MODELS = ("checkpoint", "diffusion-model")
_TITLE = re.compile(r"(?P<name>.+?)\s*\[(?P<hash>[0-9a-fA-F]{6,64})\]")
_SHORT = 10
_LEAST_HASH = 6
#: Words that stand for what a model brings itself.
NONE = ("", "none", "automatic")


def assets(catalog: CatalogReader, *kinds: str) -> Iterator[Asset]:
    """Those of some kinds that are there and can be read, by name."""
    query = " OR ".join(f"kind:{kind}" for kind in kinds)
    for asset in catalog.pages(catalog.ids(query)):
        if not asset.missing and asset.problem is None:
            yield asset


def checkpoints(catalog: CatalogReader) -> list[Asset]:
    """Those that the renderer knows; whole checkpoints come first."""
    found = [asset for asset in assets(catalog, *MODELS) if asset.architecture in RENDERED]
    return sorted(found, key=lambda asset: MODELS.index(asset.kind))


def find(catalog: CatalogReader, word: str, what: str, *kinds: str) -> Asset:
    """The asset of some kinds by its title, file name, stem, path or hash. Raises NotFoundError."""
    titled = _TITLE.fullmatch(word.strip())
    name = (titled["name"] if titled else word.strip()).lower()
    digits = (titled["hash"] if titled else name).lower()
    fits = (
        lambda asset: titled is not None and (asset.sha256 or "").startswith(digits),
        lambda asset: name in (asset.name.lower(), str(asset.path).lower()),
        lambda asset: name == asset.path.stem.lower(),
        lambda asset: len(digits) >= _LEAST_HASH and (asset.sha256 or "").startswith(digits),
    )
    there = sorted(assets(catalog, *kinds), key=lambda asset: asset.format != "safetensors")
    for fit in fits:
        if found := next(filter(fit, there), None):
            return found
    raise NotFoundError(
        f"There is no {what} '{brief(word, 80)}' in the catalog.", "`modelhub scan` takes in new files."
    )


def title(asset: Asset) -> str:
    """The name with the first digits of the hash, if that is known."""
    return f"{asset.name} [{asset.sha256[:_SHORT]}]" if asset.sha256 else asset.name


def model_answer(asset: Asset) -> dict[str, Any]:
    """A checkpoint in `sd-models`."""
    return {
        "title": title(asset),
        "model_name": asset.path.stem,
        "hash": asset.sha256[:_SHORT] if asset.sha256 else None,
        "sha256": asset.sha256,
        "filename": str(asset.path),
        "config": None,
    }


def lora_answer(asset: Asset) -> dict[str, Any]:
    """A LoRA in `loras`; a prompt names it by `name`."""
    words = ", ".join(asset.trigger_words)
    metadata = {"modelhub_architecture": asset.architecture, "modelhub_trigger_words": words}
    return {"name": asset.path.stem, "alias": asset.path.stem, "path": str(asset.path), "metadata": metadata}


def embeddings_answer(catalog: CatalogReader) -> dict[str, Any]:
    """All of `embeddings`."""
    loaded = {
        asset.path.stem: {
            "step": None,
            "sd_checkpoint": None,
            "sd_checkpoint_name": None,
            "shape": asset.facts.get("width"),
            "vectors": asset.facts.get("vectors"),
        }
        for asset in assets(catalog, "embedding")
    }
    return {"loaded": loaded, "skipped": {}}


def upscalers_answer(catalog: CatalogReader) -> list[dict[str, Any]]:
    """All of `upscalers`: those without a file first."""
    plain = [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4}
        for name in PIXEL_UPSCALERS
    ]
    files = [
        {
            "name": asset.path.stem,
            "model_name": asset.path.stem,
            "model_path": str(asset.path),
            "model_url": None,
            "scale": asset.facts.get("scale", 4),
        }
        for asset in assets(catalog, "upscaler")
    ]
    return [*plain, *files]


def samplers_answer() -> list[dict[str, Any]]:
    """All of `samplers`."""
    return [{"name": name, "aliases": [_word(name, "k_")], "options": {}} for name in SAMPLER_NAMES]


def schedulers_answer() -> list[dict[str, Any]]:
    """All of `schedulers`."""
    return [
        {"name": _word(name), "label": name, "aliases": None, "default_rho": -1, "need_inner_model": False}
        for name in SCHEDULE_NAMES
    ]


def latent_answer() -> list[dict[str, Any]]:
    """All of `latent-upscale-modes`."""
    return [{"name": name} for name in LATENT_NAMES]


def _word(name: str, start: str = "") -> str:
    return start + re.sub(r"[\s-]+", "_", name.lower())
