"""Folder layouts of other tools: whose folder it is, where each kind of file lies. Data: `catalog/layouts.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from modelhub.catalog.data import data_path

#: Folders below the one that the user named are looked at too, so many at most.
_MAX_BELOW = 200
#: Folders above it: `models/loras/style` is one of ComfyUI's too.
_MAX_ABOVE = 6


@dataclass(frozen=True, slots=True)
class Special:
    """Files of one kind that go to a folder of their own, by format or architecture; "" where they are of no use."""

    kind: str
    folder: str
    architecture: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one installation of a tool: `root` is its own folder, `models` the one of its models."""

    id: str
    title: str
    root: Path
    models: Path
    kinds: Mapping[str, tuple[str, ...]] = field(repr=False)
    special: tuple[Special, ...] = field(repr=False)

    def folder(self, kind: str, *, architecture: str | None = None, format: str | None = None) -> Path | None:
        """Where a new file of this kind belongs; None if the tool has no folder for it, or no use for it."""
        for one in self.special:
            if one.kind == kind and (one.architecture in (None, architecture)) and (one.format in (None, format)):
                return self._path(one.folder) if one.folder else None
        return next(self._paths(kind), None)

    def folders(self) -> dict[str, list[Path]]:
        """Kind to the folders that may hold such files, whether they exist or not; the first takes new ones."""
        return {kind: list(self._paths(kind)) for kind in self.kinds}

    def kind_of(self, path: str | Path) -> str | None:
        """The kind that the folder of a file suggests; a hint only, for folders hold what people put into them."""
        wanted = os.path.abspath(path)  # noqa: PTH100 (as it is called: links lead elsewhere)
        inside = [
            (len(str(folder)), -order, kind)
            for order, (kind, folders) in enumerate(self.folders().items())
            for folder in folders
            if wanted.startswith(os.path.join(folder, ""))  # noqa: PTH118
        ]
        return max(inside)[2] if inside else None

    def _paths(self, kind: str) -> Iterator[Path]:
        found = (self._path(name) for name in self.kinds.get(kind, ()))
        return (path for path in found if path is not None)

    def _path(self, name: str) -> Path | None:
        """A folder by its name; one beside the folder of models is unknown where only that folder was found."""
        if name.startswith("../"):
            return None if self.models == self.root else self.models.parent / name[3:]
        return self.models / name


def recognise(path: str | Path) -> Layout | None:
    """The tool whose folder `path` is; also for its folder of models, for one inside that, and for the one above.

    None if no tool is known by what lies there, or if several lie side by side below it.
    """
    start = Path(os.path.abspath(path))  # noqa: PTH100
    here = _at(start)
    if here is not None:
        return here
    below = [found for one in _subfolders(start) if (found := _at(one)) is not None]
    if below:
        return below[0] if len(below) == 1 else None
    above = (_at(one) for one in start.parents[:_MAX_ABOVE])
    return next((one for one in above if one is not None and one.kind_of(start / "file") is not None), None)


def laid_out_as(tool: str, models: Path) -> Layout:
    """The layout of a tool by its id, with `models` as its folder of models, whatever lies there."""
    row = next(row for row in _rows() if row["id"] == tool)
    return _layout(row, models, models)


def extra_keys() -> dict[str, str]:
    """Names of ComfyUI's extra_model_paths.yaml, its folders' and older ones, to the kind of file that lies there."""
    comfy = next(row for row in _rows() if row["id"] == "comfyui")
    names = {name: kind for kind, folders in reversed(_kinds(comfy).items()) for name in folders}
    keys: dict[str, str] = _table()["keys"]
    return {**names, **keys}


def named_after(kind: str, folder: Path) -> Path | None:
    """The folder in another that is called as a kind, or as some tool calls the one of that kind, however spelled."""
    known = _names_of_kind(kind)
    found = (folder / name for name in sorted(_names(folder)) if _plainly(name) in known)
    return next((one for one in found if one.is_dir()), None)


@cache
def _names_of_kind(kind: str) -> frozenset[str]:
    """What the folder is called that takes new files of a kind, where no files of another kind go there, too."""
    main = [{one: names[0] for one, names in _kinds(row).items()} for row in _rows()]
    own = (row[kind] for row in main if kind in row and list(row.values()).count(row[kind]) == 1)
    return frozenset(_plainly(name) for name in (kind, *own))


def _plainly(name: str) -> str:
    """A name without what people spell differently: case, what separates words, the plural."""
    return "".join(one for one in name.casefold() if one.isalnum()).removesuffix("s")


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("layouts.toml").read_text(encoding="utf-8"))


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table()["layout"]
    return rows


def _parent(row: dict[str, Any]) -> dict[str, Any]:
    return next((one for one in _rows() if one["id"] == row.get("like")), {})


def _kinds(row: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    folders = {**_parent(row).get("folders", {}), **row.get("folders", {})}
    return {kind: tuple(names) for kind, names in folders.items()}


def _at(folder: Path) -> Layout | None:
    """The layout whose root or folder of models is `folder`."""
    above = (_by_markers(one) for one in folder.parents[:2])
    its_models = (one for one in above if one is not None and one.models == folder)
    return _by_markers(folder) or next(its_models, None) or _by_insides(folder)


def _by_markers(root: Path) -> Layout | None:
    names = _names(root)
    for key, row in product(("markers", "signs"), _rows()):
        if any(all(_has(root, names, wanted) for wanted in group) for group in row.get(key, ())):
            models = next((one for one in row["models"] if _has(root, names, one)), row["models"][0])
            return _layout(row, root, root / models)
    return None


def _by_insides(models: Path) -> Layout | None:
    """A folder of models by itself: its root is the folder above if it has the usual name, else the folder itself."""
    names = _names(models)
    for row in _rows():
        if any(names.issuperset(group) for group in row.get("inside", ())):
            return _layout(row, models.parent if models.name in row["models"] else models, models)
    return None


def _layout(row: dict[str, Any], root: Path, models: Path) -> Layout:
    special = [Special(**one) for one in (*row.get("special", ()), *_parent(row).get("special", ()))]
    return Layout(row["id"], row["title"], root, models, _kinds(row), tuple(special))


def _has(folder: Path, names: frozenset[str], wanted: str) -> bool:
    """Whether `wanted` lies below `folder`, spelled just so also where the system does not mind the case."""
    first, _, rest = wanted.partition("/")
    return first in names and (not rest or _has(folder / first, _names(folder / first), rest))


def _names(folder: Path) -> frozenset[str]:
    with suppress(OSError, ValueError):  # also a name that no file can have
        return frozenset(os.listdir(folder))  # noqa: PTH208 (names are wanted)
    return frozenset()


def _subfolders(folder: Path) -> list[Path]:
    names = sorted(name for name in _names(folder) if not name.startswith("."))[:_MAX_BELOW]
    return [folder / name for name in names]
