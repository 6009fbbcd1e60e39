"""Picking: which files of a repository, or of a folder in it, are one model together, and which can be chosen from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from modelhub.errors import AmbiguousError, NotFoundError
from modelhub.fetch.huggingface.listing import Weights, obvious, set_of, weights
from modelhub.fetch.huggingface.pipelines import component_parts, components, pipeline_parts, standard
from modelhub.fetch.huggingface.repo import Repo, RepoFile
from modelhub.formats.naming import INDEX
from modelhub.text import few, plural


@dataclass(frozen=True)
class Picked:
    """What is offered of a repository.

    `members` are one model together where there are several, `copies` other copies of weights among them; `others` can
    be had one by one. `root` is the folder that the paths of members count from. `kind` is pipeline, component, shards,
    file, or choice: no member, a person chooses.
    """

    kind: str
    members: tuple[RepoFile, ...] = ()
    copies: tuple[RepoFile, ...] = ()
    others: tuple[RepoFile, ...] = ()
    root: str = ""

    @property
    def whole(self) -> bool:
        """Whether the members belong in one folder."""
        return self.kind in ("pipeline", "component", "shards")


def pick_file(repo: Repo, file: RepoFile) -> Picked:
    """The file; the whole set for a shard or the index of one."""
    found = set_of(file, repo.below(file.folder))
    return _shards(repo, found) if found else Picked("file", (file,))


def pick_folder(repo: Repo, folder: str, index: Any) -> Picked:
    """What a folder ("" for the whole repository) is; `index` is its `model_index.json`, read, {} if it may not be.

    Raises NotFoundError for one without weights, AmbiguousError for several sets of shards and nothing else.
    """
    files = repo.below(folder)
    if f"{folder}/{INDEX}".lstrip("/") in repo.by_path:
        return _pipeline(repo, files, folder, index)
    found = weights(files)
    top = standard([file for file in files if file.folder == folder])
    if top and _in(folder, "config.json") in repo.by_path and (len(top[0].files) > 1 or folder):
        parts = component_parts(files, folder)
        return Picked("component", parts.needed, parts.copies, _singles(found, (*parts.needed, *parts.copies)), folder)
    if not found:
        raise _no_weights(repo, folder, files)
    return _of_weights(repo, found)


def _pipeline(repo: Repo, files: Collection[RepoFile], folder: str, index: Any) -> Picked:
    names = components(index) or _folders(files, folder)
    parts = pipeline_parts(files, names, folder)
    if not parts.needed:
        raise _no_weights(repo, folder, files)
    members = (repo.by_path[_in(folder, INDEX)], *parts.needed)
    beside = weights(file for file in files if file.folder == folder)
    return Picked("pipeline", members, parts.copies, _singles(beside, ()), folder)


def _of_weights(repo: Repo, found: list[Weights]) -> Picked:
    """One model of those found, or all single files to choose from."""
    meant = obvious(found)
    if meant and len(meant.files) > 1:
        picked = _shards(repo, meant)
        return replace(picked, others=_singles(found, picked.members))
    if meant:
        return Picked("file", meant.files, others=_singles(found, meant.files))
    singles = _singles(found, ())
    if not singles:
        raise _several_sets(repo, found)
    return Picked("choice", others=singles)


def _shards(repo: Repo, found: Weights) -> Picked:
    """All shards of a set with their index, and the config beside them."""
    config = repo.by_path.get(_in(found.folder, "config.json"))
    return Picked("shards", (*found.with_index, *([config] if config else [])), root=found.folder)


def _singles(found: Collection[Weights], members: Collection[RepoFile]) -> tuple[RepoFile, ...]:
    """The models that are one file each and no member."""
    return tuple(one.first for one in found if len(one.files) == 1 and one.first not in members)


def _folders(files: Collection[RepoFile], root: str) -> list[str]:
    """The folders right below `root`: what a pipeline consists of, if its index may not be read."""
    skip = len(root) + 1 if root else 0
    return sorted({file.path[skip:].partition("/")[0] for file in files if "/" in file.path[skip:]})


def _in(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _no_weights(repo: Repo, folder: str, files: Collection[RepoFile]) -> NotFoundError:
    where = f"{folder} of {repo.id}" if folder else repo.id
    there = f"There are: {few([file.path for file in files])}." if files else "It is empty."
    hint = f"A file of another kind is had by its name: {repo.id}:FILE. See {repo.page}/tree/main."
    return NotFoundError(f"{where} has no weights in safetensors, torch or GGUF files. {there}", hint)


def _several_sets(repo: Repo, found: Collection[Weights]) -> AmbiguousError:
    names = [one.first.path for one in found]
    message = f"{repo.id} has {plural(len(names), 'model')}, each of several files: {few(names)}."
    return AmbiguousError(message, f"Name one of the files: {repo.id}:{names[0]}")
