"""What file names tell a walk: models, shards of a set, what lies beside a model without belonging to it."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from modelhub.errors import FileError
from modelhub.text import is_utf8

#: Endings of files that may hold weights.
MODEL_SUFFIXES = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf"})
#: Models that modelhub does not read, and downloads under way: beside a model, but not about it.
NO_SIDECARS = frozenset({".onnx", ".engine", ".part", ".aria2", ".downloading", ".crdownload", ".tmp"})
#: What diffusers and transformers call files of weights, the usual name first.
WEIGHT_NAMES = ("diffusion_pytorch_model", "model", "pytorch_model")
#: The file that makes a folder a diffusers pipeline.
INDEX = "model_index.json"
_NAME = r"(?sa)(.+)-(\d{5})-of-(\d{5})((?:\.[\w-]+)?\.(?:safetensors|sft|bin))"  # compiled when there is one


def is_model_name(name: str) -> bool:
    """Whether a file of this name may hold weights."""
    return os.path.splitext(name)[1].lower() in MODEL_SUFFIXES  # noqa: PTH122 (50,000 Paths would cost a second)


def check_name(path: str) -> None:
    """Raise FileError for a name that no text can hold, and so no catalog."""
    if not path.isascii() and not is_utf8(path):
        raise FileError(f"{path} has a name that is not valid UTF-8.", "Rename it; it was left out.")


class ShardName(NamedTuple):
    """The name of a shard in parts: `stem`-`number`-of-`total``ending`; all but the number are the same in a set."""

    stem: str
    number: int
    total: int
    ending: str

    @property
    def key(self) -> tuple[str, int, str]:
        """What the shards of one set have in common."""
        return self.stem, self.total, self.ending

    def of(self, number: int) -> str:
        """The name of another shard of the set."""
        return f"{self.stem}-{number:05d}-of-{self.total:05d}{self.ending}"

    @property
    def index_names(self) -> list[str]:
        """What the index of the set may be called; that of a variant is `X.safetensors.index.fp16.json`."""
        plain = [f"{self.stem}{self.ending}.index.json"]
        base, dot, variant = self.stem.rpartition(".")
        return [*plain, f"{base}{self.ending}.index.{variant}.json"] if dot else plain


def shard_name(name: str) -> ShardName | None:
    """The parts of a file name, None if it is not that of a shard."""
    match = re.fullmatch(_NAME, name) if "-of-" in name else None
    if match is None:
        return None
    stem, number, total, ending = match.groups()
    return ShardName(stem, int(number), int(total), ending) if 1 <= int(number) <= int(total) else None


def last_part(path: str) -> str:
    """What a path ends in, on whatever system it was written."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or path
