"""A1111's infotext, which Forge, SD.Next, Fooocus, Civitai, savers of ComfyUI and modelhub itself write as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.infotext import parse_infotext
from modelhub.preview.pictures.reading.civitai import resources
from modelhub.preview.pictures.reading.tables import strings, table

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]+)((?::[^<>:]*)*)>", re.IGNORECASE)
_TITLE = re.compile(r"(?P<name>.*?)\s*[\[(](?P<hash>[0-9a-fA-F]{8,64})[\])]\s*", re.DOTALL)
_HASH_PAIR = re.compile(r"\s*([^:,]+):\s*([0-9a-fA-Fx]{4,66})\s*(?:,|$)")
_CONTROL = re.compile(r"Model:\s*([^,]+)")
_USED = re.compile(r"\s*([^,\[\]]+?)\s*\[([0-9a-f]{4})\]\s*(?:,|$)")
#: Upscalers that need no file.
_BUILT_IN = frozenset({"None", "Lanczos", "Nearest", "Latent"})
_MOST_TAGS, _MOST_MODELS = 200, 500


def read_a1111(text: str) -> Generation:
    """What an infotext says; whatever is no infotext is a prompt."""
    found = parse_infotext(text)
    settings = found.settings
    models = list(islice(_models(found.prompt, settings), _MOST_MODELS))
    return Generation(
        software=software_of(settings),
        prompt=found.prompt,
        negative=found.negative,
        settings=settings,
        models=tuple(resources(settings.get("Civitai resources"), models)),
        infotext=text,
    )


def software_of(settings: Mapping[str, str]) -> str:
    """Who wrote an infotext, by its version; "" if it has none that tells."""
    version = settings.get("Version", "").strip()
    if settings.get("App"):
        return settings["App"]
    if version.startswith("modelhub"):
        return version
    if re.match(r"v\d+\.\d", version):
        return f"AUTOMATIC1111 {version}"
    if re.match(r"(f\d+\.\d|forge|neo)", version, re.IGNORECASE):
        return f"Forge {version}"
    if version and not version[0].isdigit():
        return version
    return "Civitai" if "Civitai resources" in settings else ""


def _models(prompt: str, settings: Mapping[str, str]) -> Iterator[Made]:
    hashes = _hashes(settings)
    name, digest = settings.get("Model"), digits(settings.get("Model hash")) or hashes.get("model")
    if name or digest:
        yield Made("merge" if "Merge recipe" in settings and not digest else "checkpoint", name, digest)
    if settings.get("Refiner"):
        yield _titled("refiner", settings["Refiner"])
    if settings.get("Hires checkpoint"):
        yield _titled("checkpoint", settings["Hires checkpoint"])
    name, digest = settings.get("VAE"), digits(settings.get("VAE hash")) or hashes.get("vae")
    if name not in (None, "None", "Automatic") or digest:
        yield Made("vae", None if name in ("None", "Automatic") else name, digest)
    yield from (Made("other", value) for key, value in settings.items() if re.fullmatch(r"Module \d{1,2}", key))
    yield from _loras(prompt, hashes)
    yield from _added(settings)
    yield from _embeddings(settings, hashes)
    upscaler = settings.get("Hires upscaler", "")
    if upscaler and upscaler not in _BUILT_IN and not upscaler.startswith("Latent ("):
        yield Made("upscaler", upscaler)
    for key, value in settings.items():
        model = _CONTROL.search(value) if re.match(r"ControlNet( \d+)?$", key) else None
        if model is not None and model[1].strip() != "None":
            yield _titled("controlnet", model[1].strip())
        elif re.fullmatch(r"ADetailer model( \w+)?", key):
            yield Made("other", value)


def _titled(role: str, title: str) -> Made:
    """`name [hash]`, as A1111 shows models in lists."""
    match = _TITLE.fullmatch(title)
    return Made(role, match["name"].strip(), match["hash"].lower()) if match else Made(role, title)


def _hashes(settings: Mapping[str, str]) -> dict[str, str]:
    """Hashes by what they are of: `model`, `vae`, `lora:NAME`, `embed:NAME`."""
    said = strings(table(settings.get("Hashes")) or {})
    found = {name: digest for name, one in said.items() if (digest := digits(one))}
    for key, kind in (("Lora hashes", "lora"), ("TI hashes", "embed")):
        for name, one in _HASH_PAIR.findall(settings.get(key, "")):
            if digest := digits(one):
                found[f"{kind}:{name.strip()}"] = digest
    return found


def _loras(prompt: str, hashes: Mapping[str, str]) -> Iterator[Made]:
    """The LoRAs and hypernetworks that the prompt names, and further ones whose hashes are told."""
    named: dict[str, Made] = {}
    for kind, name, rest in _TAG.findall(prompt)[:_MOST_TAGS]:
        role = "hypernetwork" if kind.lower() == "hypernet" else "lora"
        digest = hashes.get(f"lora:{name}") or hashes.get(f"lora:{_marked(name)}")
        named.setdefault(name.strip(), replace(_weighed(role, name.strip(), rest), hash=digest))
    yield from named.values()
    known = {*named, *map(_marked, named)}
    for key, digest in hashes.items():
        kind, _, name = key.partition(":")
        if kind == "lora" and name not in known:
            yield Made("lora", name, digest)


def _marked(name: str) -> str:
    """The name of a LoRA as the list of hashes has it."""
    return name.replace(":", "").replace(",", "")


def _weighed(role: str, name: str, rest: str) -> Made:
    """The strengths behind the name in a tag: of the text encoders, then of the denoiser; or by name."""
    said: dict[str, float] = {}
    places = iter(("te", "unet"))
    for word in rest.split(":")[1:]:
        key, sign, text = word.strip().rpartition("=")
        key = key.strip().lower() if sign else next(places, "")
        if key in ("te", "unet") and (weight := number(text)) is not None:
            said[key] = weight
    te = said.get("te", 1.0)
    unet = said.get("unet", te)
    return Made(role, name, weight=unet, text_weight=None if te == unet else te)


def _added(settings: Mapping[str, str]) -> Iterator[Made]:
    """LoRAs of the extension "Additional Networks", which came before A1111's own."""
    for at in range(1, 10):
        title = settings.get(f"AddNet Model {at}")
        if title and title != "None":
            unet, te = (number(settings.get(f"AddNet Weight {part} {at}")) for part in "AB")
            yield replace(_titled("lora", title), weight=unet, text_weight=None if te == unet else te)


def _embeddings(settings: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[Made]:
    for key, digest in hashes.items():
        kind, _, name = key.partition(":")
        if kind == "embed":
            yield Made("embedding", name, digest)
    for name, _ in _USED.findall(settings.get("Used embeddings", "")):
        if f"embed:{name}" not in hashes:
            yield Made("embedding", name)  # its four digits are a checksum of the vector, and of no file
