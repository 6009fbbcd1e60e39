"""ModelSpec 1.0.1: the fields that say what a model is, for programs that show them.

Source: https://github.com/Stability-AI/ModelSpec, with the ids and implementations that kohya's sd-scripts write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelhub.catalog.architectures import claims
from modelhub.catalog.identity import Identity

_STABILITY, _FLUX = "https://github.com/Stability-AI/generative-models", "https://github.com/black-forest-labs/flux"
#: Architecture and variant (None: any other) to id, implementation and resolution.
_SPECS: dict[tuple[str, str | None], tuple[str, str, str]] = {
    ("sd1", "inpaint"): ("stable-diffusion-v1-inpainting", _STABILITY, "512x512"),
    ("sd1", None): ("stable-diffusion-v1", _STABILITY, "512x512"),
    ("sd2", "v"): ("stable-diffusion-v2-768-v", _STABILITY, "768x768"),
    ("sd2", None): ("stable-diffusion-v2-512", _STABILITY, "512x512"),
    ("sdxl", "pix2pix"): ("stable-diffusion-xl-v1-edit", _STABILITY, "1024x1024"),
    ("sdxl", None): ("stable-diffusion-xl-v1-base", _STABILITY, "1024x1024"),
    ("sdxl-refiner", None): ("stable-diffusion-xl-v1-refiner", _STABILITY, "1024x1024"),
    ("sd3", "medium"): ("stable-diffusion-3-medium", _STABILITY, "1024x1024"),
    ("sd3", "3.5-large"): ("stable-diffusion-3-5-large", _STABILITY, "1024x1024"),
    ("sd3", "3.5-medium"): ("stable-diffusion-3-5-medium", _STABILITY, "1024x1024"),
    ("sd3", None): ("stable-diffusion-3", _STABILITY, "1024x1024"),
    ("flux1", "schnell"): ("flux-1-schnell", _FLUX, "1024x1024"),
    ("flux1", None): ("flux-1-dev", _FLUX, "1024x1024"),
}
#: Fields of the first parent that still hold of a merge, and those of all parents that belong together in one text.
_FIRST = (
    "architecture",
    "prediction_type",
    "resolution",
    "implementation",
    "usage_hint",
    "timestep_range",
    "encoder_layer",
)
_JOINED = {"license": " AND ", "trigger_phrase": ", ", "tags": ", "}
_KINDS = ("checkpoint", "diffusion-model")
_LONGEST = 10_000


def modelspec(identity: Identity, parents: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The `modelspec.` fields of a merge of which the first parent is `identity`, from that and its parents' metadata.

    What a parent says of itself is kept where shapes do not contradict it. All values are texts; those that other
    programs would read as tables stay the texts that they are.
    """
    every = [dict(one) for one in parents]
    found = _made(identity)
    if every and _is_so(_text(every[0], "architecture"), identity):
        found |= {name: value for name in _FIRST if (value := _text(every[0], name))}
    found |= {name: text for name, mark in _JOINED.items() if (text := _joined(every, name, mark))}
    return {f"modelspec.{name}": value for name, value in found.items()}


def _is_so(declared: str, identity: Identity) -> bool:
    """Whether what a parent calls its architecture does not contradict its shapes."""
    claim = claims().get(declared.lower())
    return not declared or identity.architecture in (None, claim.architecture if claim else "")


def _made(identity: Identity) -> dict[str, str]:
    if identity.kind not in _KINDS or identity.architecture is None:
        return {}
    name = identity.architecture
    variant = "v" if name == "sd2" and identity.prediction == "v" else identity.variant
    spec = _SPECS.get((name, variant)) or _SPECS.get((name, None))
    found = dict(zip(("architecture", "implementation", "resolution"), spec, strict=True)) if spec else {}
    if identity.prediction in ("epsilon", "v"):
        found["prediction_type"] = identity.prediction
    return found


def _text(metadata: Mapping[str, str], name: str) -> str:
    value = metadata.get(f"modelspec.{name}", "")
    return value if len(value) <= _LONGEST else ""


def _joined(every: list[dict[str, str]], name: str, mark: str) -> str:
    """What the parents say, each thing once."""
    said = dict.fromkeys(text for one in every if (text := _text(one, name).strip()))
    text = mark.join(said)
    return text if len(text) <= _LONGEST else next(iter(said))
