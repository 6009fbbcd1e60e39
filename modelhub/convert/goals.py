"""Where a result goes: to the file or folder that the user names, or beside the source under its name."""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.errors import UsageError
from modelhub.formats.naming import is_model_name, shard_name
from modelhub.text import is_utf8


def result_path(source: Path, given: Path | None, tail: str = "") -> Path:
    """`given` if it is no folder; else a file in it, or beside `source`, that is named after `source`, with `tail`.

    `result_path(Path("m/a.ckpt"), None, ".pruned")` is `m/a.pruned.safetensors`. Raises UsageError for a name that the
    catalog cannot hold.
    """
    if not source.name.strip("."):  # "." and "..": a folder has its name elsewhere
        source = Path(os.path.abspath(source))  # noqa: PTH100
    goal = given if given is not None else source.parent
    if given is None or given.is_dir():
        goal = goal / f"{_stem(source)}{tail}.safetensors"
    if not is_utf8(str(goal.absolute())):  # bytes of the shell
        raise UsageError(f"{goal} is not a name in UTF-8.", "Choose another name.")
    return goal


def _stem(source: Path) -> str:
    """The name of an asset without its ending; of shards, what their names have in common."""
    if source.is_dir():
        return source.name
    shard = shard_name(source.name)
    return shard.stem if shard else source.stem if is_model_name(source.name) else source.name
