"""What a path names: one file, a set of shards or a diffusers folder, with its header and what its pickles would do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.convert.inspect.strangers import explain, is_text
from modelhub.errors import NotAModelError, file_error
from modelhub.formats.diffusers import look
from modelhub.formats.files import format_of
from modelhub.formats.header import Header
from modelhub.formats.opening import read_any_header
from modelhub.formats.pickles.examine import Examination, examine
from modelhub.formats.safetensors import read_header
from modelhub.formats.shards import shard_files

_WORD = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """The files of an asset by the prefix that their tensors get, in a folder also what its configs say.

    `format` is safetensors, pickle, gguf or diffusers; `examined` what was found in those files that are pickles.
    """

    path: Path
    format: str
    parts: Mapping[str, tuple[Path, ...]]
    said: Mapping[str, str] = field(default_factory=dict)
    examined: Mapping[Path, Examination] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files with weights."""
        return tuple(file for files in self.parts.values() for file in files)

    def label(self, file: Path) -> str:
        """What one of several files is called, "" for the only one."""
        if len(self.files) < 2:
            return ""
        return str(file.relative_to(self.path)) if file.is_relative_to(self.path) else file.name

    @property
    def sizes(self) -> tuple[tuple[Path, int], ...]:
        """All files with their bytes. Raises FileError."""
        return tuple((file, _size(file)) for file in self.files)

    @property
    def header(self) -> Header:
        """The header of the whole; of dangerous files, which no reader opens, what could be read of them.

        Raises what the readers raise.
        """
        alone = self.examined.get(self.path) if len(self.files) == 1 else None
        dangerous = any(one.dangers for one in self.examined.values())
        if alone is None:
            return self._salvaged() if dangerous else read_any_header(self.path)[1]
        if alone.error is not None and not dangerous:
            raise alone.error
        return alone.header or Header({})

    def _salvaged(self) -> Header:
        """The tensors of all files that could be read, each by the first file that has it."""
        entries: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, header in self._headers():
            for tensor, info in header.tensors.items():
                entries.setdefault(name + tensor, (info.dtype, info.shape))
        return Header.of(((name, *entry) for name, entry in entries.items()), self.said)

    def _headers(self) -> Iterator[tuple[str, Header]]:
        for name, files in self.parts.items():
            for file in files:
                header = self.examined[file].header if file in self.examined else read_header(file)
                yield from [(f"{name}." if name else "", header)] if header else ()


def find_target(path: Path) -> Target:
    """What `path` names, its pickles examined; nothing of them is run.

    Raises NotAModelError that says what another kind of file is, and FileError when it cannot be read.
    """
    if os.path.isdir(path):  # noqa: PTH112 (never raises)
        layout = look(path)
        files = [file for part in layout.parts.values() for file in part]
        examined = {file: examine(file) for file in files if format_of(file) == "pickle"}
        return Target(path, "diffusers", layout.parts, layout.metadata, examined)
    members = shard_files(path)
    forms = {file: format_of(file) for file in members}
    if len(members) == 1 and forms[path] in ("pickle", "unknown"):
        return _alone(path, forms[path])
    examined = {file: examine(file) for file, form in forms.items() if form == "pickle"}
    return Target(path, forms[members[0]], {"": members}, {}, examined)


def _alone(path: Path, form: str) -> Target:
    """One file that is a pickle, or may be one that hides: unpicklers take what no honest writer would begin with."""
    found = examine(path)
    if form == "unknown" and not _is_pickle(path, found):
        raise explain(path, NotAModelError(f"{path} is of no format that holds weights.", _UNKNOWN))
    if isinstance(found.error, NotAModelError) and not found.dangers:
        raise explain(path, found.error, [name for name, _ in found.records])
    return Target(path, "pickle", {"": (path,)}, {}, {path: found})


_UNKNOWN = "Its first bytes are no model format that modelhub knows."


def _is_pickle(path: Path, found: Examination) -> bool:
    """Whether bytes that do not begin like one are a pickle after all: plain text can look like one by accident."""
    if found.dangers and not is_text(path):
        return True
    dangerous = (name for name in found.globals if name.verdict == "dangerous")
    certain = any(_WORD.fullmatch(name.module) and _WORD.fullmatch(name.name) for name in dangerous)
    return certain or bool(found.header and found.header.tensors)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise file_error(error, path) from error
