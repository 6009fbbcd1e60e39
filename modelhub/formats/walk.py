"""Find model files below folders: every folder once, whatever links lead to it; no download in progress, no trash."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from modelhub.errors import FileError, file_error
from modelhub.text import is_utf8

#: Endings of files that may hold weights.
MODEL_SUFFIXES = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf"})
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})
_SKIPPED_PREFIXES = (".", "tmpinstall_")

Found = tuple[str, os.stat_result]
OnError = Callable[[FileError, str], None]


def walk(roots: list[Path], on_error: OnError) -> Iterator[Found]:
    """Yield (path, stat) of every model file below `roots`, following links, each folder once.

    What cannot be read goes to `on_error` with its path, and the walk goes on. Hidden files and folders are left out.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [str(root) for root in reversed(roots)]
    while waiting:
        folder = waiting.pop()
        try:
            stat = os.stat(folder)  # noqa: PTH116 (strings all the way: 50,000 Paths would cost a second)
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            on_error(file_error(error, folder), folder)
            continue
        deeper: list[str] = []
        yield from _files(entries, deeper, on_error)
        waiting += reversed(deeper)


def _files(entries: list[os.DirEntry[str]], deeper: list[str], on_error: OnError) -> Iterator[Found]:
    for entry in entries:
        if entry.name.startswith(_SKIPPED_PREFIXES):
            continue
        try:
            if entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS:
                    deeper.append(entry.path)
            elif is_model_name(entry.name):
                check_name(entry.path)
                if entry.is_file():
                    yield entry.path, entry.stat()
                elif entry.is_symlink():
                    os.stat(entry.path)  # noqa: PTH116 (says why the link leads nowhere)
        except OSError as error:
            on_error(file_error(error, entry.path), entry.path)
        except FileError as error:
            on_error(error, entry.path)


def is_model_name(name: str) -> bool:
    """Whether a file of this name may hold weights."""
    return os.path.splitext(name)[1].lower() in MODEL_SUFFIXES  # noqa: PTH122 (50,000 Paths would cost a second)


def check_name(path: str) -> None:
    """Raise FileError for a name that no text can hold, and so no catalog."""
    if not is_utf8(path):
        raise FileError(f"{path} has a name that is not valid UTF-8.", "Rename it; it was left out.")
