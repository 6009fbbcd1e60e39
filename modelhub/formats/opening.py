"""Whole assets, whatever they are made of: one file, a set of shards, or a diffusers folder.

Readers are imported when a file needs them: a scan of safetensors files loads no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, NotAModelError, file_error
from modelhub.formats.files import claims_safetensors, format_of, open_file
from modelhub.formats.header import Header
from modelhub.formats.naming import INDEX, ShardName, shard_name
from modelhub.formats.safetensors import read_header
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat, signed


def open_source(path: str | Path) -> TensorSource:
    """Open an asset as a source: safetensors, pickle, GGUF, the whole set that a shard belongs to, a diffusers folder.

    Raises NotAModelError for what is none of these, CorruptFileError, and what else the readers raise.
    """
    if _is_folder(path):
        from modelhub.formats.diffusers import DiffusersFolder

        return DiffusersFolder(path)
    if _may_be_shard(path):
        from modelhub.formats.shards import ShardedFile

        if shard_name(Path(path).name):
            return ShardedFile(path)
    return open_file(path)


def read_any_header(path: str | Path) -> tuple[str, Header]:
    """The format (safetensors, pickle, gguf, diffusers) and the header of an asset. Raises as `open_source` does."""
    if _is_folder(path) or _may_be_shard(path):
        with open_source(path) as source:
            return ("diffusers" if _is_folder(path) else format_of(path)), source.header
    if claims_safetensors(str(path)):
        try:
            return "safetensors", read_header(path)
        except (CorruptFileError, NotAModelError):
            if format_of(path) == "safetensors":
                raise
    form = format_of(path)
    with open_file(path, form) as source:
        return form, source.header


def members(path: str | Path) -> list[Path]:
    """All files with weights of an asset; the path itself for a single file. Raises as `open_source` does."""
    if _is_folder(path):
        from modelhub.formats.diffusers import look

        return list(look(Path(path)).files)
    if _may_be_shard(path):
        from modelhub.formats.shards import shard_files

        return list(shard_files(path))
    return [Path(path)]


def stat_of(path: str | Path) -> FileStat:
    """What tells one content of an asset from another, as a walk finds it. Raises FileError.

    Of a set of shards, device and inode are those of the first that is there; of a diffusers folder, the folder's. The
    size is that of all files with weights, the time the latest of these and, in a folder, the configs.
    """
    try:
        own = os.stat(path)  # noqa: PTH116
        if _is_folder(path):
            return folder_stat(path, own)
        return _set_stat(Path(path)) if _may_be_shard(path) else FileStat.of(own)
    except OSError as error:
        raise file_error(error, path) from error


def folder_stat(path: str | Path, own: os.stat_result) -> FileStat:
    """`stat_of` a diffusers folder that has the stat `own`; a pipeline that cannot be opened has its index's time."""
    from modelhub.formats.diffusers import look

    try:
        layout = look(Path(path))
    except FileError:
        if not os.path.isfile(index := Path(path, INDEX)):  # noqa: PTH113
            raise
        return _together(own, [], [index.stat()])
    return _together(own, [file.stat() for file in layout.files], [config.stat() for config in layout.configs])


def _set_stat(path: Path) -> FileStat:
    shard = shard_name(path.name)
    names = sorted(name for name in os.listdir(path.parent) if shard and _is_of(shard_name(name), shard))  # noqa: PTH208
    stats = [path.with_name(name).stat() for name in names] or [path.stat()]
    return _together(stats[0], stats)


def _is_of(one: ShardName | None, other: ShardName) -> bool:
    return one is not None and one.key == other.key


def _together(own: os.stat_result, files: list[os.stat_result], more: Iterable[os.stat_result] = ()) -> FileStat:
    size = sum(stat.st_size for stat in files)
    modified = max(stat.st_mtime_ns for stat in chain(files, more))
    return FileStat(signed(own.st_dev), signed(own.st_ino), size, modified)


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (never raises)


def _may_be_shard(path: str | Path) -> bool:
    return "-of-" in os.path.basename(path)  # noqa: PTH119 (thousands in a scan)
