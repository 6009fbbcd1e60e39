"""An offer out of Civitai's JSON: one version, with all that is said of its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhub.catalog.base_models import architecture_of, kind_of
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.files import files_of
from modelhub.fetch.civitai.trouble import trouble_of
from modelhub.fetch.offer import Offer, Picture, Version
from modelhub.fetch.sources.source import CivitaiSource
from modelhub.formats.sidecars import SidecarFacts, values
from modelhub.formats.sidecars.civitai import page, version_facts
from modelhub.formats.sidecars.facts import says
from modelhub.text import brief

_ABOUT_MODEL = (
    "name", "type", "description", "nsfw", "nsfwLevel", "poi", "mode", "tags", "creator", "allowNoCredit",
    "allowCommercialUse", "allowDerivatives", "allowDifferentLicense",
)  # fmt: skip
#: How adult a picture is, in the words of old answers.
_LEVELS = {"none": 1, "soft": 2, "mature": 4, "x": 8}
_ADULT = 32
_PICTURES, _VERSIONS = 100, 500
#: Types of files that are a model without the rest of a checkpoint.
_BARE = frozenset({"unet", "diffusion model"})


def offer_of(version: Table, model: Table | None = None) -> Offer:
    """What `version`, an answer for one, offers; `model` is the answer for its model, with what that one lacks."""
    model = model or {}
    raw = joined(version, model)
    what = describe(raw)
    model_id, version_id = values.identifier(raw, "modelId"), values.identifier(raw, "id")
    base_model = values.clear_text(raw, "baseModel")
    return Offer(
        source=CivitaiSource(model_id, version_id).address,
        address=CivitaiSource(model_id, version_id).address,
        provider="civitai",
        title=values.text(raw, "model", "name") or f"model {model_id or 'without a number'}",
        version=values.text(raw, "name") or "",
        page=page(model_id, version_id),
        kind=_kind(raw),
        architecture=architecture_of(base_model, values.text(raw, "baseModelType")),
        files=files_of(raw),
        facts=facts_of(raw),
        raw=raw,
        pictures=_pictures(raw.get("images")),
        versions=versions_of(model, model_id),
        trouble=trouble_of(raw, values.at(raw, "model"), what),
    )


def joined(version: Table, model: Table) -> Table:
    """The version's table with what is known of its model below `model`, as sidecars have it."""
    own = values.at(version, "model")
    about = {name: model[name] for name in _ABOUT_MODEL if name in model}
    found = {**version, "model": {**(own if isinstance(own, dict) else {}), **about}}
    number = values.identifier(version, "modelId") or values.identifier(model, "id")
    if number is not None:
        found["modelId"] = number
    if "creator" in about:
        found["creator"] = about["creator"]
    return found


def facts_of(raw: Table) -> SidecarFacts:
    """What a joined table says of the model; no hashes, for those are of one file."""
    said = {name: value for name, value in version_facts(raw, Path("model")).items() if says(value)}
    return SidecarFacts(**{**said, "hashes": {}})


def describe(raw: Mapping[str, Any]) -> str:
    """`version "v2" of "A model" (civitai:1@2)`, for messages."""
    model, name = values.text(raw, "model", "name"), values.text(raw, "name")
    address = CivitaiSource(values.identifier(raw, "modelId"), values.identifier(raw, "id")).address
    told = f'version "{brief(name)}"' if name else "a version"
    return f'{told} of "{brief(model)}" ({address})' if model else f"{told} ({address})"


def versions_of(model: Table, model_id: int | None = None) -> tuple[Version, ...]:
    """All versions of a model, in Civitai's order: newest first."""
    number = values.identifier(model, "id") or model_id
    listed = [joined(one, {**model, "id": number}) for one in values.tables(model.get("modelVersions"), _VERSIONS)]
    return tuple(_version(one) for one in listed if values.identifier(one, "id"))


def _version(raw: Table) -> Version:
    return Version(
        address=CivitaiSource(values.identifier(raw, "modelId"), values.identifier(raw, "id")).address,
        name=values.text(raw, "name") or "",
        base_model=values.clear_text(raw, "baseModel"),
        published=values.text(raw, "publishedAt") or values.text(raw, "createdAt"),
        files=files_of(raw),
        trouble=trouble_of(raw, values.at(raw, "model"), describe(raw)),
    )


def _kind(raw: Table) -> str | None:
    """The kind by the model's type; a checkpoint of which there is only the denoiser is a diffusion model."""
    kind = kind_of(values.text(raw, "model", "type"))
    weights = [one for one in values.tables(raw.get("files")) if _type(one) in _BARE | {"model", "pruned model"}]
    bare = bool(weights) and all(_type(one) in _BARE for one in weights)
    return "diffusion-model" if kind == "checkpoint" and bare else kind


def _type(raw: Table) -> str:
    return (values.text(raw, "type") or "Model").lower()


def _pictures(images: Any) -> tuple[Picture, ...]:
    shown = [one for one in values.tables(images, _PICTURES) if (values.text(one, "type") or "image") == "image"]
    found = [(values.web_address(one, "url"), one) for one in shown]
    return tuple(Picture(url, _level(one)) for url, one in found if url)


def _level(raw: Table) -> int:
    """How adult a picture is; as much as can be where that is not told, or told in no known way."""
    level = raw.get("nsfwLevel", raw.get("nsfw"))
    if isinstance(level, str):
        return _LEVELS.get(level.lower(), _ADULT)
    known = isinstance(level, int) and not isinstance(level, bool) and 0 < level < 2 * _ADULT
    return int(level) if known else 1 if level is False else _ADULT  # type: ignore[arg-type]
