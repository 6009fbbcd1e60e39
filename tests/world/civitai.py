"""Civitai as its answers are known: models, versions, hashes, search, and downloads that lead to the storage host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from world.answers import Answer, Asked, moved, page, said
from world.civitai_files import CivitaiFile
from world.storage import Storage

NEEDS_LOGIN = "The creator of this asset requires you to be logged in to download it"
DISABLED = "The creator of this asset has disabled downloads on this file"
EARLY = "The creator of this asset has put this asset in early access, use Buzz access it now!"
ARCHIVED = "Model archived, not available for download"
BATCH = 100

_OF_MODEL = [
    "type",
    "tags",
    "creator",
    "mode",
    "nsfw",
    "poi",
    "allowNoCredit",
    "allowCommercialUse",
    "allowDerivatives",
    "allowDifferentLicense",
    "stats",
    "title",
    "model_description",
    "model_nsfwLevel",
]
_ONLY_IN_VERSION = ("modelId", "usageControl", "model", "air")


@dataclass
class CivitaiVersion:
    """One version: what its page says, and its files."""

    id: int
    model: int
    files: list[CivitaiFile]
    json: dict[str, Any]
    needs_login: bool | None = None


@dataclass
class Civitai:
    """The site. `token` is the one it knows; `needs_login`: every download wants it, unless a version says otherwise.

    `empty_models`: `/models/{id}` gives no versions, as happens. `prefers`: what the account of the token likes its
    files to be, `{"fp": "fp32"}`. `rate` of 429 and the like are faults.
    """

    storage: Storage
    url: str = ""
    token: str = "civitai-token-0123456789abcdef"
    needs_login: bool = False
    models: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[int, CivitaiVersion] = field(default_factory=dict)
    empty_models: set[int] = field(default_factory=set)
    prefers: dict[str, str] = field(default_factory=dict)

    def add_model(self, model: int, **said_of_it: Any) -> None:
        """A model, or more words about it."""
        known = self.models.setdefault(model, {"id": model, **_model_defaults(model)})
        if "title" in said_of_it:
            said_of_it["name"] = said_of_it.pop("title")
        for name in ("description", "nsfwLevel"):
            if f"model_{name}" in said_of_it:
                said_of_it[name] = said_of_it.pop(f"model_{name}")
        known.update(said_of_it)

    def add_version(
        self, model: int, version: int, files: Iterable[Any], needs_login: bool | None = None, **words: Any
    ) -> CivitaiVersion:
        """A version with its files; words that are a model's go to the model (`type`, `tags`, `title`, …)."""
        self.add_model(model, **{name: words.pop(name) for name in _OF_MODEL if name in words})
        found = [CivitaiFile.of(one, version, place) for place, one in enumerate(files)]
        if found and not any(one.primary for one in found):
            max(found, key=lambda one: one.score).primary = True
        for one in found:
            self.storage.keep(one.data, f"civitai/{one.id}")
        made = CivitaiVersion(version, model, found, {**_version_defaults(version), **words}, needs_login)
        self.versions[version] = made
        return made

    # -- answers ------------------------------------------------------------------------------------------------------

    def reply(self, asked: Asked) -> Answer:
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, asked.path):
                return answer(self, asked, *found.groups())
        return page("Page not found", 404)

    def is_known(self, asked: Asked) -> bool:
        """Whether it came with the token, in the header or in the address."""
        return self.token in ((asked.authorization or "").removeprefix("Bearer "), asked.query.get("token"))

    def model_json(self, model: int) -> dict[str, Any]:
        """As `/models/{id}` has it: newest first, and less said of each version."""
        known = self.models[model]
        mine = sorted((one for one in self.versions.values() if one.model == model), key=lambda one: -one.id)
        shown = [] if model in self.empty_models else [self._short(one) for one in mine]
        return {**known, "modelVersions": shown}

    def version_json(self, version: int) -> dict[str, Any]:
        """As `/model-versions/{id}` has it."""
        one = self.versions[version]
        model = self.models[one.model]
        air = f"urn:air:sdxl:{str(model['type']).lower()}:civitai:{one.model}@{one.id}"
        about = {name: model[name] for name in ("name", "type", "nsfw", "poi")} | {"mode": model.get("mode")}
        files = [] if model.get("mode") == "Archived" else [file.json(self.url, one.id) for file in one.files]
        link = {"downloadUrl": f"{self.url}/api/download/models/{one.id}"} if one.files else {}
        return {
            "id": one.id,
            "modelId": one.model,
            "air": air,
            "usageControl": "Download",
            **one.json,
            "model": about,
            "files": files,
            **link,
            **({"images": []} if model.get("mode") == "TakenDown" else {}),
        }

    def _short(self, one: CivitaiVersion) -> dict[str, Any]:
        return {name: value for name, value in self.version_json(one.id).items() if name not in _ONLY_IN_VERSION}

    def _model(self, asked: Asked, model: str) -> Answer:
        if int(model) not in self.models:
            return said({"error": f"No model with id {model}"}, 404)
        return said(self.model_json(int(model)))

    def _version(self, asked: Asked, version: str) -> Answer:
        if int(version) not in self.versions:
            return said({"error": "Model not found"}, 404)
        return said(self.version_json(int(version)))

    def _by_hash(self, asked: Asked, digits: str) -> Answer:
        wanted = digits.upper()
        for one in self.versions.values():
            if any(wanted in file.hashes.values() for file in one.files):
                return said(self.version_json(one.id))
        return said({"error": "Model not found"}, 404)

    def _by_hashes(self, asked: Asked, only_ids: str | None = None) -> Answer:
        if asked.method != "POST":
            return said({"error": "Method not allowed"}, 405)
        wanted = asked.json()
        if not isinstance(wanted, list) or len(wanted) > BATCH:
            return said(_zod("Array must contain at most 100 element(s)"), 400)
        if not all(isinstance(one, str) and len(one) == 64 for one in wanted):
            return said(_zod("String must contain exactly 64 character(s)"), 400)
        asked_for = {one.upper() for one in wanted}
        found = [one.id for one in self.versions.values() if any(f.hashes["SHA256"] in asked_for for f in one.files)]
        found = [*found[1::2], *found[::2]]  # in no order that could be relied on
        return said(found if only_ids else [self.version_json(one) for one in found])

    def _models(self, asked: Asked) -> Answer:
        from world.civitai_search import search

        return search(self, asked)

    def _enums(self, asked: Asked) -> Answer:
        from world.civitai_search import ENUMS

        return said(ENUMS)

    def _me(self, asked: Asked) -> Answer:
        return (
            said({"id": 7, "username": "mara", "tier": "free", "status": "active"})
            if self.is_known(asked)
            else said({"error": "Unauthorized"}, 401)
        )

    def _page(self, asked: Asked, model: str) -> Answer:
        """What a browser shows."""
        return page(self.models[int(model)]["name"]) if int(model) in self.models else page("Page not found", 404)

    def _login(self, asked: Asked) -> Answer:
        return page("Log in to Civitai")

    def _download(self, asked: Asked, version: str) -> Answer:
        one = self.versions.get(int(version))
        if one is None:
            return said({"error": "Model not found"}, 404)
        return self._refused(asked, one) or self._storage_address(asked, one)

    def _refused(self, asked: Asked, one: CivitaiVersion) -> Answer | None:
        """Why it is not given, in the order in which Civitai looks."""
        if self.models[one.model].get("mode") == "Archived":
            return said({"error": ARCHIVED}, 410)
        if one.json.get("usageControl", "Download") != "Download":
            return _unauthorized(asked, DISABLED)
        if one.json.get("availability") == "EarlyAccess":
            return said({"error": "Early Access", "deadline": one.json.get("earlyAccessEndsAt"), "message": EARLY}, 403)
        wanted = self.needs_login if one.needs_login is None else one.needs_login
        return _unauthorized(asked, NEEDS_LOGIN) if wanted and not self.is_known(asked) else None

    def _storage_address(self, asked: Asked, one: CivitaiVersion) -> Answer:
        file = _chosen(one.files, asked.query, self.prefers if self.is_known(asked) else {})
        if file is None:
            return said({"error": "File not found"}, 404)
        name = f"attachment; filename=\"{quote(file.name)}\"; filename*=UTF-8''{quote(file.name)}"
        return moved(self.storage.signed(f"civitai/{file.id}", name), 307)


