"""Parents: which models went into a merged file, as its metadata tells, whoever merged it.

Read without running or checking any recipe: a scan of thousands of files asks only for hashes and names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from modelhub.formats.json_file import is_deeper
from modelhub.formats.naming import last_part
from modelhub.formats.toml import read_toml
from modelhub.text import one_line

#: Keys of metadata that only a merge has.
MERGE_KEYS = ("modelhub.recipe", "sd_merge_recipe", "sd_merge_models", "mecha_recipe")
OURS = MERGE_KEYS[0]
#: Where a file's own recipe may stand, the first first: sd-mecha copies no fields, so its own stands alone.
RECIPES = (OURS, "sd_merge_recipe", "mecha_recipe")
#: What modelhub writes as the type of the second, beside the first.
_WRITTEN = ("webui", "modelhub")
#: A direct parent has depth 1, all that went into one of them 2: how deep exactly, only the recipes tell.
DIRECT, FARTHER = 1, 2
#: Characters of a value that are read, and ancestors that are kept.
_LONGEST, _MOST, _NAME = 1_000_000, 2000, 200
_DEEPEST = 60
_SHA256 = re.compile("[0-9a-f]{64}")
_WEBUI = ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash", "model_a", "model_b", "model_c")
_MECHA = re.compile(r'^model "((?:[^"\\]|\\.)+)"', re.MULTILINE)


class Ancestor(NamedTuple):
    """A model that went into a merge: its SHA256 in lower case or "", how far away it is, and its name or ""."""

    sha256: str
    depth: int
    name: str


def merged_from(metadata: Mapping[str, str]) -> list[Ancestor]:
    """The models that went into a file, the direct ones first, each once; empty for a file that is no merge."""
    found: dict[str, Ancestor] = {}
    for one in (*_direct(metadata), *_farther(metadata)):
        key = one.sha256 or one.name.lower()
        if key and key not in found and len(found) < _MOST:
            found[key] = one
    return list(found.values())


def recipe_key(metadata: Mapping[str, str]) -> str:
    """Where a file's own recipe stands, "" for a file that carries none: ours, or else that of another program.

    AUTOMATIC1111's merger copies the fields of the models that it merges, ours too: then ours is that of a parent, and
    the recipe that stands beside it, by which it was made, is of another program or of other models.
    """
    told = [key for key in RECIPES if metadata.get(key)]
    if told[:1] == [OURS] and _is_of_a_parent(metadata):
        return "sd_merge_recipe"
    return told[0] if told else ""


def _is_of_a_parent(metadata: Mapping[str, str]) -> bool:
    recipe = _json(metadata.get("sd_merge_recipe", ""))
    if not isinstance(recipe, dict):
        return False
    known = {one.sha256 for one in _ours(metadata[OURS]) if one.sha256}
    kind, first = recipe.get("type"), _sha256(recipe.get(_WEBUI[0]))
    return kind not in (None, *_WRITTEN) or bool(known and first and first not in known)


def _direct(metadata: Mapping[str, str]) -> Iterator[Ancestor]:
    names = dict(_models(metadata))
    own = list(_ours(metadata[OURS])) if recipe_key(metadata) == OURS else []
    if own:
        yield from own
        return
    recipe = _json(metadata.get("sd_merge_recipe", ""))
    for key in _WEBUI if isinstance(recipe, dict) else ():
        word = recipe.get(key)
        if isinstance(word, str) and word.strip():
            sha256 = _sha256(word)
            yield Ancestor(sha256, DIRECT, names.get(sha256, "") if sha256 else _name(word))
    for path in _MECHA.findall(metadata.get("mecha_recipe", "")[:_LONGEST])[:_MOST]:
        yield Ancestor("", DIRECT, _name(re.sub(r"\\(.)", r"\1", path)))


def _farther(metadata: Mapping[str, str]) -> Iterator[Ancestor]:
    for sha256, name in _models(metadata):
        yield Ancestor(sha256, FARTHER, name)
    ancestry = _json(metadata.get("modelhub.ancestry", ""))
    for entry in ancestry[:_MOST] if isinstance(ancestry, list) else ():
        if isinstance(entry, dict):
            text = entry.get("modelhub.recipe")
            yield from (one._replace(depth=FARTHER) for one in _ours(text if isinstance(text, str) else ""))


def _ours(text: str) -> Iterator[Ancestor]:
    """The models of one of our recipes."""
    if not text or len(text) > _LONGEST:
        return
    try:
        models = read_toml(text).get("models")
    except ValueError:
        return
    for value in models.values() if isinstance(models, dict) else ():
        table = value if isinstance(value, dict) else {"ref": value}
        sha256, ref = _sha256(table.get("sha256")), table.get("ref")
        name = _name(ref) if isinstance(ref, str) and ref.lower() != sha256 else ""
        if sha256 or name:
            yield Ancestor(sha256, DIRECT, name)


def _models(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Hash and name of every model in the table that AUTOMATIC1111 and others keep."""
    table = _json(metadata.get("sd_merge_models", ""))
    for key, value in table.items() if isinstance(table, dict) else ():
        sha256, name = _sha256(key), value.get("name") if isinstance(value, dict) else None
        if sha256:
            yield sha256, _name(name) if isinstance(name, str) else ""


def _json(text: str) -> Any:
    if not text or len(text) > _LONGEST or is_deeper(text, _DEEPEST):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _sha256(word: Any) -> str:
    digest = word.strip().lower() if isinstance(word, str) and len(word) < 100 else ""
    return digest if _SHA256.fullmatch(digest) else ""


def _name(text: str) -> str:
    """The last part of a path, on one line."""
    plain = re.sub(r"\s*\[[0-9a-f]{8,64}\]$", "", text[-2 * _NAME :].strip())
    return one_line(last_part(plain))[:_NAME].encode("utf-8", "replace").decode()
