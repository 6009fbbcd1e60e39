"""Open what a REF names as a source, with the facts that a recipe records: its name and its SHA256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.asset import Asset, FileStat
from modelhub.catalog.refs import locate
from modelhub.catalog.store import Catalog
from modelhub.errors import NotAModelError, file_error
from modelhub.formats.closing import Closing
from modelhub.formats.hashes import hash_file
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.sniff import sniff
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True, slots=True)
class Parent:
    """An opened model. `sha256` is None when it is not known and was not asked for."""

    source: TensorSource
    path: Path
    name: str
    sha256: str | None


class Opener(Closing):
    """Opens REFs and closes everything at the end. `hashed`: hash a file whose SHA256 the catalog does not know."""

    def __init__(self, catalog: Catalog, *, hashed: bool = False, job: Job = QUIET) -> None:
        self._catalog, self._hashed, self._job = catalog, hashed, job
        self._opened: list[Parent] = []
        self._known: dict[FileStat, str | None] = {}

    def __call__(self, ref: str) -> Parent:
        """Open one model. Raises NotFoundError, AmbiguousError, FileError; NotAModelError for an unreadable format."""
        path, asset = locate(self._catalog, ref)
        form = sniff(path)
        if form in ("pickle", "gguf"):
            raise NotAModelError(f"{path} is a {form} file, which is not read as weights.", "Use a safetensors file.")
        source = SafetensorsFile(path)
        try:
            parent = Parent(source, path, path.stem, self._sha256(path, asset))
        except BaseException:
            source.close()
            raise
        self._opened.append(parent)
        return parent

    def _sha256(self, path: Path, asset: Asset | None) -> str | None:
        stat = _stat(path)
        if asset is not None and asset.sha256 and asset.stat == stat:
            return asset.sha256
        if not self._hashed or stat in self._known:
            return self._known.get(stat)
        hashes = hash_file(path, "fast", self._job)
        self._known[stat] = hashes.sha256
        if asset is not None and asset.stat == stat == _stat(path):
            self._catalog.set_hashes(asset.id, hashes)
        return hashes.sha256

    def close(self) -> None:
        """Close every source that was opened."""
        while self._opened:
            self._opened.pop().source.close()


def _stat(path: Path) -> FileStat:
    try:
        return FileStat.of(path.stat())
    except OSError as error:
        raise file_error(error, path) from error
