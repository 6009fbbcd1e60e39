"""Writing AIRs: the name that Civitai's tools have for a version of a model."""

from __future__ import annotations

#: Our kinds by the names that AIRs have for them; others have none.
_TYPES = {
    "checkpoint": "checkpoint", "diffusion-model": "checkpoint", "lora": "lora", "embedding": "embedding", "vae": "vae",
    "controlnet": "controlnet", "hypernetwork": "hypernet", "upscaler": "upscaler", "motion-module": "motion",
}  # fmt: skip
_ECOSYSTEMS = {"sdxl-refiner": "sdxl"}


def civitai_air(model: int | str, version: int | str, kind: str, architecture: str | None) -> str:
    """`urn:air:sdxl:lora:civitai:1@2`, which `read_air` reads; what is not known is called "other"."""
    ecosystem = _ECOSYSTEMS.get(architecture or "", architecture) or "other"
    return f"urn:air:{ecosystem}:{_TYPES.get(kind, 'other')}:civitai:{model}@{version}"