def _chosen(files: list[CivitaiFile], query: dict[str, str], prefers: dict[str, str]) -> CivitaiFile | None:
    """The file that is described; else the one that the account prefers, which counts before the main one."""
    if "fileId" in query:
        return next((one for one in files if str(one.id) == query["fileId"]), None)
    wanted = {name: query[name] for name in ("type", "format", "size", "fp", "quantType") if name in query}
    fitting = [one for one in files if all(one.words.get(name) == value for name, value in wanted.items())]
    liked = [one for one in fitting if all(one.words.get(name) == value for name, value in prefers.items())]
    among = liked if prefers and not wanted and liked else fitting
    return max(among, key=lambda one: (one.primary and not wanted, one.score), default=None)


def _unauthorized(asked: Asked, message: str) -> Answer:
    """JSON for programs; who looks like a browser is sent to the login page."""
    browser = asked.headers.get("Content-Type", "").partition(";")[0] != "application/json"
    if browser or asked.headers.get("User-Agent", "").startswith("Mozilla/"):
        return moved("/login?" + urlencode({"returnUrl": asked.target, "reason": "download-auth"}), 307)
    return said({"error": "Unauthorized", "message": message}, 401)


def _zod(message: str) -> dict[str, Any]:
    return {"error": {"name": "ZodError", "message": message, "issues": [{"code": "custom", "message": message}]}}


