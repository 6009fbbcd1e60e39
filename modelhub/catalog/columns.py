"""Columns of the table `assets` that several readers and writers of it name, and what selects its rows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

HASH_NAMES = ("sha256", "blake3", "crc32", "autov1", "autov2", "autov3")

#: What a query selects so that `from_row` can read it.
SELECT = (
    "SELECT assets.*, (SELECT json_group_array(tag) FROM tags WHERE asset_id = assets.id) AS tag_list, "
    "(SELECT json_group_array(path) FROM links WHERE asset_id = assets.id) AS link_list, "
    "(SELECT '[' || group_concat('[\"' || provider || '\",' || at || ',' || found || ',' || facts || ']') || ']' "
    "FROM lookups WHERE lookups.sha256 = assets.sha256) AS provided_list FROM assets"
)

#: Whether providers must not be asked for an asset: the user's word, else that of the files beside it.
NEVER_LOOK_UP = (
    "(CASE never_look_up WHEN 0 THEN coalesce(json_extract(sidecar, '$.never_look_up'), 0) ELSE never_look_up > 0 END)"
)

#: Whether the file beside an asset speaks of a model of Civitai.
FROM_CIVITAI = "json_extract(sidecar, '$.source') LIKE '%civitai.%'"

#: What the user may say of a file against its bytes.
OVERRIDABLE = ("kind", "architecture", "variant")


def from_provider(column: str) -> str:
    """The SQL of what the first provider that says anything in `column` says of an asset."""
    where = f"lookups.sha256 = assets.sha256 AND lookups.{column} IS NOT NULL"
    return f"(SELECT lookups.{column} FROM lookups WHERE {where} ORDER BY provider LIMIT 1)"  # noqa: S608


def declared(key: str) -> str:
    """The SQL of a value that a sidecar tells, else a provider."""
    return f"coalesce(json_extract(sidecar, '$.{key}'), {from_provider(key)})"


def _lineage() -> str:
    own, silent = (f"json_extract(assets.facts, '$.{key}')" for key in ("lineage", "declared_base"))
    return f"coalesce({own}, CASE WHEN {silent} IS NULL THEN declared_lineage({from_provider('base_model')}) END)"


#: The SQL of the lineage that the file or a sidecar tells, else that of the base model that a provider names.
LINEAGE = _lineage()


class Condition(NamedTuple):
    """A condition on the table `assets` and the values of its question marks."""

    sql: str
    parameters: tuple[str | int | float, ...]


#: What all assets fulfil.
ALWAYS = Condition("1", ())


def effective(found: dict[str, str | None], said: dict[str, str]) -> dict[str, str | None]:
    """The columns that hold: the user's word where there is one, else what the bytes say."""
    return {name: said.get(name) or found.get(name) for name in OVERRIDABLE}


def below(folder: Path) -> Condition:
    """What lies below a folder, as its path is spelled. A range, so that the index of paths is used."""
    start = os.path.join(folder, "")  # noqa: PTH118 (ends in one separator, also for "/")
    return Condition("path > ? AND path < ?", (start, start[:-1] + chr(ord(start[-1]) + 1)))


def escape_like(text: str) -> str:
    """`text` as a LIKE pattern that fits only itself; use with ESCAPE '\\'."""
    return re.sub(r"([\\%_])", r"\\\1", text)
