"""Search: models on Hugging Face by words, author, tags, kind and architecture.

Asked through `Net`, as the library would wait without end and follow a link to the next page wherever it leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from modelhub.errors import ProviderError
from modelhub.fetch import refusals
from modelhub.fetch.huggingface import facts
from modelhub.fetch.net import Net, Refused, endpoints
from modelhub.fetch.net.bodies import BODY, json_of, whole
from modelhub.fetch.net.trouble import failures, trouble_of
from modelhub.fetch.search.hits import Found, Search
from modelhub.fetch.sources.source import HuggingFaceSource
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job
from modelhub.text import brief

_PROVIDER = "huggingface"
_SORTS = {"downloads": "downloads", "likes": "likes", "newest": "createdAt"}
_WANTED = (
    "author", "cardData", "createdAt", "disabled", "downloads", "gated", "lastModified", "library_name", "likes",
    "pipeline_tag", "tags",
)  # fmt: skip
#: Tags that the hub can search by for a kind.
_FILTERS = {
    "lora": "lora", "controlnet": "controlnet", "checkpoint": "diffusers", "t2i-adapter": "t2i-adapter",
    "ip-adapter": "ip-adapter", "embedding": "textual_inversion", "vae": "vae", "upscaler": "upscaler",
}  # fmt: skip
#: What models of pictures and films are for, and the libraries they are made with.
_TASKS = frozenset({
    "text-to-image", "image-to-image", "text-to-video", "image-to-video", "video-to-video", "inpainting",
    "unconditional-image-generation", "image-text-to-image", "image-text-to-video", "text-to-audio",
})  # fmt: skip
_LIBRARIES = frozenset({"diffusers", "diffusion-single-file", "comfyui", "lora", "controlnet", "stable-diffusion"})
#: Pages that are read at most where few models of a page are wanted, and models of one.
_PAGES, _MOST = 5, 100


def search(wanted: Search, net: Net, job: Job = QUIET) -> list[Found]:
    """The models that fit, at most `wanted.limit`; those of other worlds (texts, speech) are left out.

    Raises UnreachableError, RateLimitedError and other ProviderErrors.
    """
    found: list[Found] = []
    known, cursor = net.token(_PROVIDER, job) is not None, wanted.cursor
    for _ in range(_PAGES):
        items, cursor = _page(wanted, cursor, net, job)
        for item in items:
            found += _found(item, wanted, known)
        if cursor is None or len(found) >= wanted.limit:
            break
    return list(_with_cursor(found[: wanted.limit], cursor if len(found) <= wanted.limit else None))


def _with_cursor(found: list[Found], cursor: str | None) -> Iterator[Found]:
    from dataclasses import replace

    yield from found[:-1]
    if found:
        yield replace(found[-1], cursor=cursor)


def _page(wanted: Search, cursor: str | None, net: Net, job: Job) -> tuple[list[Any], str | None]:
    """The hits of one page, and where the next begins."""
    url = f"{endpoints.hugging_face()}/api/models?{urlencode(_query(wanted, cursor))}"
    try:
        with net.open(url, provider=_PROVIDER, job=job) as response:
            following = response.links.get("next", {}).get("url", "")
            items = json_of(whole(response, BODY))
    except Refused as refused:
        raise refusals.explained(refused, _PROVIDER, f"models for {brief(wanted.text)}") from None
    except failures() as error:
        raise trouble_of(error, url).error from None
    if not isinstance(items, list):
        raise ProviderError("Hugging Face answered a search with no list.", "Is HF_ENDPOINT right?")
    return items, _cursor(following)


def _cursor(link: str) -> str | None:
    """What the link to the next page goes on by; the link itself is not followed."""
    try:
        return parse_qs(urlsplit(link).query).get("cursor", [None])[0]
    except ValueError:
        return None


def _query(wanted: Search, cursor: str | None) -> list[tuple[str, Any]]:
    filters = [one for one in (_FILTERS.get(wanted.kind or ""), wanted.tag) if one]
    pairs = {
        "search": wanted.text.strip() or None,
        "author": wanted.creator,
        "sort": _SORTS.get(wanted.sort),
        "limit": min(max(wanted.limit, 1), _MOST),
        "cursor": cursor,
    }
    plain = [(name, value) for name, value in pairs.items() if value is not None]
    return [*plain, *(("filter", one) for one in filters), *(("expand", one) for one in _WANTED)]


def _found(item: Any, wanted: Search, known: bool) -> list[Found]:
    """The hit, if it is one of those wanted; `known`: there is a token."""
    name = values.text(item, "id")
    if name is None or not _is_ours(item):
        return []
    tags = values.listed(item, "tags")
    card = values.at(item, "cardData")
    kind = facts.kind_of(tags, None) or ("checkpoint" if facts.pipeline_class(tags) else None)
    architecture = facts.architecture_of(tags, None, card, kind)
    adult = facts.is_adult(tags)
    fits = wanted.kind in (None, kind) and wanted.architecture in (None, architecture)
    if not fits or (adult and not wanted.adult):
        return []
    bases = facts.base_models(tags, card)
    return [
        Found(
            _PROVIDER,
            HuggingFaceSource(name).address,
            name.rpartition("/")[2],
            creator=values.text(item, "author") or name.rpartition("/")[0] or None,
            kind=kind,
            base_model=bases[0] if bases else None,
            architecture=architecture,
            downloads=values.count(item, "downloads"),
            likes=values.count(item, "likes"),
            updated=values.text(item, "lastModified") or values.text(item, "createdAt"),
            nsfw=adult or None,
            page=f"https://huggingface.co/{name}",
            tags=facts.own_tags(tags),
            trouble=_trouble(item, known),
        )
    ]


def _is_ours(item: Any) -> bool:
    """Whether a model makes pictures, or says nothing of what it is for."""
    tags = {*map(str.lower, values.listed(item, "tags")), values.text(item, "library_name") or ""}
    task = values.text(item, "pipeline_tag")
    return bool(tags & _LIBRARIES) or task in _TASKS or (task is None and "transformers" not in tags)


def _trouble(item: Any, known: bool) -> str | None:
    if values.at(item, "disabled") is True:
        return "disabled by Hugging Face"
    if values.at(item, "gated") not in (None, False) and not known:
        return "gated: accept its terms on its page, and log in"
    return None
