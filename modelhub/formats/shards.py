"""Models split over several files, NAME-00001-of-00003.safetensors and so on, as one source."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from modelhub.errors import CorruptFileError, file_error
from modelhub.formats.files import claims_safetensors, open_file
from modelhub.formats.json_file import read_table
from modelhub.formats.naming import shard_name
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Combined

_MAX_TENSORS = 200_000
_AGAIN = "Download or copy the files of this model again."


def shard_files(path: str | Path) -> tuple[Path, ...]:
    """All files of the set that a shard belongs to, in order; the file itself where it belongs to none.

    Raises CorruptFileError that names those that are missing, FileError when there is no such folder.
    """
    path = Path(path)
    shard = shard_name(path.name)
    if shard is None:
        return (path,)
    try:
        path.parent.stat()
    except OSError as error:
        raise file_error(error, path) from error
    _refuse_missing(path, map(shard.of, range(1, shard.total + 1)))
    return tuple(path.with_name(shard.of(number)) for number in range(1, shard.total + 1))


def indexed_by(path: Path) -> Path | None:
    """The first shard of the set whose index `path` is, by their names. Raises FileError."""
    if not path.name.endswith(".json"):
        return None
    shards = ((name, shard_name(name)) for name in sorted(_there(path.parent)))
    return next((path.with_name(name) for name, one in shards if one and path.name in one.index_names), None)


class ShardedFile(Combined):
    """The files of a set as one source, opened by any of them; `members` are all of them, in order.

    An index beside them is checked, not needed. Raises CorruptFileError for missing shards, tensors that two shards
    have, and an index that says otherwise; else what the readers of the shards raise.
    """

    def __init__(self, path: str | Path) -> None:
        self.members = shard_files(path)
        sources: list[TensorSource] = []
        try:
            _check_index(Path(path), _open_all(self.members, sources))
            super().__init__(sources)
        except BaseException:
            for source in sources:
                source.close()
            raise


def _open_all(members: Iterable[Path], sources: list[TensorSource]) -> dict[str, str]:
    """Open every member; returns which file each tensor is in."""
    owners: dict[str, str] = {}
    for member in members:
        sources.append(open_file(member))
        for name in sources[-1].header.tensors:
            if name in owners:
                raise CorruptFileError(f"{member} has the tensor {name[:200]!r}, which {owners[name]} has too.", _AGAIN)
            owners[name] = member.name
        if len(owners) > _MAX_TENSORS:
            raise CorruptFileError(f"{member} and those before it have more than {_MAX_TENSORS:,} tensors.", _AGAIN)
    return owners


def _check_index(path: Path, owners: dict[str, str]) -> None:
    """Every tensor that the index lists must be in the file that it names."""
    shard = shard_name(path.name)
    indexes = [path.with_name(name) for name in shard.index_names] if shard else []
    for index in indexes:
        if not os.path.lexists(index):
            continue
        listed = _weight_map(index)
        _refuse_missing(index, sorted(set(listed.values())))
        for name, file in listed.items():
            if (
                owners.get(name, "" if claims_safetensors(file) else file) != file
            ):  # a pickle may hold more than weights
                raise CorruptFileError(f"{index} says that {name[:200]!r} is in {file[:200]}, and it is not.", _AGAIN)


def _weight_map(index: Path) -> dict[str, str]:
    listed: Any = read_table(index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(file, str) for file in listed.values()):
        raise CorruptFileError(f"{index} has no weight_map of names and files.", _AGAIN)
    for file in set(listed.values()):
        if not file or file in (".", "..") or any(mark in file for mark in "/\\\0"):
            raise CorruptFileError(f"{index} names {file[:200]!r}, which is not a file beside it.", _AGAIN)
    return listed


def _there(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 (names, not paths)
    except OSError as error:
        raise file_error(error, folder) from error


def _refuse_missing(path: Path, names: Iterable[str]) -> None:
    """Refuse a set when some of `names` are not beside `path`; asked one by one, until enough are known to say so.

    A listing for every set would take a folder of many sets the square of their number.
    """
    folder = str(path.parent)
    missing = list(islice((name for name in names if not os.path.lexists(os.path.join(folder, name))), 4))  # noqa: PTH118
    if missing:
        shown = ", ".join(name[:200] for name in missing[:3]) + (" and more" if len(missing) > 3 else "")
        raise CorruptFileError(f"{path} is one of several files, and there is no {shown}.", _AGAIN)
