"""Belongings: all that goes with an asset when it moves: its members, its sidecars, the other paths of its content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError, VanishedError
from modelhub.formats.naming import shard_name
from modelhub.formats.sidecars.files import sidecars_in
from modelhub.text import one_line


@dataclass(frozen=True, slots=True)
class Belongings:
    """What an asset has on disk: `files` (its path first; a folder stands for all in it), `links`, `sidecars`.

    `links` are further paths of the same content, `shared` the sidecars that another model of the same stem, one that
    stays, has too: these stay with it.
    """

    asset: Asset
    files: tuple[Path, ...]
    links: tuple[Path, ...]
    sidecars: tuple[Path, ...]
    shared: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that goes: the asset first."""
        return (*self.files, *self.links, *self.sidecars)


def belongings(catalog: Catalog, assets: Iterable[Asset], *, links: bool = True) -> list[Belongings]:
    """What belongs to each asset, each file once; without `links`, other paths of a content stay where they are.

    Raises VanishedError for an asset whose file is not there, NotFoundError for one that is in the trash.
    """
    once = {asset.id: asset for asset in assets}
    for asset in once.values():
        _check_there(catalog, asset)
    models = {number: _models(catalog, asset, links) for number, asset in once.items()}
    going = {path for files, others in models.values() for path in (*files, *others)}
    seen = _Sidecars(catalog, going)
    return [_belongings(asset, *models[asset.id], seen) for asset in once.values()]


def _belongings(asset: Asset, files: list[Path], links: list[Path], sidecars: _Sidecars) -> Belongings:
    own: list[Path] = []
    shared: list[Path] = []
    for model in (*files, *links):
        for path, stays in sidecars.of(model):
            (shared if stays else own).append(path)
    return Belongings(asset, tuple(files), tuple(links), tuple(own), tuple(shared))


class _Sidecars:
    """The sidecars of models, from one listing of each folder; each is given once. `going` are all models that go."""

    def __init__(self, catalog: Catalog, going: set[Path]) -> None:
        self._catalog, self._going = catalog, going
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        self._owners: dict[Path, list[Path]] = {}
        self._given = set(going)

    def of(self, model: Path) -> Iterator[tuple[Path, bool]]:
        """The sidecars of a model, and whether each stays, since a model that stays has it too."""
        for path in self._listed(model.parent).get(model.name, []):
            if path not in self._given:
                self._given.add(path)
                yield path, any(owner not in self._going for owner in self._owners[path])

    def _listed(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._folders:
            found = self._folders[folder] = sidecars_in(folder, self._models_in(folder))
            for name, paths in found.items():
                for path in paths:
                    self._owners.setdefault(path, []).append(folder / name)
        return self._folders[folder]

    def _models_in(self, folder: Path) -> list[str]:
        """The folders in `folder` that are models."""
        with os.scandir(folder) as entries:
            return [e.name for e in entries if e.is_dir() and self._catalog.by_path(folder / e.name) is not None]


def _check_there(catalog: Catalog, asset: Asset) -> None:
    now = catalog.by_path(asset.path)  # which leaves out what is in the trash
    if now is None or now.id != asset.id:
        raise NotFoundError(
            f"#{asset.id} is not at {one_line(str(asset.path))} any more: it was moved, or is in the trash.",
            "`modelhub undo --list` shows what was done, `modelhub trash` what is in the trash.",
        )
    if not os.path.lexists(asset.path):
        raise VanishedError(
            f"{one_line(str(asset.path))} is missing already.",
            f"Rescan if it was moved, or forget it with `modelhub forget '#{asset.id}'`.",
        )


def _models(catalog: Catalog, asset: Asset, links: bool) -> tuple[list[Path], list[Path]]:
    own = _members(catalog, asset, asset.path)
    there = [Path(path) for path in asset.links if _is_still(asset.path, path)] if links else []
    others = [member for path in there for member in _members(catalog, asset, path)]
    return own, [path for path in dict.fromkeys(others) if path not in own]


def _is_still(path: Path, link: str) -> bool:
    """Whether `link` leads to the content at `path`; something else may have come there since the scan."""
    try:
        return os.path.samefile(path, link)  # noqa: PTH121
    except OSError:
        return os.path.lexists(link) and not os.path.exists(path)  # noqa: PTH110 (both lead nowhere now)


def _members(catalog: Catalog, asset: Asset, path: Path) -> list[Path]:
    """A path of the asset and, for a shard, the others of its set that are there, with their index.

    Names alone tell: a set that is not whole goes, too, and no index can point at files that are not of the set.
    """
    shard = None if path.is_dir() else shard_name(path.name)
    if shard is None:
        return [path]
    names = {shard.of(number) for number in range(1, shard.total + 1)} | {*shard.index_names}
    there = sorted(names.intersection(os.listdir(path.parent)) - {path.name})  # noqa: PTH208
    return [path, *(other for other in map(path.with_name, there) if _is_part(catalog, other, asset))]


def _is_part(catalog: Catalog, path: Path, asset: Asset) -> bool:
    """Whether a file of a set is no asset of its own."""
    other = catalog.by_path(path)
    return other is None or other.id == asset.id


def freed(paths: Iterable[Path]) -> int:
    """Bytes that deleting these files, links and folders would free.

    A content counts once, and not at all while a hard link elsewhere keeps it.
    """
    names: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], os.stat_result] = {}
    for file in {file for path in paths for file in files_of(path)}:
        here = os.lstat(file)
        key = here.st_dev, here.st_ino
        found[key], names[key] = here, names.get(key, 0) + 1
    return sum(s.st_size for key, s in found.items() if names[key] >= s.st_nlink and stat.S_ISREG(s.st_mode))


def files_of(path: Path) -> Iterator[Path]:
    """The file or link itself, or all files and links in a folder, links not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        inside = Path(folder)
        yield from (inside / name for name in names)
        yield from (inside / name for name in folders if (inside / name).is_symlink())
