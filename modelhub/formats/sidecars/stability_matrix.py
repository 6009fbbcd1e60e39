"""`X.cm-info.json`: StabilityMatrix' selection of what Civitai or OpenModelDB says of a model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhub.formats.sidecars import civitai, values
from modelhub.formats.sidecars.convention import Convention, rename, table_in
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.files import stem_of
from modelhub.formats.sidecars.text import from_html, to_html

_KEYS = {
    "name": "ModelName", "version": "VersionName", "base_model": "BaseModel", "model_type": "ModelType",
    "description": "ModelDescription", "trigger_words": "TrainedWords", "tags": "Tags", "creator": "AuthorUsername",
    "nsfw": "Nsfw", "model_id": "ModelId", "version_id": "VersionId",
}  # fmt: skip


def _facts(raw: dict[str, Any], model: Path) -> Partial:
    model_id, version_id = _ids(raw)
    name = values.text(raw, "UserTitle") or values.text(raw, "ModelName")
    return {
        "name": None if name == stem_of(model) else name,
        "version": values.text(raw, "VersionName"),
        "base_model": values.clear_text(raw, "BaseModel"),
        "model_type": values.text(raw, "ModelType"),
        "description": values.text(raw, "ModelDescription", clean=from_html),
        "trigger_words": values.listed(raw, "TrainedWords"),
        "tags": values.listed(raw, "Tags"),
        "creator": values.text(raw, "AuthorUsername"),
        "nsfw": values.flag(raw, "Nsfw"),
        "model_id": model_id,
        "version_id": version_id,
        "source": values.web_address(raw, "SourceUrl") or _page(raw, model_id, version_id),
        "hashes": values.hashes(raw.get("Hashes")) if values.may_be_of(raw.get("RemoteFileName"), model) else {},
    }


def _ids(raw: dict[str, Any]) -> tuple[int | None, int | None]:
    return values.identifier(raw, "ModelId"), values.identifier(raw, "VersionId")


def _page(raw: dict[str, Any], model_id: int | None, version_id: int | None) -> str | None:
    """Civitai's page, unless the file says that the model is from elsewhere; it need not say where from."""
    return civitai.page(model_id, version_id) if raw.get("Source") in (None, "Civitai", 0) else None


def _update(raw: dict[str, Any], changed: Partial, model: Path) -> None:
    if not raw:
        raw.update(_beginning(model))
    written = dict(changed)
    if "description" in written:
        written["description"] = to_html(written["description"])
    title = {"name": "UserTitle"} if values.text(raw, "UserTitle") else {}
    rename(raw, written, {**_KEYS, **title})
    if "source" in changed and ("SourceUrl" in raw or changed["source"] != _page(raw, *_ids(raw))):
        raw["SourceUrl"] = changed["source"]
    if "hashes" in changed:
        table_in(raw, "Hashes").update(civitai.spelled(changed["hashes"]))


def _beginning(model: Path) -> dict[str, Any]:
    """The fields that StabilityMatrix does not expect to miss."""
    return {
        "ModelName": stem_of(model),
        "ModelDescription": "",
        "Nsfw": False,
        "Tags": [],
        "VersionName": "",
        "ImportedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "Hashes": {},
    }


STABILITY_MATRIX = Convention(
    "stability-matrix", ".cm-info.json", _facts, frozenset({*_KEYS, "hashes", "source"}), _update
)
