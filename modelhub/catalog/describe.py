"""An identity in one line, for people."""

from __future__ import annotations

from modelhub.catalog.architectures import architectures
from modelhub.catalog.asset import precision
from modelhub.catalog.identity import Identity
from modelhub.text import human_count, one_line

_KINDS = {
    "vae": "VAE",
    "lora": "LoRA",
    "controlnet": "ControlNet",
    "ip-adapter": "IP-Adapter",
    "t2i-adapter": "T2I-Adapter",
}
_SHORT = {"Stable Diffusion XL": "SDXL", "Stable Diffusion": "SD"}


def describe(identity: Identity) -> str:
    """For example "SD 1.x checkpoint, inpaint, fp16, 1.066B parameters"."""
    kind = _KINDS.get(identity.kind, identity.kind.replace("-", " "))
    words = [
        _title(identity, kind),
        identity.variant or "",
        f"{identity.prediction} prediction" if identity.prediction in ("v", "edm", "edm-v") else "",
        _adapter(identity),
        f"×{identity.facts['scale']}" if "scale" in identity.facts else "",
        "non-standard widths" if identity.confidence == "structure" else "",
        precision(identity.dtypes) or "",
        f"{human_count(identity.parameters)} parameters" if identity.parameters else "",
    ]
    return one_line(", ".join(word for word in words if word))


def _title(identity: Identity, kind: str) -> str:
    title = next((one.title for one in architectures() if one.id == identity.architecture), identity.architecture or "")
    for long, short in _SHORT.items():
        title = title.replace(long, short)
    if not title:
        bases = (identity.adapter or {}).get("bases", [])
        return (
            f"{kind} of unknown base"
            if identity.kind == "lora" and not bases
            else " ".join((*" or ".join(bases).split(), kind))
        )
    return (
        title
        if kind.lower() in title.lower() or identity.kind in ("text-encoder", "clip-vision")
        else f"{title} {kind}"
    )


def _adapter(identity: Identity) -> str:
    if identity.adapter is None:
        return ""
    ranks = list(identity.adapter["rank"])
    rank = f" of rank {ranks[0]}" if len(ranks) == 1 else f" of ranks {ranks[0]} and others" if ranks else ""
    return "+".join(identity.adapter["algorithm"]) + rank
