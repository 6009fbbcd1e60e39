"""Put one file into the catalog without a scan: what was just written or downloaded is known at once."""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.formats.hashes import Hashes
from modelhub.formats.naming import check_name
from modelhub.formats.opening import stat_of
from modelhub.formats.writer import Written
from modelhub.scan.know import know


def add_file(catalog: Catalog, path: Path, hashes: Hashes | None = None) -> int:
    """Put one file into the catalog, with hashes that are known already; returns its id. Raises FileError."""
    path = Path(os.path.abspath(path))  # noqa: PTH100
    check_name(str(path))
    stat = stat_of(path)
    known = know(path)
    number = catalog.record(path, stat, known.identity, rules_version(), **known.columns)
    if hashes is not None:
        catalog.set_hashes(number, hashes)
    return number


def add_written(catalog: Catalog, written: Written) -> int:
    """Put a file that was just written into the catalog, with the hashes made on the way; returns its id."""
    sha256 = written.sha256
    return add_file(catalog, written.path, Hashes(sha256, autov2=sha256[:10], autov3=written.tensor_sha256[:12]))
