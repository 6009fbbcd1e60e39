"""Addresses of Hugging Face: pages and files of a repository, `hf://owner/repo@revision/path`, `owner/repo:file`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from modelhub.errors import UsageError
from modelhub.fetch.sources.source import HuggingFaceSource
from modelhub.formats.naming import MODEL_SUFFIXES
from modelhub.text import brief

_NAME = re.compile(r"\w(?:[\w.-]{0,94}\w)?", re.ASCII)
_SHORT = re.compile(r"(?P<repo>[^/:@\s]+/[^/:@\s]+)(?P<rest>[:@].*)?", re.DOTALL)
_FILES, _FOLDERS = ("blob", "resolve", "raw", "blame"), ("tree",)
_VERBS = (*_FILES, *_FOLDERS, "commit")
_REFS = ("pr", "convert", "heads", "tags")
_OTHERS = {"datasets": "a data set", "spaces": "a space", "buckets": "a bucket", "kernels": "a kernel"}
#: First parts of addresses that are nobody's name.
_PAGES = frozenset({
    "models", "docs", "blog", "papers", "collections", "tasks", "learn", "pricing", "join", "login", "logout",
    "settings", "posts", "chat", "enterprise", "search", "new", "organizations", "notifications", "inference",
    "support", "terms-of-service", "privacy", "brand", "api",
})  # fmt: skip
_PASTE = "Paste the address of a model's page or of one of its files, or write owner/repo."


def is_repo(text: str) -> bool:
    """Whether `text` can be the name of a repository, with or without an owner."""
    parts = text.split("/")
    return len(parts) <= 2 and all(_is_name(part) for part in parts)


def read_hub_path(path: str) -> HuggingFaceSource:
    """What the path of an address on Hugging Face names, as it stands there, encoded. Raises UsageError for others."""
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["api", "models"]:
        return _of_api(parts[2:], path)
    _refuse_others(parts, path)
    owned = 1 if len(parts) == 1 or (len(parts) > 2 and parts[1] in _VERBS) else 2
    return _at(_repo(parts[:owned], path), parts[owned:], path)


def read_hub_scheme(text: str) -> HuggingFaceSource:
    """What `hf://owner/repo[@revision][/path]` names; a slash at the end says that the path is a folder."""
    rest = re.split("[?#]", text.partition("//")[2])[0]
    parts = rest.split("/")
    _refuse_others(parts, text)
    if len(parts) < 2:
        raise UsageError(f"{brief(text)} lacks the repository.", "It reads hf://owner/repo@revision/path.")
    name, _, revision = parts[1].partition("@")
    behind = parts[2:]
    if revision == "refs" and len(behind) >= 2 and behind[0] in _REFS:
        revision, behind = "/".join(["refs", *behind[:2]]), behind[2:]
    inside = "/".join(unquote(part) for part in behind)
    path = sane_path(inside.rstrip("/"), text)
    found = unquote(revision) or None
    return HuggingFaceSource(_repo([parts[0], name], text), found, path, bool(path) and inside.endswith("/"))


def read_hub_short(text: str, *, sure: bool = False) -> HuggingFaceSource | None:
    """What `owner/repo[:file][@revision]` names; None for text of another form.

    Unless it is `sure` to be no path, raises UsageError for what is, or looks like, a file or folder of this machine.
    """
    found = _SHORT.fullmatch(text)
    if found is None or not is_repo(found["repo"]):
        return None
    if not sure:
        _refuse_local(text, found["repo"])
    path, revision = _file_and_revision(found["rest"] or "")
    inside = path.rstrip("/")
    return HuggingFaceSource(found["repo"], revision, sane_path(inside, text), bool(inside) and path.endswith("/"))


def sane_path(path: str, text: str) -> str:
    """`path` inside a repository. Raises UsageError for one that leads out of it."""
    if path and not is_sane(path):
        hint = "Paths have no empty parts, no backslashes, and none that are only dots."
        raise UsageError(f"{brief(text)} names no file of a repository.", hint)
    return path


def is_sane(path: str) -> bool:
    """Whether a path can be one of a repository: no part of it leads elsewhere, and an address can hold it."""
    odd = any(char in "\\\0" or "\ud800" <= char <= "\udfff" for char in path)
    return not odd and not any(part in ("", ".", "..") for part in path.split("/"))


def _file_and_revision(rest: str) -> tuple[str, str | None]:
    """The parts of `:file@revision`, which may be the other way round."""
    if rest.startswith("@"):
        revision, _, path = rest[1:].partition(":")
    else:
        path, _, revision = rest[1:].rpartition("@") if "@" in rest else (rest[1:], "", "")
    return path, unquote(revision) or None


def _of_api(parts: list[str], path: str) -> HuggingFaceSource:
    """`OWNER/REPO/revision/REV` and `OWNER/REPO/tree/REV/PATH` below /api/models/."""
    words = ("revision", *_VERBS)
    owned = 1 if len(parts) == 1 or (len(parts) > 2 and parts[1] in words) else 2
    behind = parts[owned:]
    behind = ["commit", *behind[1:]] if behind[:1] == ["revision"] else behind
    return _at(_repo(parts[:owned], path), behind, path)


def _at(repo: str, behind: list[str], path: str) -> HuggingFaceSource:
    """The place in a repository that the parts behind its name lead to."""
    if not behind:
        return HuggingFaceSource(repo)
    if behind[0] not in _VERBS:
        raise UsageError(f"{brief(path)} is a page about {repo}, not one of its files.", f"For all of it: {repo}")
    revision, names = _revision([unquote(part) for part in behind[1:]])
    inside = "" if behind[0] == "commit" else sane_path("/".join(names), path)
    return HuggingFaceSource(repo, revision, inside, bool(inside) and behind[0] in _FOLDERS)


def _revision(parts: list[str]) -> tuple[str | None, list[str]]:
    """The revision at the front of `parts`, and what follows: `refs/pr/4` is one, also where it was not encoded."""
    taken = 3 if parts[:1] == ["refs"] and len(parts) >= 3 and parts[1] in _REFS else 1
    return "/".join(parts[:taken]) or None, parts[taken:]


def _repo(parts: list[str], text: str) -> str:
    repo = "/".join(parts).removesuffix(".git")
    if not is_repo(repo):
        raise UsageError(f"{brief(text)} does not name a repository of Hugging Face.", _PASTE)
    return repo


def _is_name(part: str) -> bool:
    return _NAME.fullmatch(part) is not None and "--" not in part and ".." not in part


def _refuse_others(parts: list[str], text: str) -> None:
    first = parts[0] if parts else ""
    if first in _OTHERS and len(parts) > 1:
        raise UsageError(f"{brief(text)} is {_OTHERS[first]} on Hugging Face, not a model.", _PASTE)
    if not first or (first in _PAGES and "://" not in text):
        raise UsageError(f"{brief(text) or '/'} is a page of Hugging Face, not a model.", _PASTE)


def _refuse_local(text: str, repo: str) -> None:
    there = next((one for one in (text, repo) if _exists(one)), None)
    if there is not None:
        what = f"{brief(there)} is a file or folder on this machine"
        raise UsageError(f"{what}, so it is not downloaded.", f"If the repository of that name is meant: hf://{repo}")
    if Path(repo).suffix.lower() in MODEL_SUFFIXES:
        hint = f"If a repository of that name is meant: hf://{repo}. A file of one: owner/repo:file"
        raise UsageError(f"{brief(repo)} looks like a path on this machine, where there is no such file.", hint)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
