"""`X.metadata.json`: LoRA Manager's notes, tags, favourites and usage tips around its copy of Civitai's answer."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelhub.formats.sidecars import civitai, values
from modelhub.formats.sidecars.convention import Convention, rename, table_in
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.files import stem_of
from modelhub.formats.sidecars.text import from_html, prose, to_html

_OWN = {
    "name": "model_name", "base_model": "base_model", "notes": "notes", "tags": "tags", "favourite": "favorite",
    "never_look_up": "skip_metadata_refresh", "description": "modelDescription",
}  # fmt: skip
_OF_CIVITAI = frozenset({"version", "model_type", "trigger_words", "creator", "nsfw", "model_id", "version_id"})
#: Longer than any usage tips.
_MAX_TIPS = 10_000


def _facts(raw: dict[str, Any], model: Path) -> Partial:
    inner = values.at(raw, "civitai")
    provided = civitai.version_facts(inner, model) if isinstance(inner, dict) else {}
    own = {
        "name": _name(raw, model),
        "base_model": values.clear_text(raw, "base_model"),
        "description": values.text(raw, "modelDescription", clean=from_html),
        "notes": values.text(raw, "notes", clean=prose),
        "tags": values.listed(raw, "tags"),
        "weight": values.weight(_tips(raw), "strength"),
        "favourite": values.flag(raw, "favorite"),
        "never_look_up": values.flag(raw, "skip_metadata_refresh"),
    }
    own = {name: value for name, value in own.items() if value is not None and value != ()}
    own_hashes = values.hashes(raw) if values.may_be_of(raw.get("file_path"), model) else {}
    hashes = {**provided.get("hashes", {}), **own_hashes}
    source = provided.get("source") or values.web_address(raw, "hf_url")
    return {**provided, **own, "hashes": hashes, "source": source}


def _name(raw: dict[str, Any], model: Path) -> str | None:
    """The name on its card, unless it is the file's, which stands there until another is known."""
    name = values.text(raw, "model_name")
    return None if name in (stem_of(model), values.text(raw, "file_name")) else name


def _tips(raw: dict[str, Any]) -> dict[str, Any]:
    """Usage tips: JSON as text within JSON."""
    written = raw.get("usage_tips")
    found: Any = None
    if isinstance(written, str) and len(written) <= _MAX_TIPS:
        with suppress(ValueError, RecursionError):
            found = json.loads(written)
    return found if isinstance(found, dict) else {}


def _update(raw: dict[str, Any], changed: Partial, model: Path) -> None:
    if not raw:
        raw.update(_beginning(model))
    if "weight" in changed:
        raw["usage_tips"] = json.dumps({**_tips(raw), "strength": changed["weight"]})
    html = {"description": to_html(changed["description"])} if "description" in changed else {}
    rename(raw, {**changed, **html}, _OWN)
    civitai.update_version(
        table_in(raw, "civitai"), {name: changed[name] for name in _OF_CIVITAI if name in changed}, model
    )
    if "model_id" in changed:
        raw["from_civitai"] = True
    if "huggingface.co/" in changed.get("source", ""):
        raw["hf_url"] = changed["source"]
    raw.update({name: changed["hashes"][name] for name in ("sha256", "autov3") if name in changed.get("hashes", {})})


def _beginning(model: Path) -> dict[str, Any]:
    """The fields that LoRA Manager requires of a file that it has not seen yet; `modified` is the time of import."""
    path = model.absolute()
    with suppress(OSError):
        stat = path.stat()
        return {**_named(path), "size": stat.st_size, "modified": stat.st_mtime, "from_civitai": False}
    return _named(path)


def _named(path: Path) -> dict[str, Any]:
    return {"file_name": stem_of(path), "model_name": stem_of(path), "file_path": path.as_posix(), "sha256": ""}


LORA_MANAGER = Convention(
    "lora-manager", ".metadata.json", _facts, _OF_CIVITAI | {*_OWN, "weight", "hashes", "source"}, _update
)
