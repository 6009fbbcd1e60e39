"""NovelAI's pictures: the chunks Title, Description, Software, Source and Comment, the last in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made
from modelhub.preview.pictures.names import NOVELAI, schedule_name
from modelhub.preview.pictures.reading.tables import inner, rows, table, text

_WEIGHS = "NovelAI weighs words by { } and [ ], which other programs read otherwise."
_MOST_CHARACTERS = 50
#: What asks for a change of another picture; old versions write a strength without one as well.
_FROM_PICTURES = ("Img2ImgRequest", "NativeInfillingRequest")


def read_novelai(texts: Mapping[str, str]) -> Generation | None:
    """What NovelAI's chunks say, in WebP a table of the same in JSON; None if they are of somebody else."""
    told = table(texts.get("Comment")) or {}
    if not (texts.get("Software") == "NovelAI" or {"uc", "sampler", "scale"} <= set(told)):
        return None
    source = texts.get("Source", "")
    models = (Made("checkpoint", source.strip()),) if source.strip() else ()  # its digits are a hash of nobody else's
    prompt = text(told.get("prompt")) or _caption(told, "v4_prompt") or texts.get("Description", "")
    negative = text(told.get("uc")) or _caption(told, "v4_negative_prompt")
    settings = {key: one for key, one in _settings(told).items() if one is not None}
    return Generation(
        "NovelAI",
        _with_characters(prompt, told, "v4_prompt"),
        _with_characters(negative, told, "v4_negative_prompt"),
        settings,
        models,
        notes=(_WEIGHS,) if re.search(r"[{\[]", prompt) else (),
    )


def _caption(told: Mapping[str, Any], name: str) -> str:
    return text(inner(inner(told, name), "caption").get("base_caption")) or ""


def _with_characters(prompt: str, told: Mapping[str, Any], name: str) -> str:
    """A prompt and below it those of single characters, which version 4 has apart."""
    listed = rows(inner(inner(told, name), "caption").get("char_captions"))
    found = (text(one.get("char_caption")) for one in islice(listed, _MOST_CHARACTERS))
    return "\n".join(filter(None, (prompt, *found)))


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
        "Denoising strength": text(told.get("strength")) if told.get("request_type") in _FROM_PICTURES else None,
        "SMEA": "DYN" if told.get("sm_dyn") is True else "True" if told.get("sm") is True else None,
        "CFG rescale": text(told.get("cfg_rescale")) if told.get("cfg_rescale") else None,
        "Version": "NovelAI",
    }
