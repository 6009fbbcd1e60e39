"""Matching: whether a file is one that the user describes, by a pattern, a format, a precision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from modelhub.fetch.choosing.ranking import WEIGHTS
from modelhub.fetch.names.endings import format_by_name
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.naming import WEIGHT_NAMES, ShardName

_GLOB = re.compile(r"[*?\[]")
#: Civitai's words for formats, as an AIR has them; other words are endings, or our own.
_FORMATS = {"safetensor": "safetensors", "pickletensor": "pickle", "core ml": "coreml"}
_ENDING = re.compile(r"\.\w+$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_COPY = re.compile(r"[._-](fp32|fp16|bf16|fp8\w*|nf4|i?q\d\w*|pruned|full|ema|emaonly|ema-only)(?=$|[._-])")


def is_glob(pattern: str) -> bool:
    """Whether a pattern has wildcards, and so means all files that fit."""
    return _GLOB.search(pattern) is not None


def matching(files: Sequence[RemoteFile], pattern: str) -> tuple[RemoteFile, ...]:
    """The files that `pattern` means, in any case of letters: a name or path, a folder, a glob, or a part of a path.

    The first of these that fits any file counts, so that a whole name never means more than its file.
    """
    wanted = pattern.strip().casefold()
    inside = f"{wanted.strip('/')}/"
    ways = (
        lambda path, name: wanted in (path, name),
        lambda path, name: path.startswith(inside) and wanted != "",
        lambda path, name: is_glob(wanted) and (fnmatchcase(path, wanted) or fnmatchcase(name, wanted)),
        lambda path, name: wanted in path or wanted in name,
    )
    for fits in ways:
        found = tuple(one for one in files if fits((one.path or one.name).casefold(), one.name.casefold()))
        if found:
            return found
    return ()


def of_format(files: Sequence[RemoteFile], word: str) -> tuple[RemoteFile, ...]:
    """The files of a format, by its name or an ending of such files."""
    folded = word.strip().lstrip(".").casefold()
    by_ending = format_by_name(folded)
    wanted = _FORMATS.get(folded, folded if by_ending == "other" else by_ending)
    return tuple(one for one in files if one.format == wanted)


def of_precision(files: Sequence[RemoteFile], word: str) -> tuple[RemoteFile, ...]:
    """The files of a precision; where none is just that, those whose precision begins with it: q4 for Q4_K_M."""
    folded = word.strip().casefold()
    told = [(one, one.precision.casefold()) for one in files if one.precision]
    exact = tuple(one for one, precision in told if precision == folded)
    return exact or tuple(one for one, precision in told if folded and precision.startswith(folded))


def of_pruning(files: Sequence[RemoteFile], pruned: bool) -> tuple[RemoteFile, ...]:
    """The pruned files, or those that are not."""
    if pruned:
        return tuple(one for one in files if one.pruned is True or one.role == "pruned-model")
    told = tuple(one for one in files if one.pruned is False)
    return told or tuple(one for one in files if one.pruned is None and one.role != "pruned-model")


def without_twins(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files without the pickles beside which the same weights lie as safetensors."""
    safe = {_stem(one) for one in files if one.format == "safetensors"}
    return tuple(one for one in files if not (one.format == "pickle" and _stem(one) in safe))


def same_model(files: Sequence[RemoteFile]) -> bool:
    """Whether files are copies, or parts, of one model."""
    return len({model_of(one) for one in files}) <= 1


def model_of(file: RemoteFile) -> str:
    """What copies of one model have in common: the path without ending, number of a shard, precision and pruning."""
    folder, slash, name = (file.path or file.name).casefold().rpartition("/")
    plain = _COPY.sub("", _SHARD.sub("", _ENDING.sub("", name)))
    return f"{folder}{slash}{'model' if plain in WEIGHT_NAMES else plain}"


def _stem(file: RemoteFile) -> tuple[str, str]:
    """Role and path without the ending."""
    role = "model" if file.role in WEIGHTS else file.role
    return role, _ENDING.sub("", (file.path or file.name).casefold())


def index_names(shard: ShardName) -> list[str]:
    """What the index may be called, also where the variant stands behind the numbers, and as it once was spelled."""
    inner, _, ending = shard.ending.strip(".").rpartition(".")
    base, _, variant = (shard.stem, "", inner) if inner else shard.stem.rpartition(".")
    odd = (f"{base}.{ending}.index.{variant}.json", f"{base}.{ending}.{variant}.index.json")
    return [*shard.index_names, *(odd if variant and base else ())]
