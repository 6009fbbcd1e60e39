"""What can be copied of an asset, each with a name: its path, hashes, addresses, words for a prompt, its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from modelhub.catalog.asset import Asset
from modelhub.fetch.sources.air_names import civitai_air

_HASHES = {
    "sha256": "SHA256", "autov2": "AutoV2", "autov3": "AutoV3", "autov1": "AutoV1", "blake3": "BLAKE3",
    "crc32": "CRC32",
}  # fmt: skip
_MODELS = ("checkpoint", "diffusion-model")


class Copy(NamedTuple):
    """A name, and the text that goes to the clipboard."""

    label: str
    text: str


def copies(asset: Asset) -> list[Copy]:
    """All that there is to copy, what is asked for most first."""
    return [Copy(label, text) for label, text in _all(asset) if text]


def _all(asset: Asset) -> Iterator[tuple[str, str]]:
    yield "path", str(asset.path)
    yield "name", asset.path.stem
    if asset.kind == "lora":
        yield "prompt tag", f"<lora:{asset.path.stem}:{_weight(asset)}>"
    if asset.kind == "embedding":
        yield "prompt word", asset.path.stem
    yield "trigger words", ", ".join(asset.trigger_words)
    yield "negative words", ", ".join(map(str, _said(asset, "negative_words") or ()))
    yield from ((title, asset.hashes.get(name) or "") for name, title in _HASHES.items())
    yield "AIR", _air(asset)
    yield "address", asset.source or ""
    yield "infotext", infotext(asset)
    yield "recipe", asset.recipe or ""
    yield "notes", asset.notes
    yield "reference", f"#{asset.id}"


def _said(asset: Asset, name: str) -> Any:
    return asset.sidecar.get(name) or asset.provided.get(name)


def _weight(asset: Asset) -> str:
    weight = _said(asset, "weight")
    return f"{weight:g}" if isinstance(weight, int | float) else "1"


def _air(asset: Asset) -> str:
    """By the ids that one of both tells together."""
    for said in (asset.sidecar, asset.provided):
        model, version = said.get("model_id"), said.get("version_id")
        if isinstance(model, int) and isinstance(version, int):
            return civitai_air(model, version, asset.kind, asset.architecture)
    return ""


def infotext(asset: Asset) -> str:
    """The part of an infotext that names an asset as AUTOMATIC1111 does; "" without a hash or for another kind."""
    stem, short = asset.path.stem, asset.hashes.get("autov2") or (asset.sha256 or "")[:10]
    if asset.kind in _MODELS and short:
        return f"Model hash: {short}, Model: {stem}"
    if asset.kind == "vae" and short:
        return f"VAE hash: {short}, VAE: {asset.path.name}"
    weights = (asset.hashes.get("autov3") or "")[:12]
    if asset.kind == "lora" and weights:
        return f'Lora hashes: "{stem}: {weights}"'
    return f'TI hashes: "{stem}: {short}"' if asset.kind == "embedding" and short else ""
