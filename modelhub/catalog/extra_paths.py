"""ComfyUI's extra_model_paths.yaml: folders of models elsewhere, read as text and never built into objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.layouts import extra_keys
from modelhub.errors import CorruptFileError, FileError
from modelhub.formats.handle import read_bounded
from modelhub.text import is_utf8

if TYPE_CHECKING:
    from yaml import MappingNode, Node

#: Real files have a few kilobytes; brackets in brackets take time that grows with their square.
MAX_BYTES = 32_000
_HINT = "Compare it with the extra_model_paths.yaml.example that comes with ComfyUI."
_MAX_PATH = 4096
_TRUE = ("true", "yes", "on", "1")

Folder = tuple[str | None, Path]


def extra_folders(path: str | Path) -> list[Folder]:
    """The folders that an extra_model_paths.yaml names, as (kind, absolute path), those of default sections first.

    The kind is None for a name that is no folder of ComfyUI's own; the folders need not exist. As in ComfyUI, base
    paths may begin with `~` or hold variables of the environment, and what is relative starts at the file's folder.
    Raises CorruptFileError for a file that is not YAML of that form, FileError when it cannot be read.
    """
    found: list[tuple[bool, Folder]] = []
    for name, section in _tables(_root(_read(path), path), path):
        found += _section(name, section, path)
    return [folder for _, folder in sorted(found, key=lambda one: not one[0])]


def _read(path: str | Path) -> str:
    size, data = read_bounded(path, MAX_BYTES)
    if size > MAX_BYTES:
        raise CorruptFileError(f"{path} has {size:,} bytes, too many for a list of folders.", _HINT)
    return data.decode("utf-8-sig", "replace")


def _root(text: str, path: str | Path) -> Node | None:
    """The tree of the text. It is not built into objects: there aliases and merge keys could grow without bounds."""
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise CorruptFileError(f"{path} is nested too deeply.", _HINT) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise CorruptFileError(f"{path} is not valid YAML: {_words(error)}.", _HINT) from error


def _words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"{problem}, in line {mark.line + 1}" if mark is not None else str(problem)


def _tables(root: Node | None, path: str | Path) -> Iterator[tuple[str, MappingNode]]:
    """The sections of a file, by name; empty ones are left out."""
    for name, value in _entries(root, "The file", path):
        if value.tag != "tag:yaml.org,2002:null":
            yield name, _mapping(value, f"section '{name}'", path)


def _entries(node: Node | None, what: str, path: str | Path) -> Iterator[tuple[str, Node]]:
    if node is not None and node.tag != "tag:yaml.org,2002:null":
        for key, value in _mapping(node, what, path).value:
            yield _text(key, f"a name in {what}", path), value


def _mapping(node: Node, what: str, path: str | Path) -> MappingNode:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise CorruptFileError(f"{path}, line {node.start_mark.line + 1}: {what} holds no names and paths.", _HINT)
    return node


def _text(node: Node, what: str, path: str | Path) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise CorruptFileError(f"{path}, line {node.start_mark.line + 1}: {what} is not a text.", _HINT)
    return str(node.value)


def _section(name: str, section: MappingNode, path: str | Path) -> list[tuple[bool, Folder]]:
    values = {key: _text(value, f"'{key}' of section '{name}'", path) for key, value in _entries(section, name, path)}
    default = values.pop("is_default", "").strip().lower() in _TRUE
    base = _expanded(values.pop("base_path", "").strip(), path)
    start = os.path.join(os.path.dirname(os.path.abspath(path)), base)  # noqa: PTH100, PTH118, PTH120
    kinds = extra_keys()
    lines = ((key, line.strip()) for key, value in values.items() for line in value.split("\n"))
    return [(default, (kinds.get(key), _joined(start, line, path))) for key, line in lines if line]


def _expanded(base: str, path: str | Path) -> str:
    """A base path with `~` and variables filled in, which takes time that grows with the square of its length."""
    _check(base, path)
    return os.path.expandvars(os.path.expanduser(base))  # noqa: PTH111


def _check(text: str, path: str | Path) -> None:
    if len(text) > _MAX_PATH or "\0" in text or not is_utf8(text):
        raise FileError(f"{path} holds a path that no file system can have: {text[:200]!r}.", _HINT)


def _joined(start: str, line: str, path: str | Path) -> Path:
    _check(os.path.join(start, line), path)  # noqa: PTH118
    return Path(os.path.normpath(os.path.join(start, line)))  # noqa: PTH118
