"""InvokeAI's pictures: `invokeai_metadata` since version 3, `sd-metadata` and `Dream` before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.names import INVOKE
from modelhub.preview.pictures.reading.tables import inner, rows, table, text

_PARTS = {
    "model": "checkpoint", "vae": "vae", "refiner_model": "refiner", "t5_encoder": "text-encoder",
    "clip_embed_model": "text-encoder", "clip_l_embed_model": "text-encoder", "clip_g_embed_model": "text-encoder",
}  # fmt: skip
#: Lists of what guides a picture, and the model in each entry.
_GUIDES = {"controlnets": "control_model", "ipAdapters": "ip_adapter_model", "t2iAdapters": "t2i_adapter_model"}
_DREAM = re.compile(r'\s*"(?P<prompt>(?:\\.|[^"\\])*)"(?P<options>(?:\s+-\S+(?:\s+[^-\s]\S*)?)*)\s*', re.DOTALL)
#: The options of the command line in the first versions.
_LETTERS = {"s": "steps", "A": "scheduler", "C": "cfg_scale", "S": "seed", "W": "width", "H": "height"}
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
    skip = number(told.get("clip_skip"))
    settings = _settings(told) | {
        "Distilled CFG Scale": text(told.get("guidance")),
        "Denoising strength": text(told.get("strength")),
        "Clip skip": str(int(skip) + 1) if skip and 0 < skip < 12 else None,
        "RNG": {"cpu": "CPU", "cuda": "NV"}.get(str(told.get("rand_device"))),
        "CFG rescale": text(told.get("cfg_rescale_multiplier")) if told.get("cfg_rescale_multiplier") else None,
        "Refiner switch at": text(told.get("refiner_start")) if inner(told, "refiner_model") else None,
        "Tiling": "True" if told.get("seamless_x") or told.get("seamless_y") else None,
        "Style prompt": text(told.get("positive_style_prompt")),
        "Negative style prompt": text(told.get("negative_style_prompt")),
    }
    version = text(told.get("app_version"))
    return Generation(
        f"InvokeAI {version}" if version else "InvokeAI",
        text(told.get("positive_prompt")) or "",
        text(told.get("negative_prompt")) or "",
        _told(settings),
        tuple(_models(told)),
    )


def _settings(said: Mapping[str, Any]) -> dict[str, str | None]:
    """Those that all versions have, by the names of version 3."""
    sampler, schedule = _scheduler(text(said.get("scheduler")))
    width, height = text(said.get("width")), text(said.get("height"))
    return {
        "Steps": text(said.get("steps")),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": text(said.get("cfg_scale")),
        "Seed": text(said.get("seed")),
        "Size": f"{width}x{height}" if width and height else None,
    }


def _told(settings: Mapping[str, str | None]) -> dict[str, str]:
    """Those settings that are there, and who says so."""
    return {key: one for key, one in settings.items() if one is not None} | {"Version": "InvokeAI"}


def _models(told: Mapping[str, Any]) -> Iterator[Made]:
    for key, role in _PARTS.items():
        if inner(told, key):
            yield _model(inner(told, key), role)
    for one in list(rows(told.get("loras")))[:100]:
        found = _model(inner(one, "model") or inner(one, "lora"), "lora")
        yield Made("lora", found.name, found.hash, number(one.get("weight")))
    for key, name in _GUIDES.items():
        for one in list(rows(told.get(key)))[:20]:
            yield _model(inner(one, name), "controlnet")


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
    name, digest = text(told.get("model_weights")), digits(told.get("model_hash"))
    version = text(told.get("app_version"))
    return Generation(
        f"InvokeAI {version}" if version else "InvokeAI",
        prompt,
        negative,
        _told(_settings({**image, "scheduler": image.get("sampler")})),
        (Made("checkpoint", name, digest),) if name or digest else (),
    )


def _dream(match: re.Match[str]) -> Generation:
    """The command line of the first versions."""
    said = dict(re.findall(r"(?<!\S)-([A-Za-z])\s*([^-\s]\S*)", match["options"]))
    said.setdefault("A", said.get("m"))
    prompt, negative = _brackets(match["prompt"].replace('\\"', '"'))
    settings = _settings({name: said.get(letter) for letter, name in _LETTERS.items()})
    return Generation("InvokeAI", prompt, negative, _told(settings))


def _brackets(said: str) -> tuple[str, str]:
    """In old versions the negative prompt stands in brackets inside the prompt."""
    return " ".join(_BRACKETS.sub("", said).split()), ", ".join(
        one.strip() for one in _BRACKETS.findall(said) if one.strip()
    )


def _scheduler(name: str | None) -> tuple[str | None, str | None]:
    return INVOKE.get(name, (name, None)) if name else (None, None)
