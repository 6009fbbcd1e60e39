"""Addresses of Civitai, as browsers, programs and people write them: pages, API, downloads."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl

from modelhub.errors import UsageError
from modelhub.fetch.sources.air import wish_of
from modelhub.fetch.sources.source import CivitaiSource, HashSource
from modelhub.formats.sidecars import values
from modelhub.text import brief

_MODEL = re.compile(r"(?:/api/v1)?/models/(?P<model>[^/]+)(?:/.*)?")
_VERSION = re.compile(r"(?:/api/v1)?/(?:model-versions|modelVersions)(?:/mini)?/(?P<version>[^/]+)/?")
_HASH = re.compile(r"/api/v1/model-versions/by-hash/(?P<digits>[0-9A-Fa-f]{8,64})/?")
_DOWNLOAD = re.compile(r"/api/download/models/(?P<version>[^/]+)/?")
_PAGES = {
    "images": "an image", "posts": "a post", "articles": "an article", "user": "a person", "tag": "a tag",
    "collections": "a collection", "bounties": "a bounty", "challenges": "a challenge", "models": "a list of models",
}  # fmt: skip
_CLICK = "lick the model's name under “Resources used” and paste the address of that page."
_HINTS = {"images": f"C{_CLICK}", "posts": f"Open one of its images, c{_CLICK}"}
_OTHERWISE = "Paste the address of a model's page: https://civitai.com/models/NUMBER."


def read_civitai_url(url: SplitResult, path: str) -> CivitaiSource | HashSource:
    """What an address on Civitai names; `path` is that below the endpoint. Raises UsageError for other pages."""
    if found := _HASH.fullmatch(path):
        return HashSource(found["digits"].lower())
    if found := _DOWNLOAD.fullmatch(path):
        file = _said(url.query).get("fileid")
        wish = () if file else wish_of(url.query)
        return CivitaiSource(None, _numbered(found["version"], path), _numbered(file, path) if file else None, wish)
    if found := _VERSION.fullmatch(path):
        return CivitaiSource(version=_numbered(found["version"], path))
    if found := _MODEL.fullmatch(path):
        return CivitaiSource(_numbered(found["model"], path), _version_in(url.query))
    raise _no_model(path)


def _version_in(query: str) -> int | None:
    said = _said(query)
    named = said.get("modelversionid") or said.get("version")
    return _numbered(named, f"?{query}") if named else None


def _said(query: str) -> dict[str, str]:
    return {name.lower(): value for name, value in parse_qsl(query[:10_000])}


def _numbered(digits: str, where: str) -> int:
    found = values.identifier(digits)
    if found is None:
        raise UsageError(f"{brief(digits)} is no number of Civitai's, in {brief(where)}.", _OTHERWISE)
    return found


def _no_model(path: str) -> UsageError:
    first = path.strip("/").split("/")[0]
    what = _PAGES.get(first, "a page")
    return UsageError(f"{brief(path)} is {what} on Civitai, not a model.", _HINTS.get(first, _OTHERWISE))
