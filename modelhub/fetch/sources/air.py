"""AIR and its short forms: models by number, `urn:air:sdxl:checkpoint:civitai:1@2+3.safetensor` or `civitai:1@2`."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from modelhub.errors import UsageError
from modelhub.fetch.net.redact import redacted
from modelhub.fetch.sources.hub_urls import is_repo, sane_path
from modelhub.fetch.sources.source import CivitaiSource, HuggingFaceSource
from modelhub.formats.sidecars import values
from modelhub.text import brief

#: What a link to a download may say of the file, as Civitai spells it.
WISHES = {name.lower(): name for name in ("type", "format", "size", "fp", "quantType")}
_PREFIX = re.compile(r"(?:urn:)?(?:air:)?", re.IGNORECASE)
_AIR = re.compile(r"(?P<ecosystem>[\w.-]+):(?P<type>[\w.-]+):(?P<source>[\w-]+):(?P<id>.+)", re.DOTALL)
_SOURCES = ("civitai", "civitai-r2", "huggingface", "orchestrator")
_NUMBERS = re.compile(r"(\d*)(?:@(\d+))?(?:\+(\d+))?(?:\.([A-Za-z][\w -]*))?(?:\?(.*))?", re.DOTALL)
_REPOSITORY = re.compile(r"(?P<repo>[^@+:]+?)(?:@(?P<revision>[^+]+))?(?:\+(?P<path>.+))?", re.DOTALL)


def read_air(text: str) -> CivitaiSource | HuggingFaceSource | None:
    """What an AIR or `civitai:…` names; None for text of another form. Raises UsageError for one that is wrong."""
    if text[:8].lower() == "civitai:":
        return _of_numbers(text[8:], text)
    is_marked = text[:4].lower() in ("urn:", "air:")
    found = _AIR.fullmatch(text[_PREFIX.match(text).end() :])  # type: ignore[union-attr]
    if found is None or (not is_marked and found["source"].lower() not in _SOURCES):
        if is_marked:
            raise _wrong(text)
        return None
    return _of_source(found["source"].lower(), found["id"], text)


def wish_of(query: str) -> tuple[tuple[str, str], ...]:
    """What the query of a download link says of the file, in Civitai's spelling and a fixed order."""
    try:
        said = {name.lower(): value.strip() for name, value in parse_qsl(query, max_num_fields=50)}
    except ValueError:
        raise UsageError(f"The address has too many fields behind its question mark: {brief(query)}") from None
    return tuple((name, said[key]) for key, name in WISHES.items() if said.get(key))


def _of_source(source: str, name: str, text: str) -> CivitaiSource | HuggingFaceSource:
    if source == "civitai":
        return _of_numbers(name, text)
    if source == "huggingface":
        return _of_repository(name, text)
    raise UsageError(
        f"{brief(text)} names a model of {brief(source)}, which cannot be downloaded from.",
        "Use the AIR of a model on Civitai or Hugging Face.",
    )


def _of_numbers(name: str, text: str) -> CivitaiSource:
    found = _NUMBERS.fullmatch(name)
    numbers = [values.identifier(digits) for digits in found.groups()[:3]] if found else []
    if found is None or any(one is None and digits for one, digits in zip(numbers, found.groups(), strict=False)):
        raise _wrong(text)
    model, version, file = numbers
    if not model and not version:
        raise _wrong(text)
    form = f"format={found[4]}&" if found[4] else ""
    return CivitaiSource(model, version, file, wish_of(form + (found[5] or "")))


def _of_repository(name: str, text: str) -> HuggingFaceSource:
    found = _REPOSITORY.fullmatch(name)
    if found is None or not is_repo(found["repo"]):
        raise _wrong(text)
    revision, path = (unquote(found[key]) if found[key] else None for key in ("revision", "path"))
    if path and "/" not in found["repo"]:
        revision = revision or "main"  # no address of a file in it could do without
    return HuggingFaceSource(found["repo"], revision, sane_path(path or "", text))


def _wrong(text: str) -> UsageError:
    hint = "It reads urn:air:sdxl:checkpoint:civitai:MODEL@VERSION, or in short civitai:MODEL@VERSION, in numbers."
    return UsageError(f"{brief(redacted(text))} is no AIR.", hint)
