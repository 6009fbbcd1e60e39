"""Fooocus' pictures: JSON in `parameters` where `fooocus_scheme` says so; else it writes an infotext."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.names import COMFY_SAMPLERS, schedule_name
from modelhub.preview.pictures.reading.tables import text

_LORA = re.compile(r"lora_combined_\d{1,2}")


def read_fooocus(told: Mapping[str, Any]) -> Generation | None:
    """What the JSON says; None if it is none of Fooocus'."""
    version = text(told.get("version")) or ""
    if "Fooocus" not in version and text(told.get("metadata_scheme")) != "fooocus":
        return None
    size = re.fullmatch(r"\(?\s*(\d{2,5}),\s*(\d{2,5})\s*\)?", text(told.get("resolution")) or "")
    sampler = text(told.get("sampler"))
    refiner = text(told.get("refiner_model"))
    skip = number(told.get("clip_skip"))
    settings = {
        "Steps": text(told.get("steps")),
        "Sampler": COMFY_SAMPLERS.get(sampler, sampler) if sampler else None,
        "Schedule type": schedule_name(text(told.get("scheduler"))),
        "CFG scale": text(told.get("guidance_scale")),
        "Seed": text(told.get("seed")),
        "Size": f"{size[1]}x{size[2]}" if size else None,
        "Clip skip": str(int(skip)) if skip and 1 < skip < 13 else None,
        "RNG": "CPU",
        "Refiner switch at": text(told.get("refiner_switch")) if refiner not in (None, "None") else None,
        "Sharpness": text(told.get("sharpness")),
        "ADM Guidance": text(told.get("adm_guidance")),
        "Styles": text(told.get("styles")),
        "Performance": text(told.get("performance")),
        "Version": version or "Fooocus",
    }
    prompt, negative = (text(told.get(name)) or "" for name in ("prompt", "negative_prompt"))
    kept = {key: one for key, one in settings.items() if one is not None}
    return Generation(version or "Fooocus", prompt, negative, kept, tuple(_models(told)))


def _models(told: Mapping[str, Any]) -> Iterator[Made]:
    for key, role in (("base_model", "checkpoint"), ("refiner_model", "refiner"), ("vae", "vae")):
        name = text(told.get(key))
        if name and name not in ("None", "Default (model)"):
            yield Made(role, name, digits(told.get(f"{key}_hash")))
    loras = told.get("loras")
    for one in loras[:50] if isinstance(loras, list) else ():
        if isinstance(one, list) and len(one) >= 2 and (name := text(one[0])) not in (None, "None"):
            yield Made("lora", name, digits(one[2]) if len(one) > 2 else None, number(one[1]))
    for key, value in told.items():
        name, _, weight = (text(value) or "").rpartition(" : ")
        if _LORA.fullmatch(key) and name:
            yield Made("lora", name, weight=number(weight))
