"""Put one file into the catalog without a scan: what was just written or downloaded is known at once."""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, VanishedError
from modelhub.formats.hashes import Hashes
from modelhub.formats.naming import check_name
from modelhub.formats.opening import stat_of
from modelhub.formats.walk import Found
from modelhub.formats.writer import Written
from modelhub.scan.know import know_beside
from modelhub.scan.recording import record


def add_file(catalog: Catalog, path: Path, hashes: Hashes | None = None) -> int:
    """Put one file into the catalog with what the files beside it say, as a scan does; returns its id.

    `hashes` are those that are known already. Raises FileError; what is wrong with the file is in its row then.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100
    check_name(str(path))
    found = Found(str(path), *stat_of(path), 0, path.is_symlink(), path.is_dir())
    try:
        learned = know_beside(path)
    except FileError as error:
        number = record(catalog, found, error, rules_version())
        if hashes is not None and number is not None:
            catalog.set_hashes(number, hashes)
        raise
    number = record(catalog, found, learned, rules_version())
    if number is None:
        raise VanishedError(f"{path} is gone.", "Something else moved or deleted it.")
    if hashes is not None:
        catalog.set_hashes(number, hashes)
    return number


def add_written(catalog: Catalog, written: Written) -> int:
    """Put a file that was just written into the catalog, with the hashes made on the way; returns its id.

    Raises FileError that says that the file is there all the same.
    """
    try:
        return add_file(catalog, written.path, written.hashes)
    except FileError as error:
        said = f"{written.path} is written, but not in the catalog: {error.message}"
        raise type(error)(said, error.hint) from error
