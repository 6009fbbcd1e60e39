"""Find model files below folders: every folder once, whatever links lead to it; no download in progress, no trash."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize
from zlib import crc32

from modelhub.errors import FileError, file_error
from modelhub.formats.naming import INDEX, MODEL_SUFFIXES, NO_SIDECARS, ShardName, check_name, shard_name
from modelhub.formats.stat import HALF, FileStat, signed

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})
_SKIPPED_PREFIXES = (".", "tmpinstall_")

Entry = os.DirEntry[str]
OnError = Callable[[FileError, str], None]


class Found(NamedTuple):
    """One asset on disk, with what tells its content from another without reading it.

    Of a set of shards, `path`, `device` and `inode` are of the first that is there; of a diffusers folder (`folder`),
    those of the folder; `size` counts its weight files, `modified` is the latest of these and the configs, in ns.
    `sidecars` changes when the files beside the asset that go with it change in name, size or time; 0 for none.
    `link`: the path is a symbolic link.
    """

    path: str
    device: int
    inode: int
    size: int
    modified: int
    sidecars: int
    link: bool
    folder: bool

    @property
    def stat(self) -> FileStat:
        """What the catalog compares."""
        return FileStat(*self[1:5])


def find_assets(roots: list[Path], on_error: OnError, but: Iterable[Path] = ()) -> Iterator[Found]:
    """Yield every asset below `roots` once: a file, a set of shards, a folder with a model_index.json.

    Links are followed, each folder is walked once. Below a diffusers folder nothing else is looked for; models that lie
    directly in it are assets of their own. What cannot be read goes to `on_error` with its path, and the walk goes on.
    Folders in `but` are left out.
    """
    visits = _Visits(roots, on_error)
    visits.leave_out(but)
    for visit, stat, entries in visits:
        folder = _Folder(entries, on_error)
        if folder.is_diffusers:
            yield from _folder_asset(visit, stat, on_error)
        yield from folder.assets()
        if not folder.is_diffusers:
            visits.add(_Visit(sub.path, sub.is_symlink(), folder.beside.get(sub.name, ())) for sub in folder.folders)


class _Visit(NamedTuple):
    """A folder to be walked; `beside` are the files beside it whose names begin with its own."""

    path: str
    link: bool = False
    beside: Iterable[Entry] = ()


class _Visits:
    """The folders of a walk, each once, with their entries in order; more are added on the way."""

    def __init__(self, roots: list[Path], on_error: OnError) -> None:
        self._waiting = [_Visit(str(root), os.path.islink(root)) for root in reversed(roots)]  # noqa: PTH114 (never raises)
        self._seen: set[tuple[int, int]] = set()
        self._on_error = on_error

    def add(self, visits: Iterable[_Visit]) -> None:
        """Walk these next, in their order."""
        self._waiting += reversed(list(visits))

    def leave_out(self, folders: Iterable[Path]) -> None:
        """Do not walk these, whatever name leads to them."""
        for folder in folders:
            with suppress(OSError):
                stat = folder.stat()
                self._seen.add((stat.st_dev, stat.st_ino))

    def __iter__(self) -> Iterator[tuple[_Visit, os.stat_result, list[Entry]]]:
        while self._waiting:
            visit = self._waiting.pop()
            try:
                stat = os.stat(visit.path)  # noqa: PTH116 (strings all the way: 50,000 Paths would cost a second)
                if (stat.st_dev, stat.st_ino) in self._seen:
                    continue
                self._seen.add((stat.st_dev, stat.st_ino))
                entries = sorted(os.scandir(visit.path), key=_by_name)
            except OSError as error:
                self._on_error(file_error(error, visit.path), visit.path)
                continue
            yield visit, stat, entries


_by_name = attrgetter("name")


class _Folder:
    """The entries of one folder, sorted: models, folders, and what may go with them."""

    def __init__(self, entries: list[Entry], on_error: OnError) -> None:
        self._on_error = on_error
        self._models: list[Entry] = []
        self._others: list[Entry] = []
        self.folders: list[Entry] = []
        self.is_diffusers = False
        for entry in entries:
            name = entry.name
            if name.startswith(_SKIPPED_PREFIXES):
                continue
            try:
                if entry.is_dir():
                    if name not in _SKIPPED_FOLDERS:
                        self.folders.append(entry)
                elif (suffix := name[name.rfind(".") :].lower()) in MODEL_SUFFIXES:
                    self._models.append(entry)
                elif suffix not in NO_SIDECARS:
                    self._others.append(entry)
                    self.is_diffusers |= name == INDEX and entry.is_file()
            except OSError as error:
                on_error(file_error(error, entry.path), entry.path)

    def files(self) -> Iterator[tuple[Entry, os.stat_result]]:
        """The model files that can be had, with their stat."""
        for entry in self._models:
            try:
                if not entry.path.isascii():
                    check_name(entry.path)
                if entry.is_file():
                    yield entry, entry.stat()
                elif entry.is_symlink():
                    os.stat(entry.path)  # noqa: PTH116 (says why the link leads nowhere)
            except OSError as error:
                self._on_error(file_error(error, entry.path), entry.path)
            except FileError as error:
                self._on_error(error, entry.path)

    def assets(self) -> list[Found]:
        """An asset for every file, one for the shards of a set."""
        found: list[Found] = []
        sets: dict[object, int] = {}
        for entry, stat in self.files():
            shard = shard_name(entry.name) if "-of-" in entry.name else None
            if shard is None or shard.key not in sets:
                if shard is not None:
                    sets[shard.key] = len(found)
                found.append(_file_asset(entry, stat, self._stamp(entry.name, shard) if self._others else 0))
            else:
                first = found[sets[shard.key]]
                latest = max(first.modified, stat.st_mtime_ns)
                found[sets[shard.key]] = first._replace(size=first.size + stat.st_size, modified=latest)
        return found

    def _stamp(self, name: str, shard: ShardName | None) -> int:
        if shard is None:
            return _stamp(self.beside.get(_stem(name), ()))
        return _stamp(chain(self.beside.get(shard.stem, ()), self.beside.get(_stem(name), ())))

    @cached_property
    def beside(self) -> dict[str, list[Entry]]:
        """Stem to sidecars: a file goes with the longest stem that it begins with, as written or else in any case."""
        stems = {_stem(entry.name) for entry in self._models} | {entry.name for entry in self.folders}
        stems |= {shard.stem for entry in self._models if (shard := shard_name(entry.name))}
        found: dict[str, list[Entry]] = {}
        strangers = []
        for entry in self._others:
            stem = _owner(entry.name, stems)
            if stem is None:
                strangers.append(entry)
            else:
                found.setdefault(stem, []).append(entry)
        folded = {_fold(stem): stem for stem in sorted(stems, reverse=True)} if strangers else {}
        for entry in strangers:
            if (stem := _owner(_fold(entry.name), folded)) is not None:
                found.setdefault(folded[stem], []).append(entry)
        return found


def _file_asset(entry: Entry, stat: os.stat_result, sidecars: int) -> Found:
    device, inode = stat.st_dev, stat.st_ino
    if device >= HALF or inode >= HALF:
        device, inode = signed(device), signed(inode)
    state = (entry.path, device, inode, stat.st_size, stat.st_mtime_ns, sidecars, entry.is_symlink(), False)
    return tuple.__new__(Found, state)  # quicker than naming the fields: there may be 50,000


def _folder_asset(visit: _Visit, own: os.stat_result, on_error: OnError) -> Iterator[Found]:
    from modelhub.formats.opening import folder_stat  # the readers are not needed for a walk over files

    try:
        check_name(visit.path)
        stat = folder_stat(visit.path, own)
    except OSError as error:
        on_error(file_error(error, visit.path), visit.path)
    except FileError as error:
        on_error(error, visit.path)
    else:
        yield Found(visit.path, *stat, _stamp(visit.beside), visit.link, True)


def _stamp(entries: Iterable[Entry]) -> int:
    """A number that changes with the names, sizes and times of the files; 0 for none."""
    stamp = 0
    for entry in entries:
        try:
            stat = entry.stat()
        except OSError:
            continue  # it vanished, or is a link to nowhere
        line = f"{entry.name}\n{stat.st_size} {stat.st_mtime_ns}\n"
        stamp = crc32(line.encode("utf-8", "surrogateescape"), stamp) or 1
    return stamp


def _owner(name: str, stems: Container[str]) -> str | None:
    """The longest of `stems` that stands before a dot of `name`."""
    end = name.rfind(".")
    while end > 0:
        if (front := name[:end]) in stems:
            return front
        end = name.rfind(".", 0, end)
    return None


def _stem(name: str) -> str:
    return name[: name.rindex(".")]


def _fold(name: str) -> str:
    return normalize("NFC", name).casefold()
