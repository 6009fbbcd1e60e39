"""Models that a tool keeps outside its own folder: what ComfyUI's extra_model_paths.yaml names is scanned with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from modelhub.errors import FileError
from modelhub.jobs import QUIET, Job
from modelhub.settings import user_path

_EXTRA = "extra_model_paths.yaml"


def with_elsewhere(folders: Iterable[Path], job: Job = QUIET) -> list[Path]:
    """`folders`, and those that exist outside them by the extra_model_paths.yaml of a ComfyUI among them.

    What cannot be read there is a warning, and the folders themselves are scanned all the same.
    """
    found = [Path(os.path.abspath(user_path(folder))) for folder in folders]  # noqa: PTH100 (links stay as written)
    for folder in list(found):
        for extra in _extras(folder, job):
            if extra.is_dir() and not any(extra.is_relative_to(known) for known in found):
                job.say(f"{folder / _EXTRA} names {extra}, which is indexed too.")
                found.append(extra)
    return found


def _extras(folder: Path, job: Job) -> list[Path]:
    file = folder / _EXTRA
    if not os.path.isfile(file):  # noqa: PTH113 (never raises)
        return []
    from modelhub.catalog.extra_paths import extra_folders  # few folders have such a file
    from modelhub.catalog.layouts import recognise

    layout = recognise(folder)
    if layout is None or layout.id != "comfyui":
        return []
    try:
        return [path for _, path in extra_folders(file)]
    except FileError as error:
        job.say(error.message, "warning")
        return []
