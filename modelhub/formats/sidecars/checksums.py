"""`X.sha256`: a line as `sha256sum` writes it, or nothing but the digits."""

from __future__ import annotations

import re
from pathlib import Path

from modelhub.formats.sidecars.convention import Convention
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.values import one_hash

_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64})(?:\s+\*?(.*))?")
_TAGGED = re.compile(r"(\\?)SHA256 \((.*)\) = ([0-9a-fA-F]{64})")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = {written: char for char, written in _ESCAPES.items()}
#: One file, one line; a list for a whole folder has more.
_MAX_LINES = 10_000


def _parse(text: str, _path: Path) -> list[str]:
    return [one for one in text[:4_000_000].split("\n")[:_MAX_LINES] if one.strip()]


def _facts(lines: list[str], model: Path) -> Partial:
    """The hash of the line that names the model, or of the only line there is if it names nothing."""
    read = [_read(one.strip()) for one in lines]
    named = [digits for name, digits in read if name == model.name]
    bare = [digits for name, digits in read if not name] if len(read) == 1 else []
    sha256 = next((found for digits in named + bare if (found := one_hash("sha256", digits))), None)
    return {"hashes": {"sha256": sha256} if sha256 else {}}


def _read(line: str) -> tuple[str, str]:
    """(file name, digits) of a line; the folders that a path goes through do not matter."""
    if fits := _TAGGED.fullmatch(line):
        escaped, name, digits = fits.groups()
    elif fits := _LINE.fullmatch(line):
        escaped, digits, name = fits.groups()
    else:
        return "", ""
    name = name or ""
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda found: _ESCAPED[found[0]], name)
    return name.rsplit("/", 1)[-1], digits


def _update(lines: list[str], changed: Partial, model: Path) -> None:
    if "sha256" in changed.get("hashes", {}):
        others = [one for one in lines if _read(one.strip())[0] not in ("", model.name)]
        name = "".join(_ESCAPES.get(char, char) for char in model.name)
        mark = "\\" if name != model.name else ""
        lines[:] = [*others, f"{mark}{changed['hashes']['sha256']}  {name}"]


def _dump(lines: list[str], _path: Path) -> str:
    return "".join(f"{one}\n" for one in lines)


SHA256 = Convention("sha256", ".sha256", _facts, frozenset({"hashes"}), _update, _parse, _dump, list)
