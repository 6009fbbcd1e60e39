"""What an inspection answers: a verdict, findings with what to do about each, and the tables that people ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import Any, Literal

from modelhub.catalog.identity import Identity
from modelhub.formats.header import Header, TensorInfo
from modelhub.formats.pickles.values import GlobalName

#: danger: would run code; suspicious: no honest file needs it; problem: other programs stumble over it; note: good to
#: know. In this order they are told.
Level = Literal["danger", "suspicious", "problem", "note"]
LEVELS: tuple[Level, ...] = ("danger", "suspicious", "problem", "note")
Verdict = Literal["safe", "suspicious", "dangerous"]

#: The order in which the names that a pickle refers to are told.
_WORST_FIRST = ("dangerous", "unknown", "inert", "tensor")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing: a full sentence, the next step, and the tensors or metadata keys that it is about."""

    level: Level
    code: str
    message: str
    hint: str = ""
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values; of many names the first, and how many there are."""
        plain: dict[str, Any] = {"level": self.level, "code": self.code, "message": self.message, "hint": self.hint}
        return plain | ({"names": list(self.names[:_SHOWN]), "count": len(self.names)} if self.names else {})


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tensors that belong together: a component, or what stands beside the components.

    `role` is denoiser, vae, text_encoder or other, else the group: marker, ema, schedule, training, extra; `what` says
    it for people. `dtypes` counts elements, the most used first.
    """

    what: str
    role: str
    architecture: str | None
    prefix: str
    tensors: int
    parameters: int
    size: int
    dtypes: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "role": self.role, "what": self.what, "architecture": self.architecture, "prefix": self.prefix,
            "tensors": self.tensors, "parameters": self.parameters, "bytes": self.size, "dtypes": self.dtypes,
        }  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """One file, set of shards or folder, looked at without running or loading anything of it.

    `format` is safetensors, pickle, gguf or diffusers; `container` its facts about how the tensors are stored; `files`
    what it is made of, with bytes; `globals` every name that its pickles refer to.
    """

    path: Path
    format: str
    container: dict[str, Any]
    files: tuple[tuple[Path, int], ...]
    header: Header
    identity: Identity
    pieces: tuple[Piece, ...] = ()
    findings: tuple[Finding, ...] = ()
    globals: tuple[GlobalName, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """dangerous: it would run code; suspicious: something in it that no honest file needs; else safe."""
        levels = {finding.level for finding in self.findings}
        return "dangerous" if "danger" in levels else "suspicious" if "suspicious" in levels else "safe"

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for _, size in self.files)

    def tensors(self, pattern: str = "") -> Iterator[tuple[str, TensorInfo]]:
        """Names and entries in the order of the file: all, or those that `pattern` fits.

        A pattern with `*`, `?` or `[` must fit the whole name; any other text has to stand in it, in either case.
        """
        if not pattern:
            yield from self.header.tensors.items()
            return
        fits = _fits(pattern)
        for name, info in self.header.tensors.items():
            if fits.search(name):
                yield name, info

    def as_dict(self) -> dict[str, Any]:
        """As plain values; tensors are counted."""
        identity = self.identity
        return {
            "path": str(self.path), "format": self.format, "verdict": self.verdict,
            "findings": [finding.as_dict() for finding in self.findings], "tensors": len(self.header.tensors),
            "size": self.size, "bytes": self.header.data_size, "parameters": identity.parameters,
            "dtypes": identity.dtypes, "kind": identity.kind, "architecture": identity.architecture,
            "variant": identity.variant, "prediction": identity.prediction, "layout": identity.layout,
            "container": self.container, "components": [piece.as_dict() for piece in self.pieces],
            "files": [{"path": str(path), "size": size} for path, size in self.files],
            "globals": [_global(name) for name in self.globals], "metadata": dict(self.header.metadata),
        }  # fmt: skip


def _fits(pattern: str) -> re.Pattern[str]:
    if set(pattern) & set("*?["):
        return re.compile(rf"\A{translate(pattern)}")
    return re.compile(re.escape(pattern), re.IGNORECASE)


def _global(name: GlobalName) -> dict[str, Any]:
    return {"module": name.module, "name": name.name, "offset": name.offset, "verdict": name.verdict}


def tensor_row(name: str, info: TensorInfo) -> dict[str, Any]:
    """One tensor as plain values."""
    return {"name": name, "dtype": info.dtype, "shape": list(info.shape), "bytes": info.nbytes}


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """The worst first."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def worst_first(names: list[GlobalName]) -> tuple[GlobalName, ...]:
    """The names of pickles by verdict, then in the order of their first use."""
    return tuple(sorted(names, key=lambda name: _WORST_FIRST.index(name.verdict)))
