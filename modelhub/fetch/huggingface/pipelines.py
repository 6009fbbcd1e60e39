"""Pipelines: the files that a diffusers folder needs, of all that a repository has of it.

Of each component one copy of the weights, in safetensors where there is one and in fp16 where there is one, and the
small files that configure it. Weights for other machines, other copies and programs stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from modelhub.fetch.huggingface.listing import Weights, weights
from modelhub.fetch.huggingface.repo import RepoFile
from modelhub.formats.naming import WEIGHT_NAMES

#: Endings of the files that configure a component: configs, vocabularies, chat templates.
_SMALL = (".json", ".txt", ".jinja", ".model", ".tiktoken")
_NO_CONFIGS = ("readme.txt", "license.txt", "notice.txt", "requirements.txt")


def components(index: Any) -> list[str]:
    """The folders that a `model_index.json` names: those it gives a library and a class."""
    pairs = index.items() if isinstance(index, dict) else ()
    return [name for name, value in pairs if isinstance(value, list) and len(value) == 2 and all(map(_is_word, value))]


@dataclass(frozen=True)
class Parts:
    """The files of a component, or of several: those that are needed, and further copies of the weights among them."""

    needed: tuple[RepoFile, ...] = ()
    copies: tuple[RepoFile, ...] = ()


def pipeline_parts(files: Collection[RepoFile], names: Iterable[str], root: str = "") -> Parts:
    """The files of the components `names` below `root`; without any weights, nothing."""
    front = f"{root}/" if root else ""
    found = [component_parts(files, front + name) for name in names]
    if not any(is_weights(file) for part in found for file in part.needed):
        return Parts()
    return Parts(_sorted(found, lambda part: part.needed), _sorted(found, lambda part: part.copies))


def component_parts(files: Collection[RepoFile], folder: str) -> Parts:
    """The files of one component: the chosen copy of its weights with its configs, and the other copies."""
    inside = [file for file in files if not folder or file.path.startswith(f"{folder}/")]
    mine = [file for file in inside if file.folder == folder]
    copies = standard(mine)
    configs = [file for file in (inside if folder else mine) if _is_config(file)]
    chosen = copies[0].with_index if copies else ()
    return Parts((*chosen, *configs), tuple(file for one in copies[1:] for file in one.with_index))


def standard(files: Iterable[RepoFile]) -> list[Weights]:
    """One copy for each format and precision of the weights that have a name of the library's, the best first."""
    named = [one for one in weights(files) if one.base in WEIGHT_NAMES and one.ending in ("safetensors", "bin")]
    named.sort(key=lambda one: (one.rank[:3], WEIGHT_NAMES.index(one.base), one.rank))
    usual = [one for one in named if not one.is_odd] or named[:1]
    found: dict[tuple[bool, str | None], Weights] = {}
    for one in usual:
        found.setdefault((one.is_pickle, one.precision), one)
    return list(found.values())


def is_weights(file: RepoFile) -> bool:
    """Whether a file of a component holds weights."""
    return file.name.endswith((".safetensors", ".bin"))


def _sorted(parts: Iterable[Parts], of: Callable[[Parts], Iterable[RepoFile]]) -> tuple[RepoFile, ...]:
    return tuple(sorted({file for part in parts for file in of(part)}, key=lambda file: file.path))


def _is_config(file: RepoFile) -> bool:
    name = file.name.lower()
    return name.endswith(_SMALL) and ".index." not in name and name not in _NO_CONFIGS and not name.startswith(".")


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
