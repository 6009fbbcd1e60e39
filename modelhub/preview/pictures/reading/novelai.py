"""NovelAI's pictures: the chunks Title, Description, Software, Source and Comment, the last in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made
from modelhub.preview.pictures.names import NOVELAI, schedule_name
from modelhub.preview.pictures.reading.tables import inner, table, text


def read_novelai(texts: Mapping[str, str]) -> Generation | None:
    """What NovelAI's chunks say; None if they are of somebody else."""
    told = table(texts.get("Comment"))
    if told is None or not (texts.get("Software") == "NovelAI" or {"uc", "sampler", "scale"} <= set(told)):
        return None
    source = texts.get("Source", "")
    models = (Made("checkpoint", source.strip()),) if source.strip() else ()  # its digits are a hash of nobody else's
    prompt = text(told.get("prompt")) or texts.get("Description", "")
    negative = text(told.get("uc")) or _caption(told, "v4_negative_prompt")
    settings = {key: one for key, one in _settings(told).items() if one is not None}
    notes = (
        ("NovelAI weighs words by { } and [ ], which other programs read otherwise.",)
        if re.search(r"[{\[]", prompt)
        else ()
    )
    return Generation("NovelAI", prompt or _caption(told, "v4_prompt"), negative, settings, models, notes=notes)


def _caption(told: Mapping[str, Any], name: str) -> str:
    return text(inner(inner(told, name), "caption").get("base_caption")) or ""


def _settings(told: Mapping[str, Any]) -> dict[str, str | None]:
    sampler = text(told.get("sampler"))
    width, height = text(told.get("width")), text(told.get("height"))
    schedule = text(told.get("noise_schedule"))
    return {
        "Steps": text(told.get("steps")),
        "Sampler": NOVELAI.get(sampler, sampler) if sampler else None,
        "Schedule type": None if schedule == "native" else schedule_name(schedule),
        "CFG scale": text(told.get("scale")),
        "Seed": text(told.get("seed")),
        "Size": f"{width}x{height}" if width and height else None,
        "CFG rescale": text(told.get("cfg_rescale")) if told.get("cfg_rescale") else None,
        "Version": "NovelAI",
    }
