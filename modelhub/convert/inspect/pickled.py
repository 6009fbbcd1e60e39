"""What an examined pickle says of itself: its container, what would run, what it refers to, what was left out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelhub.convert.inspect.report import Finding
from modelhub.errors import file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.pickles.examine import Examination
from modelhub.formats.pickles.values import GlobalName
from modelhub.text import brief, few, plural

_STORAGE = re.compile(r"(?:[^/]*/)?(?:data|constants)/\d+")
#: Records that torch writes beside the weights.
_OWN = ("data.pkl", "version", "byteorder", ".data/serialization_id", ".format_version", ".storage_alignment")
_TAR_OWN = ("sys_info", "pickle", "tensors", "storages")
_MAX_RECORDS = 200
#: Findings of the reader that no honest file gives cause for, by what they say.
_ODD = ("bytes follow behind its end",)
#: What the reader says of names; they are told in full beside it.
_TOLD = "Objects of unknown classes were dropped"
_RUNS = "Do not load it with other programs: look for the model as safetensors"
_SALVAGE = ", or take the tensors out of it with `modelhub convert --salvage`"
_LOOK = "Programs that load it the usual way import and call these; convert it, or trust who made it."


def container_of(path: Path, found: Examination) -> dict[str, Any]:
    """Facts about how a pickle is stored: container, root folder of an archive, wrapper, protocol, tied weights."""
    names = [name for name, _ in found.records]
    return {
        "kind": found.container or "unknown", "root": names[0].partition("/")[0] if names and "/" in names[0] else None,
        "wrapper": found.root or None, "protocol": _protocol(path), "records": len(names),
        "members": [{"name": name, "size": size} for name, size in _others(found)][:_MAX_RECORDS],
        "tied": [list(group) for group in found.aliases],
    }  # fmt: skip


def _protocol(path: Path) -> int | None:
    """The protocol that a bare pickle declares; those before 2 declare none."""
    descriptor = open_regular(path)
    try:
        front = os.pread(descriptor, 2, 0)
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)
    return front[1] if front[:1] == b"\x80" and len(front) == 2 else None


def _others(found: Examination) -> Iterator[tuple[str, int]]:
    """Members of an archive that torch does not write, or that are no weights."""
    own = _TAR_OWN if found.container == "tar" else _OWN
    for name, size in found.records:
        inside = name.partition("/")[2] if "/" in name else name
        if not _STORAGE.fullmatch(name) and inside not in own:
            yield name, size


def pickle_findings(found: Examination, file: str = "") -> Iterator[Finding]:
    """Dangers first, then what is unknown or odd, then what was left out; `file` names it, where there are several."""
    for one in _findings(found):
        yield replace(one, message=f"{brief(file)}: {one.message}") if file else one


def _findings(found: Examination) -> Iterator[Finding]:
    for what in found.dangers:
        hint = _RUNS + (_SALVAGE if found.header and found.header.tensors else "")
        yield Finding("danger", "runs-code", f"{what[:1].upper()}{what[1:]}.", f"{hint}.")
    if found.error is not None:
        yield Finding("problem", found.error.code, found.error.message, found.error.hint)
    if unknown := [name.path for name in found.globals if name.verdict == "unknown" and not _is_script(name, found)]:
        what = plural(len(unknown), "name")
        yield Finding(
            "suspicious", "unknown-names", f"It refers to {what} that modelhub does not know: {few(unknown)}.", _LOOK,
            tuple(unknown),
        )  # fmt: skip
    if found.container == "torchscript":
        yield Finding(
            "suspicious", "torchscript", "It holds TorchScript, a program that runs when torch loads the file.",
            "`modelhub convert` takes the weights out of it, and nothing else.",
        )  # fmt: skip
    yield from _left_out(found)
    yield from _tied(found.aliases)


def _is_script(name: GlobalName, found: Examination) -> bool:
    """Whether a name is a class of the program that the file holds, of which all are spoken of together."""
    return found.container == "torchscript" and name.module.split(".")[0] == "__torch__"


def _left_out(found: Examination) -> Iterator[Finding]:
    for what in found.findings:
        if found.container == "torchscript" and "TorchScript code" in what:
            continue
        if not what.startswith(_TOLD):
            yield Finding("suspicious" if any(odd in what for odd in _ODD) else "note", "pickle", what)


def _tied(aliases: Sequence[tuple[str, ...]]) -> Iterator[Finding]:
    if aliases:
        names = [name for group in aliases for name in group]
        yield Finding(
            "note", "tied-weights", f"{plural(len(names), 'tensor')} share their bytes with others: {few(names)}.",
            "A safetensors file holds each of them by itself.", tuple(names),
        )  # fmt: skip
