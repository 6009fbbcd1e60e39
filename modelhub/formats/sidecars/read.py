"""Read the sidecars of a model: every convention, one answer, and which file each word of it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelhub.errors import FileError
from modelhub.formats.sidecars.convention import Convention
from modelhub.formats.sidecars.documents import read_text
from modelhub.formats.sidecars.facts import Partial, SidecarFacts, merged
from modelhub.formats.sidecars.files import sidecars_of, stem_of
from modelhub.formats.sidecars.previews import preview_of
from modelhub.formats.sidecars.table import CONVENTIONS


def read_sidecars(model: str | Path, files: Sequence[Path] | None = None) -> SidecarFacts:
    """What the files beside `model` say of it; never raises, what cannot be read is in `problems`.

    `files` are its sidecars if the caller knows them already (`sidecars_in` lists a folder once for all its models).
    """
    path = Path(model)
    problems: list[str] = []
    if files is None:
        files = []
        try:
            files = sidecars_of(path)
        except FileError as error:
            problems.append(error.message)
    stem = stem_of(path)
    strong, weak = _read_all(path, stem, files, problems)
    values, origin = merged([*strong, *weak])
    preview = preview_of(stem, files)
    if preview is not None:
        values["preview"], origin["preview"] = preview, preview.name
    return SidecarFacts(**values, origin=origin, problems=tuple(problems))


_Parts = list[tuple[str, Partial]]


def _read_all(model: Path, stem: str, files: Sequence[Path], problems: list[str]) -> tuple[_Parts, _Parts]:
    """What each file says by its name, apart from what counts only where no other file says anything."""
    strong: _Parts = []
    weak: _Parts = []
    for convention in CONVENTIONS:
        file = _find(stem + convention.suffix, files)
        if file is None:
            continue
        try:
            said = facts_in(convention, file, model)
        except FileError as error:
            problems.append(error.message)
            continue
        strong.append((file.name, {name: value for name, value in said.items() if name not in convention.weak}))
        weak.append((file.name, {name: value for name, value in said.items() if name in convention.weak}))
    return strong, weak


def facts_in(convention: Convention, file: Path, model: Path) -> Partial:
    """What one file says. Raises FileError."""
    return convention.facts(convention.parse(read_text(file), file), model)


def _find(name: str, files: Sequence[Path]) -> Path | None:
    """The file of that name, as written or else whatever its case."""
    exact = next((one for one in files if one.name == name), None)
    return exact or next((one for one in files if one.name.casefold() == name.casefold()), None)