def _model_defaults(model: int) -> dict[str, Any]:
    return {
        "name": f"Model {model}",
        "description": "<p>Made for tests.</p>",
        "type": "Checkpoint",
        "nsfw": False,
        "nsfwLevel": 1,
        "poi": False,
        "mode": None,
        "tags": ["style", "base model"],
        "creator": {"username": "mara", "image": None},
        "allowNoCredit": True,
        "allowCommercialUse": ["Image"],
        "allowDerivatives": True,
        "allowDifferentLicense": False,
        "stats": {"downloadCount": 1000 + model, "thumbsUpCount": 100 + model},
    }


def _version_defaults(version: int) -> dict[str, Any]:
    return {
        "name": f"v{version}",
        "description": None,
        "baseModel": "SDXL 1.0",
        "baseModelType": "Standard",
        "status": "Published",
        "availability": "Public",
        "nsfwLevel": 1,
        "createdAt": "2026-01-02T03:04:05.000Z",
        "updatedAt": "2026-01-03T03:04:05.000Z",
        "publishedAt": "2026-01-02T03:04:05.000Z",
        "trainedWords": [],
        "earlyAccessEndsAt": None,
        "earlyAccessConfig": None,
        "images": [],
        "stats": {"downloadCount": 10, "thumbsUpCount": 1},
    }


_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"/api/v1/models", Civitai._models),
    (r"/api/v1/models/(\d+)", Civitai._model),
    (r"/api/v1/model-versions/(\d+)", Civitai._version),
    (r"/api/v1/modelVersions/(\d+)", Civitai._version),
    (r"/api/v1/model-versions/mini/(\d+)", Civitai._version),
    (r"/api/v1/model-versions/by-hash", Civitai._by_hashes),
    (r"/api/v1/model-versions/by-hash/(ids)", Civitai._by_hashes),
    (r"/api/v1/model-versions/by-hash/([0-9A-Za-z]+)", Civitai._by_hash),
    (r"/api/v1/enums", Civitai._enums),
    (r"/api/v1/me", Civitai._me),
    (r"/api/download/models/(\d+)", Civitai._download),
    (r"/login", Civitai._login),
    (r"/models/(\d+)(?:/.*)?", Civitai._page),
)
