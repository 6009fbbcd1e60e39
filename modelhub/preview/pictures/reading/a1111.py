"""A1111's infotext, which Forge, SD.Next, Fooocus, Civitai, savers of ComfyUI and modelhub itself write as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from modelhub.preview.pictures.generation import Generation, Made, digits, number
from modelhub.preview.pictures.infotext import parse_infotext, read_pairs
from modelhub.preview.pictures.reading.civitai import resources
from modelhub.preview.pictures.reading.tables import strings, table

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]+)((?::[^<>:]*)*)>", re.IGNORECASE)
_TITLE = re.compile(r"(?P<name>.*)[\[(](?P<hash>[0-9a-fA-F]{8,64})[\])]", re.DOTALL)
_CONTROL = re.compile(r"Model:\s*([^,]+)")
_USED = re.compile(r"([^\[\]]+)\[[0-9a-f]{4}\]")
#: Upscalers that need no file.
_BUILT_IN = frozenset({"None", "Lanczos", "Nearest", "Latent"})
_MOST_TAGS, _MOST_MODELS = 200, 500


def read_a1111(text: str) -> Generation:
    """What an infotext says; whatever is no infotext is a prompt."""
    found = parse_infotext(text)
    settings = found.settings
    models = [*dict.fromkeys(islice(_models(found.prompt, settings), _MOST_MODELS))]
    return Generation(
        software=software_of(settings),
        prompt=found.prompt,
        negative=found.negative,
        settings=settings,
        models=tuple(resources(settings.get("Civitai resources"), models)),
        infotext=text,
    )


def with_changes(generation: Generation, said: str) -> Generation:
    """With what A1111's tab "Extras" did to the finished picture, which it writes beside the infotext."""
    changes = {key: value for key, value in read_pairs(said).items() if key.startswith("Postprocess")}
    names = (changes[key] for key in ("Postprocess upscaler", "Postprocess upscaler 2") if key in changes)
    upscalers = [Made("upscaler", name) for name in names if name not in _BUILT_IN]
    if not changes:
        return generation
    models = tuple(dict.fromkeys([*generation.models, *upscalers]))
    return replace(generation, settings={**generation.settings, **changes}, models=models)


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
    yield from _denoisers(settings, hashes)
    name, digest = settings.get("VAE"), digits(settings.get("VAE hash")) or hashes.get("vae")
    if name not in (None, "None", "Automatic") or digest:
        yield Made("vae", None if name in ("None", "Automatic") else name, digest)
    yield from (Made("other", value) for key, value in settings.items() if _is_module(key, value))
    yield from _loras(prompt, hashes, settings.get("Lora weights", ""))
    yield from _added(settings)
    yield from _embeddings(settings, hashes)
    upscaler = settings.get("Hires upscaler", "")
    if upscaler and upscaler not in _BUILT_IN and not upscaler.startswith("Latent ("):
        yield Made("upscaler", upscaler)
    yield from _helpers(settings)


def _denoisers(settings: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[Made]:
    """The checkpoint, by the longer of its hashes (eight digits are of many files), and those that take over."""
    told = digits(settings.get("Model hash")), hashes.get("model")
    name, digest = settings.get("Model"), max(filter(None, told), key=len, default=None)
    if name or digest:
        yield Made("merge" if "Merge recipe" in settings and not digest else "checkpoint", name, digest)
    if settings.get("Refiner"):
        yield _titled("refiner", settings["Refiner"])
    if settings.get("Hires checkpoint"):
        yield _titled("checkpoint", settings["Hires checkpoint"])


def _helpers(settings: Mapping[str, str]) -> Iterator[Made]:
    """ControlNets, and what ADetailer finds faces and hands with."""
    for key, value in settings.items():
        model = _CONTROL.search(value) if re.match(r"ControlNet( \d+)?$", key) else None
        if model is not None and model[1].strip() != "None":
            yield _titled("controlnet", model[1].strip())
        elif re.fullmatch(r"ADetailer model( \w+)?", key):
            yield Made("other", value)


def _is_module(key: str, value: str) -> bool:
    """Whether a setting names a VAE or text encoder of Forge, where one is chosen."""
    return re.fullmatch(r"(Hires )?Module \d{1,2}", key) is not None and not value.startswith(("Use same", "Built in"))


def _titled(role: str, title: str) -> Made:
    """`name [hash]`, as A1111 shows models in lists."""
    match = _TITLE.fullmatch(title.strip())
    return Made(role, match["name"].strip(), match["hash"].lower()) if match else Made(role, title)


def _hashes(settings: Mapping[str, str]) -> dict[str, str]:
    """Hashes by what they are of: `model`, `vae`, `lora:NAME`, `embed:NAME`."""
    said = strings(table(settings.get("Hashes")) or {})
    found = {name: digest for name, one in said.items() if (digest := digits(one))}
    for key, kind in (("Lora hashes", "lora"), ("TI hashes", "embed")):
        for name, one in _listed(settings.get(key, "")):
            if digest := digits(one):
                found[f"{kind}:{name}"] = digest
    return found


def _listed(said: str) -> Iterator[tuple[str, str]]:
    """The pairs of a list `name: value, name: value`."""
    for one in said.split(","):
        name, _, value = one.rpartition(":")
        if name.strip():
            yield name.strip(), value.strip()


def _loras(prompt: str, hashes: Mapping[str, str], fooocus: str) -> Iterator[Made]:
    """The LoRAs and hypernetworks that the prompt names, and further ones that lists of hashes and weights name.

    `fooocus` is its list of weights, of which its prompts say nothing.
    """
    known: set[str] = set()
    for made in tagged(prompt):
        names = _spellings(made.name or "")
        known.update(names)
        yield replace(made, hash=next((hashes[key] for name in names if (key := f"lora:{name}") in hashes), None))
    listed = {key.removeprefix("lora:"): digest for key, digest in hashes.items() if key.startswith("lora:")}
    weights = dict(_listed(fooocus))
    for name in dict.fromkeys([*listed, *weights]):
        if name not in known:
            yield Made("lora", name, listed.get(name), number(weights.get(name)))


def tagged(prompt: str) -> Iterator[Made]:
    """The LoRAs and hypernetworks that tags in a prompt name, `<lora:NAME:WEIGHT>`; each once."""
    seen: set[str] = set()
    for kind, name, rest in _TAG.findall(prompt)[:_MOST_TAGS]:
        if (name := name.strip()) not in seen:
            seen.add(name)
            yield _weighed("hypernetwork" if kind.lower() == "hypernet" else "lora", name, rest)


def _spellings(name: str) -> tuple[str, ...]:
    """How lists of hashes may spell the name in a tag: as it is, without what parts the list, without folders."""
    bare = name.replace(":", "").replace(",", "")
    return name, bare, bare.replace("\\", "/").rpartition("/")[2]


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
        if title and not title.startswith("None"):
            unet, te = (number(settings.get(f"AddNet Weight {part} {at}")) for part in "AB")
            yield replace(_titled("lora", title), weight=unet, text_weight=None if te == unet else te)


def _embeddings(settings: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[Made]:
    for key, digest in hashes.items():
        kind, _, name = key.partition(":")
        if kind == "embed":
            yield Made("embedding", name, digest)
    for one in settings.get("Used embeddings", "").split(","):
        match = _USED.fullmatch(one.strip())
        if match and f"embed:{match[1].strip()}" not in hashes:
            yield Made("embedding", match[1].strip())  # its four digits are a checksum of the vector, and of no file
