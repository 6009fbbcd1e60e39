"""Diffusers folders: a pipeline of several components, or one component with its config, as one source.

A component is often there in several copies. Of these the one is taken that diffusers would take without being told
more: safetensors before pickles, plain before variants (`.fp16.`), one file before shards; `.non_ema.` comes last.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.errors import CorruptFileError, NotAModelError, file_error
from modelhub.formats.files import open_file
from modelhub.formats.json_file import read_table
from modelhub.formats.naming import INDEX, WEIGHT_NAMES, shard_name
from modelhub.formats.shards import ShardedFile, shard_files
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Combined, Renamed

_WEIGHTS = re.compile(
    rf"({'|'.join(WEIGHT_NAMES)})((?:\.\w+)?)(-\d{{5}}-of-\d{{5}})?((?:\.\w+)?)\.(safetensors|bin)", re.ASCII
)
_COMPONENT = re.compile(r"\w{1,100}", re.ASCII)
_MAX_COMPONENTS = 64
#: Components whose weights make no picture.
_LEFT_OUT = ("safety_checker", "feature_extractor")
#: What a config says that shapes do not, or that explains them.
_FACTS = ("in_channels", "cross_attention_dim", "guidance_embeds", "sample_size", "num_train_timesteps")
_SCHEDULE = ("prediction_type", "rescale_betas_zero_snr")
_AGAIN = "Download or copy the folder again."


@dataclass
class Layout:
    """What a folder holds: the weight files of each component ("" for a single one), the configs read, the facts."""

    parts: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    configs: list[Path] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every weight file that is used."""
        return tuple(file for files in self.parts.values() for file in files)

    def read(self, config: Path) -> dict[str, Any]:
        """The table of a config, {} where there is none."""
        if not _is_file(config):
            return {}
        self.configs.append(config)
        return read_table(config)


class DiffusersFolder(Combined):
    """The components of a folder as one source; in a pipeline, names begin with the component's: `unet.`, `vae.`.

    `members` are the weight files used. Metadata: `diffusers.class`; the class of each component as
    `diffusers.<component>`; facts of its config as `diffusers.<component>.<fact>`, of a single one `diffusers.<fact>`;
    `diffusers.prediction_type` and `diffusers.rescale_betas_zero_snr` of the scheduler; `diffusers.left_out`. Raises
    NotAModelError for another folder, CorruptFileError for missing weights, and what the readers of the files raise.
    """

    def __init__(self, path: str | Path) -> None:
        layout = look(Path(path))
        self.members = layout.files
        sources: list[TensorSource] = []
        try:
            for name, files in layout.parts.items():
                sources.append(ShardedFile(files[0]) if shard_name(files[0].name) else open_file(files[0]))
                if name:
                    sources[-1] = Renamed(sources[-1], f"{name}.".__add__)
            super().__init__(sources, layout.metadata)
        except BaseException:
            for source in sources:
                source.close()
            raise


def look(folder: Path) -> Layout:
    """What a diffusers folder holds, no weight file opened. Raises as DiffusersFolder does."""
    index, config = folder / INDEX, folder / "config.json"
    if _is_file(index):
        found = _pipeline(folder, index)
    elif _is_file(config):
        found = _single(folder, config)
    else:
        raise NotAModelError(f"{folder} is a folder, with neither {INDEX} nor config.json in it.", "Name a file in it.")
    if not found.files:
        raise CorruptFileError(f"{folder} is a diffusers folder without weights.", _AGAIN)
    return found


def _pipeline(folder: Path, index: Path) -> Layout:
    found = Layout()
    table = found.read(index)
    found.metadata["diffusers.class"] = _text(table.get("_class_name")) or "unknown"
    left_out = []
    for name, kind in _components(table, index).items():
        found.metadata[f"diffusers.{name}"] = kind
        files = weight_files(folder / name)
        if files and name in _LEFT_OUT:
            left_out.append(name)
        elif files:
            found.parts[name] = files
            _add(found, f"diffusers.{name}.", _FACTS, found.read(folder / name / "config.json"))
    if left_out:
        found.metadata["diffusers.left_out"] = ", ".join(left_out)
    schedule = found.read(folder / "scheduler" / "scheduler_config.json")
    _add(found, "diffusers.", _SCHEDULE, schedule)
    _add(found, "diffusers.scheduler.", _FACTS, schedule)
    return found


def _single(folder: Path, config: Path) -> Layout:
    found = Layout()
    table = found.read(config)
    names = table.get("architectures")
    kind = _text(table.get("_class_name")) or _text(names[0] if isinstance(names, list) and names else None)
    if not kind:
        raise NotAModelError(f"{config} names no class: this is not a folder of diffusers.", "Name a file in it.")
    found.metadata["diffusers.class"] = kind
    _add(found, "diffusers.", _FACTS, table)
    if files := weight_files(folder):
        found.parts[""] = files
    return found


def _components(table: dict[str, Any], index: Path) -> dict[str, str]:
    """Name to class of the components: what the index gives a library and a class."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value):
            if not _COMPONENT.fullmatch(name):
                raise CorruptFileError(f"{index} names the component {name[:100]!r}, which is no folder in it.", _AGAIN)
            found[name] = value[1][:200]
    if len(found) > _MAX_COMPONENTS:
        raise CorruptFileError(f"{index} names {len(found)} components, more than any pipeline has.", _AGAIN)
    return found


def _add(found: Layout, prefix: str, names: tuple[str, ...], table: dict[str, Any]) -> None:
    """Put those of `names` that a config has into the metadata."""
    found.metadata |= {prefix + name: text for name in names if (text := _text(table.get(name)))}


def _text(value: Any) -> str:
    """A text as it is, numbers, truths and short lists as JSON; "" for anything else."""
    if isinstance(value, str):
        return value[:200]
    plain = isinstance(value, (bool, int, float)) or (
        isinstance(value, list) and len(value) <= 16 and all(isinstance(item, (int, float)) for item in value)
    )
    return json.dumps(value)[:200] if plain else ""


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (never raises)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of the copy of a component that is taken, () where there is none.

    Raises CorruptFileError when shards of it are missing, FileError when the folder cannot be read.
    """
    best = min(_copies(folder), default=None)
    return shard_files(folder / best[1]) if best else ()


def _copies(folder: Path) -> list[tuple[tuple[object, ...], str]]:
    """(rank, name) of every weight file in a folder; the least is taken, or the set that it belongs to."""
    try:
        with os.scandir(folder) as entries:
            matches = [match for entry in entries if (match := _WEIGHTS.fullmatch(entry.name)) and entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise file_error(error, folder) from error
    return [(_rank(*match.groups()), match.string) for match in matches]


def _rank(base: str, front: str, shard: str | None, back: str, ending: str) -> tuple[object, ...]:
    variant = front + back
    at = WEIGHT_NAMES.index(base)
    return "non_ema" in variant, ending != "safetensors", variant != "", shard is not None, at, variant
