"""Civitai's list of models: filters, pages by cursor, and what it does not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from world.answers import Answer, Asked, said

if TYPE_CHECKING:
    from world.civitai import Civitai

TYPES = [
    "Checkpoint",
    "TextualInversion",
    "Hypernetwork",
    "AestheticGradient",
    "LORA",
    "LoCon",
    "DoRA",
    "Controlnet",
    "Upscaler",
    "MotionModule",
    "VAE",
]
TYPES += ["Poses", "Wildcards", "Workflows", "Detection", "Other"]
BASES = ["SD 1.5", "SD 2.1", "SDXL 1.0", "Pony", "Illustrious", "NoobAI", "Flux.1 D", "Flux.1 S", "Wan Video", "Other"]
ENUMS = {
    "ModelType": TYPES,
    "ModelFileType": ["Model", "Pruned Model", "Text Encoder", "Negative", "Training Data", "VAE", "Config", "Archive"],
    "BaseModel": BASES,
    "BaseModelType": ["Standard", "Inpainting", "Refiner", "Pix2Pix"],
}
_SORTS = {
    "Highest Rated": lambda one: -one["stats"]["thumbsUpCount"],
    "Most Downloaded": lambda one: -one["stats"]["downloadCount"],
    "Newest": lambda one: -one["id"],
}


def search(site: Civitai, asked: Asked) -> Answer:
    """`/api/v1/models`."""
    query = asked.query
    if trouble := _trouble(asked):
        return trouble
    found = [site.model_json(model) for model in site.models]
    found = [one for one in found if _fits(one, asked)]
    found.sort(key=_SORTS[query.get("sort", "Highest Rated")])
    limit = int(query.get("limit", 100))
    start = int(query.get("cursor", 0)) or limit * (int(query.get("page", 1)) - 1)
    return said(
        {"items": found[start : start + limit], "metadata": _after(site, asked, start + limit, len(found), limit)}
    )


def _after(site: Civitai, asked: Asked, after: int, total: int, limit: int) -> dict[str, Any]:
    more = {"pageSize": limit}
    if after >= total:
        return more
    pairs = [(name, value) for name, value in asked.pairs if name not in ("cursor", "page")]
    return {
        **more,
        "nextCursor": str(after),
        "nextPage": f"{site.url}{asked.path}?{urlencode([*pairs, ('cursor', after)])}",
    }


def _trouble(asked: Asked) -> Answer | None:
    query = asked.query
    if not query.get("limit", "1").isdigit() or int(query.get("limit", 1)) > 200:
        return said({"error": "Number must be less than or equal to 200"}, 400)
    if "query" in query and "page" in query:
        return said({"error": "Cannot use page param with query search. Use cursor-based pagination."}, 400)
    if int(query.get("page", 1)) * int(query.get("limit", 100)) > 1000:
        return said({"error": "You've requested too many pages, please use cursors instead"}, 429)
    if query.get("sort", "Newest") not in _SORTS:
        return said({"error": f"Invalid enum value. Expected {' | '.join(_SORTS)}"}, 400)
    wrong = [one for one in _all(asked, "types") if one not in TYPES] + [
        one for one in _all(asked, "baseModels") if one not in BASES
    ]
    return said({"error": f"Invalid enum value, received '{wrong[0]}'"}, 400) if wrong else None


def _all(asked: Asked, name: str) -> list[str]:
    return [value for one, value in asked.pairs if one in (name, f"{name}[]")]


def _fits(model: dict[str, Any], asked: Asked) -> bool:
    query, bases = asked.query, {one["baseModel"] for one in model["modelVersions"]}
    words = f"{model['name']} {' '.join(model['tags'])} {model['creator']['username']}".lower()
    return (
        (query.get("nsfw") == "true" or not model["nsfw"])
        and ("ids" not in query or str(model["id"]) in ",".join(_all(asked, "ids")).split(","))
        and all(word in words for word in query.get("query", "").lower().split())
        and ("tag" not in query or query["tag"] in model["tags"])
        and ("username" not in query or query["username"] == model["creator"]["username"])
        and ("types" not in str(asked.pairs) or model["type"] in _all(asked, "types"))
        and (not _all(asked, "baseModels") or bool(bases & set(_all(asked, "baseModels"))))
    )
