"""`X.civitai.info`: Civitai's answer for one version of a model, as Civitai-Helper and its relatives save it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelhub.formats.sidecars import values
from modelhub.formats.sidecars.convention import Convention, rename, table_in
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.text import from_html, to_html, words

FIELDS = frozenset({
    "name", "version", "base_model", "model_type", "description", "trigger_words", "tags", "creator", "nsfw",
    "model_id", "version_id", "hashes", "not_found",
})  # fmt: skip
_OF_VERSION = {
    "version": "name", "base_model": "baseModel", "trigger_words": "trainedWords", "model_id": "modelId",
    "version_id": "id",
}  # fmt: skip
_OF_MODEL = {"name": "name", "model_type": "type", "description": "description", "tags": "tags", "nsfw": "nsfw"}
_HASH_KEYS = {
    "sha256": "SHA256", "blake3": "BLAKE3", "crc32": "CRC32", "autov1": "AutoV1", "autov2": "AutoV2",
    "autov3": "AutoV3",
}  # fmt: skip
_PERMISSIONS = (
    ("allowNoCredit", "no credit needed", "credit the creator"),
    ("allowDerivatives", "derivatives allowed", "no derivatives"),
    ("allowDifferentLicense", "derivatives under any licence", "derivatives under the same licence"),
)


def version_facts(raw: dict[str, Any], model: Path) -> Partial:
    """What Civitai's table of one version says of the file `model`."""
    declared = values.hashes(values.at(_file_of(raw, model), "hashes"))
    if raw.get("id") == "":
        # Civitai-Helper saves this for a file that Civitai does not know; all but the hashes is filled in by itself
        return {"not_found": True, "hashes": declared}
    model_id, version_id = values.identifier(raw, "modelId"), values.identifier(raw, "id")
    return {
        "name": values.text(raw, "model", "name"),
        "version": values.text(raw, "name"),
        "base_model": values.clear_text(raw, "baseModel"),
        "model_type": values.text(raw, "model", "type") or values.text(raw, "type"),
        "description": _description(raw),
        "trigger_words": values.listed(raw, "trainedWords"),
        "tags": values.listed(raw, "model", "tags") or values.listed(raw, "tags"),
        "creator": values.text(raw, "creator", "username") or values.text(raw, "model", "creator", "username"),
        "licence": _licence(values.at(raw, "model")),
        "nsfw": values.flag(raw, "model", "nsfw"),
        "model_id": model_id,
        "version_id": version_id,
        "source": page(model_id, version_id),
        "hashes": declared,
    }


def page(model_id: int | None, version_id: int | None) -> str | None:
    """The address of a model's page on Civitai."""
    if model_id is None:
        return None
    return f"https://civitai.com/models/{model_id}" + (f"?modelVersionId={version_id}" if version_id else "")


def update_version(raw: dict[str, Any], changed: Partial, model: Path) -> None:
    """Write changed fields into Civitai's table of one version."""
    if changed.get("not_found"):
        raw.update(id="", modelId="")
    rename(raw, changed, _OF_VERSION)
    of_model = {**changed, **_in_html(changed)}
    if of_model.keys() & _OF_MODEL.keys():
        rename(table_in(raw, "model"), of_model, _OF_MODEL)
    if "creator" in changed:
        table_in(raw, "creator")["username"] = changed["creator"]
    if "hashes" in changed:
        _update_hashes(raw, changed["hashes"], model)


def spelled(hashes: dict[str, str]) -> dict[str, str]:
    """Hashes as Civitai writes them: upper case, under its own names."""
    return {_HASH_KEYS[name]: digits.upper() for name, digits in hashes.items() if name in _HASH_KEYS}


def _description(raw: dict[str, Any]) -> str | None:
    """The model's own description; that of the version, which is mostly a change log, where there is no other."""
    return values.text(raw, "model", "description", clean=from_html) or values.text(raw, "description", clean=from_html)


def _in_html(changed: Partial) -> Partial:
    return {"description": to_html(changed["description"])} if "description" in changed else {}


def _file_of(raw: dict[str, Any], model: Path) -> Any:
    """The table of the very file among those of a version: by its name, or because there is no other.

    A renamed file of a version with several may be any of them, and a wrong hash is worse than none.
    """
    files = values.tables(values.at(raw, "files"))
    named = [one for one in files if one.get("name") == model.name]
    weights = [one for one in files if one.get("type", "Model") in ("Model", "Pruned Model")]
    alone = weights[0] if len(weights) == 1 and values.may_be_of(weights[0].get("name"), model) else None
    return named[0] if named else alone


def _update_hashes(raw: dict[str, Any], hashes: dict[str, str], model: Path) -> None:
    entry = _file_of(raw, model)
    if entry is None:
        entry = {"name": model.name, "type": "Model", "primary": True}
        raw["files"] = [*(raw["files"] if isinstance(raw.get("files"), list) else []), entry]
    table_in(entry, "hashes").update(spelled(hashes))


def _licence(parent: Any) -> str | None:
    said = [yes if parent[key] else no for key, yes, no in _PERMISSIONS if isinstance(values.at(parent, key), bool)]
    commercial = values.at(parent, "allowCommercialUse")
    uses = [commercial] if isinstance(commercial, str) else commercial if isinstance(commercial, list) else None
    if uses is not None:
        allowed = [use for use in words(uses) if use != "None"]
        said.append(f"commercial use: {', '.join(allowed)}" if allowed else "no commercial use")
    return "; ".join(said) or None


CIVITAI = Convention("civitai-info", ".civitai.info", version_facts, FIELDS, update_version)
