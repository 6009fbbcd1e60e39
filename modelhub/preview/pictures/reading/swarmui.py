"""SwarmUI's pictures: `sui_image_params` in JSON, in a PNG's `parameters` or in EXIF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.names import COMFY_SAMPLERS, schedule_name
from modelhub.preview.pictures.reading.tables import inner, plain, rows, text

#: SwarmUI's names of parameters that hold a model.
_MODELS = {
    "model": "checkpoint", "vae": "vae", "refinermodel": "refiner", "refinervae": "vae", "clipgmodel": "text-encoder",
    "cliplmodel": "text-encoder", "t5xxlmodel": "text-encoder", "controlnetmodel": "controlnet",
}  # fmt: skip
#: Digits of its hashes that others know, too: they are of the weights alone, as AutoV3 is.
_KNOWN_DIGITS = 12
_NO_MODEL = ("", "none", "automatic", "(use base)")


def read_swarmui(found: Mapping[str, Any]) -> Generation | None:
    """What the JSON says; None if it is none of SwarmUI's."""
    told = inner(found, "sui_image_params")
    if not told:
        return None
    hashes = {
        _stem(name): digest[:_KNOWN_DIGITS]
        for one in rows(found.get("sui_models"))
        if (name := text(one.get("name"))) and (digest := digits(one.get("hash")))
    }
    models = [*_models(told, hashes), *_loras(told, hashes)]
    prompt, negative = (text(told.get(name)) or "" for name in ("prompt", "negativeprompt"))
    version = text(told.get("swarm_version"))
    settings = {key: one for key, one in _settings(told).items() if one is not None}
    return Generation(f"SwarmUI {version}" if version else "SwarmUI", prompt, negative, settings, tuple(models))


def _settings(told: Mapping[str, Any]) -> dict[str, str | None]:
    sampler = text(told.get("sampler")) or text(told.get("comfyuisampler"))
    width, height = text(told.get("width")), text(told.get("height"))
    layer = number(told.get("clipstopatlayer"))
    scale = number(told.get("refinerupscale"))
    part = number(told.get("refinercontrolpercentage"))
    is_larger = scale is not None and scale > 1
    varied = number(told.get("variationseedstrength"))
    return {
        "Steps": text(told.get("steps")),
        "Sampler": COMFY_SAMPLERS.get(sampler, sampler) if sampler else None,
        "Schedule type": schedule_name(text(told.get("scheduler")) or text(told.get("comfyuischeduler"))),
        "CFG scale": text(told.get("cfgscale")),
        "Distilled CFG Scale": text(told.get("fluxguidancescale")),
        "Seed": text(told.get("seed")),
        "Size": f"{width}x{height}" if width and height else None,
        "Variation seed": text(told.get("variationseed")) if varied else None,
        "Variation seed strength": text(told.get("variationseedstrength")) if varied else None,
        "Denoising strength": text(told.get("initimagecreativity")) or (text(part) if is_larger else None),
        "Clip skip": plain(-layer) if layer is not None and layer < -1 else None,
        "RNG": "CPU",
        "Hires upscale": text(scale) if is_larger else None,
        "Hires upscaler": _way(text(told.get("refinerupscalemethod")) or "") if is_larger else None,
        "Hires steps": text(told.get("refinersteps")) if is_larger else None,
        "Hires CFG Scale": text(told.get("refinercfgscale")) if is_larger else None,
        "Shift": text(told.get("sigmashift")),
        "Refiner switch at": text(round(1 - part, 4)) if part is not None and text(told.get("refinermodel")) else None,
        "Version": "SwarmUI",
    }


def _way(said: str) -> str | None:
    """How a picture is enlarged, in A1111's words: SwarmUI says first whether by pixels, latents or a model."""
    how, _, name = said.partition("-")
    if how == "latent":
        return "Latent" if name == "bilinear" else f"Latent ({name})"
    return {"lanczos": "Lanczos", "nearest-exact": "Nearest"}.get(name, name) or None


def _models(told: Mapping[str, Any], hashes: Mapping[str, str]) -> Iterator[Made]:
    for name, role in _MODELS.items():
        value = text(told.get(name))
        if value and value.lower() not in _NO_MODEL:
            yield Made(role, value, hashes.get(_stem(value)))
    way = text(told.get("refinerupscalemethod")) or ""
    if way.startswith("model-"):
        yield Made("upscaler", way.removeprefix("model-"))


def _loras(told: Mapping[str, Any], hashes: Mapping[str, str]) -> Iterator[Made]:
    names, weights = (_list(told.get(name)) for name in ("loras", "loraweights"))
    for at, name in enumerate(names[:100]):
        weight = number(weights[at]) if at < len(weights) else 1.0
        yield Made("lora", name, hashes.get(_stem(name)), weight)


def _list(value: Any) -> list[str]:
    """A list, or a text with commas as older versions have it."""
    found = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else []
    return [one.strip() for each in found if (one := text(each)) is not None]


def _stem(name: str) -> str:
    return name.replace("\\", "/").removesuffix(".safetensors")
