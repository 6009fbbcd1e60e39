"""Orders of a list of assets: the names that they have, and the SQL that they become."""

from __future__ import annotations

from modelhub.catalog.columns import declared, from_provider
from modelhub.errors import UsageError

#: Sort names to SQL; names are compared without case, and ties go by name.
SORTS = {
    "name": "name COLLATE NOCASE", "size": "size", "added": "added", "rating": "rating", "kind": "kind",
    "architecture": "architecture", "arch": "architecture", "modified": "modified", "path": "path",
    "params": "parameters", "parameters": "parameters", "dtype": "dtype", "format": "format", "id": "id",
}  # fmt: skip
_TAGS = "(SELECT group_concat(tag, ' ') FROM (SELECT tag FROM tags WHERE asset_id = assets.id ORDER BY tag))"
_TRIGGER = "json_extract(trigger_words, '$[0]')"
#: The same of what many assets lack: those come last, whichever way round the others are.
_SPARSE = {
    "variant": "variant", "layout": "layout", "prediction": "prediction", "title": "title COLLATE NOCASE",
    "notes": "nullif(notes, '') COLLATE NOCASE", "tags": f"{_TAGS} COLLATE NOCASE", "source": "source",
    "trigger": f"coalesce({_TRIGGER}, json_extract({from_provider('facts')}, '$.trigger_words[0]')) COLLATE NOCASE",
    "base": f"{declared('base_model')} COLLATE NOCASE", "creator": f"{declared('creator')} COLLATE NOCASE",
    "sha256": "sha256", "problem": "coalesce(problem_code, problem, CASE WHEN missing THEN 'missing' END)",
}  # fmt: skip
_BIGGEST_FIRST = {"size", "added", "rating", "modified", "params", "parameters"}


def order_by(sort: str, *, reverse: bool = False) -> str:
    """What stands behind ORDER BY. Sizes, dates and ratings come biggest first, everything else from A to Z.

    Raises UsageError for an unknown sort.
    """
    if sort not in SORTS and sort not in _SPARSE:
        known = ", ".join((*SORTS, *_SPARSE))
        raise UsageError(f"Assets cannot be sorted by '{sort}'.", f"Choose one of: {known}.")
    way = "DESC" if (sort in _BIGGEST_FIRST) != reverse else "ASC"
    if sort == "name":
        return f"{SORTS[sort]} {way}, path {way}"
    first = f"{SORTS[sort]} {way}" if sort in SORTS else f"{_SPARSE[sort]} {way} NULLS LAST"
    return f"{first}, name COLLATE NOCASE, path"


def can_sort(sort: str) -> bool:
    """Whether assets can be sorted by this."""
    return sort in SORTS or sort in _SPARSE
