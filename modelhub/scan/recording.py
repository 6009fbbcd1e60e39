"""Write what was learned of one file, or what is wrong with it, into its row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import CorruptFileError, ModelhubError, NotAModelError, UnsafePickleError, VanishedError
from modelhub.formats.walk import Found
from modelhub.scan.know import Learned

#: Errors that the content of a file causes: reading it again would say the same.
_OF_CONTENT = (CorruptFileError, NotAModelError, UnsafePickleError)


def record(catalog: Catalog, found: Found, what: Learned | ModelhubError, rules: str) -> int | None:
    """Insert or update the row of a file; returns its id, or None for a file that is gone again."""
    if isinstance(what, VanishedError) or not os.path.lexists(found.path):
        return None
    if isinstance(what, ModelhubError):
        rules = rules if isinstance(what, _OF_CONTENT) else ""  # another error may pass unseen by size and time
        what = _of_error(what)
    stat = FileStat(found.device, found.inode, found.size, found.modified)
    columns: dict[str, Any] = {"sidecar": {}, "sidecar_words": "", **what.columns}
    columns |= {"sidecar": json.dumps(columns["sidecar"]), "sidecar_stamp": found.sidecars}
    return catalog.record(Path(found.path), stat, what.identity, rules, **columns)


def _of_error(error: ModelhubError) -> Learned:
    problem = {"problem": error.message, "problem_code": error.code}
    form = "pickle" if isinstance(error, UnsafePickleError) else "unknown"
    return Learned(Identity(format=form, evidence=(Evidence(error.message),)), problem)
