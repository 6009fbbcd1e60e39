"""InvokeAI's pictures: `invokeai_metadata` since version 3, `sd-metadata` and `Dream` before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.names import INVOKE
from modelhub.preview.pictures.reading.tables import inner, rows, table, text

_PARTS = {"model": "checkpoint", "vae": "vae", "refiner_model": "refiner", "t5_encoder": "text-encoder"}
_DREAM = re.compile(r'\s*"(?P<prompt>(?:\\.|[^"\\])*)"(?P<options>(?:\s+-\S+(?:\s+[^-\s]\S*)?)*)\s*', re.DOTALL)
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def read_invokeai(texts: Mapping[str, str]) -> Generation | None:
    """What InvokeAI's chunks say; None if there are none."""
    told = table(texts.get("invokeai_metadata"))
    if told is not None:
        return _newer(told)
    told = table(texts.get("sd-metadata"))
    if told is not None and isinstance(told.get("image"), dict):
        return _older(told)
    match = _DREAM.fullmatch(texts.get("Dream", "")[:20_000])
    return _dream(match) if match else None


def _newer(told: Mapping[str, Any]) -> Generation:
    sampler, schedule = _scheduler(text(told.get("scheduler")))
    width, height = text(told.get("width")), text(told.get("height"))
    skip = number(told.get("clip_skip"))
    settings = {
        "Steps": text(told.get("steps")),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": text(told.get("cfg_scale")),
        "Distilled CFG Scale": text(told.get("guidance")),
        "Seed": text(told.get("seed")),
        "Size": f"{width}x{height}" if width and height else None,
        "Denoising strength": text(told.get("strength")),
        "Clip skip": str(int(skip) + 1) if skip and 0 < skip < 12 else None,
        "RNG": {"cpu": "CPU", "cuda": "NV"}.get(str(told.get("rand_device"))),
    }
    version = text(told.get("app_version"))
    return Generation(
        f"InvokeAI {version}" if version else "InvokeAI",
        text(told.get("positive_prompt")) or "",
        text(told.get("negative_prompt")) or "",
        {key: one for key, one in settings.items() if one is not None} | {"Version": "InvokeAI"},
        tuple(_models(told)),
    )


def _models(told: Mapping[str, Any]) -> Iterator[Made]:
    for key, role in (
        ("model", "checkpoint"),
        ("vae", "vae"),
        ("refiner_model", "refiner"),
        ("t5_encoder", "text-encoder"),
    ):
        if inner(told, key):
            yield _model(inner(told, key), role)
    for one in list(rows(told.get("loras")))[:100]:
        found = _model(inner(one, "model") or inner(one, "lora"), "lora")
        yield Made("lora", found.name, found.hash, number(one.get("weight")))
    for one in list(rows(told.get("controlnets")))[:20]:
        yield _model(inner(one, "control_model"), "controlnet")


def _model(told: Mapping[str, Any], role: str) -> Made:
    """A model as InvokeAI keeps it: its BLAKE3 is that of the file, for folders of another kind."""
    said = text(told.get("hash")) or ""
    name = text(told.get("name")) or text(told.get("model_name")) or text(told.get("key"))
    return Made(role, name, digits(said) if said.startswith("blake3") else None)


def _older(told: Mapping[str, Any]) -> Generation:
    image = inner(told, "image")
    prompts = image.get("prompt")
    said = (
        prompts
        if isinstance(prompts, str)
        else ", ".join(filter(None, (text(one.get("prompt")) for one in rows(prompts))))
    )
    prompt, negative = _brackets(said)
    sampler, schedule = _scheduler(text(image.get("sampler")))
    width, height = text(image.get("width")), text(image.get("height"))
    settings = {
        "Steps": text(image.get("steps")),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": text(image.get("cfg_scale")),
        "Seed": text(image.get("seed")),
        "Size": f"{width}x{height}" if width and height else None,
    }
    name, digest = text(told.get("model_weights")), digits(told.get("model_hash"))
    version = text(told.get("app_version"))
    return Generation(
        f"InvokeAI {version}" if version else "InvokeAI",
        prompt,
        negative,
        {key: one for key, one in settings.items() if one is not None} | {"Version": "InvokeAI"},
        (Made("checkpoint", name, digest),) if name or digest else (),
    )


def _dream(match: re.Match[str]) -> Generation:
    """The command line of the first versions."""
    said = dict(re.findall(r"-([A-Za-z])\s+([^-\s]\S*)", match["options"]))
    prompt, negative = _brackets(match["prompt"].replace('\\"', '"'))
    sampler, schedule = _scheduler(said.get("A"))
    settings = {
        "Steps": said.get("s"),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": said.get("C"),
        "Seed": said.get("S"),
        "Size": f"{said['W']}x{said['H']}" if {"W", "H"} <= set(said) else None,
    }
    return Generation("InvokeAI", prompt, negative, {key: one for key, one in settings.items() if one is not None})


def _brackets(said: str) -> tuple[str, str]:
    """In old versions the negative prompt stands in brackets inside the prompt."""
    return " ".join(_BRACKETS.sub("", said).split()), ", ".join(
        one.strip() for one in _BRACKETS.findall(said) if one.strip()
    )


def _scheduler(name: str | None) -> tuple[str | None, str | None]:
    return INVOKE.get(name, (name, None)) if name else (None, None)
