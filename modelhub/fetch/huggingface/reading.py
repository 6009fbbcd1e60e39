"""Reading what the library says of a repository: the right types and sane paths, or nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from modelhub.fetch.huggingface.repo import Repo, RepoFile
from modelhub.fetch.net.bodies import is_deep
from modelhub.fetch.offer import LARGEST
from modelhub.fetch.sources.hub_urls import is_sane

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_DIGITS = {"sha256": re.compile(r"[0-9a-f]{64}"), "git": re.compile(r"[0-9a-f]{40}")}
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
#: Bytes of the words of a card that are kept.
_CARD = 100_000


def repo_of(info: ModelInfo, endpoint: str) -> Repo:
    """The library's answer in our form. Raises ValueError for one that has no name, commit or files."""
    if not _is_name(info.id) or not _COMMIT.fullmatch(str(info.sha)) or info.siblings is None:
        raise ValueError("no answer about a repository")
    files = {file.path: file for one in info.siblings if (file := _file(one)) is not None}
    return Repo(
        info.id,
        str(info.sha),
        endpoint,
        tuple(files[path] for path in sorted(files)),
        tags=tuple(tag for tag in info.tags or () if isinstance(tag, str)),
        card=_card(info.card_data),
        class_name=_class_name(info.config),
        library=_text(info.library_name),
        pipeline=_text(info.pipeline_tag),
        modified=info.last_modified.isoformat() if info.last_modified else None,
        gated=bool(info.gated),
        disabled=bool(info.disabled),
    )


def _is_name(name: Any) -> bool:
    """Whether the library makes an address of it."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(name, str) and bool(hf_hub_url(name, "file"))
    except HFValidationError:
        return False


def _file(one: RepoSibling) -> RepoFile | None:
    path = one.rfilename
    if not isinstance(path, str) or not is_sane(path):
        return None
    large = one.lfs
    size = large.size if large else one.size
    sha256 = _hex("sha256", large.sha256) if large else None
    git = None if large else _hex("git", one.blob_id)
    return RepoFile(path, size if isinstance(size, int) and 0 <= size <= LARGEST else None, sha256, git)


def _hex(name: str, value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and _DIGITS[name].fullmatch(value.lower()) else None


def _card(card: Any) -> dict[str, Any]:
    """The words of the card as plain values; nothing of one that is too long, too deep or odd to keep."""
    found = card.to_dict() if hasattr(card, "to_dict") else {}
    try:
        text = "" if is_deep(found) else json.dumps(found, allow_nan=False)
    except (TypeError, ValueError):
        return {}
    return dict(json.loads(text)) if 0 < len(text) <= _CARD else {}


def _class_name(config: Any) -> str | None:
    """The class that a repository's `model_index.json` or `config.json` names, as the hub shows it."""
    of_diffusers = config.get("diffusers") if isinstance(config, dict) else None
    if isinstance(of_diffusers, dict):
        return _text(of_diffusers.get("_class_name"))
    names = config.get("architectures") if isinstance(config, dict) else None
    return _text(names[0]) if isinstance(names, list) and names else None


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None
