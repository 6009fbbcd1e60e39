"""Which files belong to which model: a sidecar goes to the longest stem that it begins with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from modelhub.errors import file_error
from modelhub.formats.naming import NO_SIDECARS, is_model_name


def sidecars_of(model: str | Path) -> list[Path]:
    """The files beside `model` that belong to it, by name: `X.json`, `X.preview.png`, `X.example.0.png` for `X.ckpt`.

    `a.b.json` belongs to `a.b.safetensors` if that is there, else to `a.safetensors`. Models of one stem (`X.ckpt` and
    `X.safetensors`) share their sidecars: each has them all. Letters count as written; a sidecar that fits no stem so
    also belongs to the one that differs in case only, as on the systems that see no difference. For a folder, the
    files beside it whose names begin with the folder's. Raises FileError when the folder cannot be listed.
    """
    path = Path(model)
    return sidecars_in(path.parent, [path.name] if path.is_dir() else []).get(path.name, [])


def sidecars_in(folder: str | Path, folders: Iterable[str] = ()) -> dict[str, list[Path]]:
    """File name of each model in `folder` to its sidecars, from one listing; `folders` names those that are models.

    Models without sidecars are left out. Raises FileError when the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as listing:
            names = sorted(entry.name for entry in listing if _is_file(entry))
    except OSError as error:
        raise file_error(error, folder) from error
    stems = _stems([*filter(is_model_name, names)], folders)
    folded = {_fold(stem): stem for stem in reversed(stems)}
    found: dict[str, list[Path]] = {}
    for name in names:
        if not is_model_name(name) and not name.lower().endswith(tuple(NO_SIDECARS)):
            for owner in stems.get(_owner(name, stems, folded), []):
                found.setdefault(owner, []).append(Path(folder, name))
    return found


def stem_of(model: Path) -> str:
    """What the names of a model's sidecars begin with: the name of a folder, of a file its name without the suffix."""
    return model.stem if is_model_name(model.name) and not model.is_dir() else model.name


def _is_file(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link in a circle
        return entry.is_file()
    return False


def _stems(models: Iterable[str], folders: Iterable[str]) -> dict[str, list[str]]:
    stems: dict[str, list[str]] = {}
    for name in models:
        stems.setdefault(os.path.splitext(name)[0], []).append(name)  # noqa: PTH122 (thousands in a folder)
    for name in folders:
        stems.setdefault(name, []).append(name)
    return stems


def _owner(name: str, stems: Mapping[str, object], folded: Mapping[str, str]) -> str:
    """The longest stem that stands before a dot of `name`, as written or else whatever its case; "" for none."""
    fronts = [name[:end] for end in range(len(name) - 1, 0, -1) if name[end] == "."]
    exact = next((front for front in fronts if front in stems), "")
    return exact or next((folded[_fold(front)] for front in fronts if _fold(front) in folded), "")


def _fold(name: str) -> str:
    return normalize("NFC", name).casefold()
