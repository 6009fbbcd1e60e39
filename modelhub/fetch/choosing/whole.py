"""Choosing of a folder that is one model: of each component one copy of its weights, and all that goes with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelhub.errors import NotFoundError
from modelhub.fetch.choosing.matching import index_names, model_of, of_format, of_precision
from modelhub.fetch.choosing.ranking import precision_rank, there_is
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.naming import shard_name

_INDEX = re.compile(r"\.(?:safetensors|bin)\.index(?:\.\w+)?\.json$", re.IGNORECASE)
_WEIGHTS = ("safetensors", "pickle")


def copies(files: Sequence[RemoteFile], form: str | None, precision: str | None) -> tuple[RemoteFile, ...]:
    """`files` with one copy of each model among them: safetensors before pickles, fp16 before others.

    A model that is not there as it is asked for comes as it is. Raises NotFoundError where none is.
    """
    weights = [one for one in files if one.format in _WEIGHTS and not _INDEX.search(one.name)]
    _check(weights, files, form, precision)
    kept: list[RemoteFile] = []
    for model in dict.fromkeys(model_of(one) for one in weights):
        kept += _copy([one for one in weights if model_of(one) == model], form, precision)
    left_out = [one for one in weights if one not in kept]
    return tuple(one for one in files if one not in left_out and _is_of(one, kept))


def _check(weights: list[RemoteFile], files: Sequence[RemoteFile], form: str | None, precision: str | None) -> None:
    """Raise NotFoundError for what no folder has."""
    for word, found in ((form, of_format(weights, form or "")), (precision, of_precision(weights, precision or ""))):
        if word and not found:
            raise NotFoundError(f"None of its weights is {word}.", there_is(weights or files))


def _copy(weights: list[RemoteFile], form: str | None, precision: str | None) -> Sequence[RemoteFile]:
    """The weights of one model in one format and one precision."""
    asked = of_format(weights, form) if form else ()
    mine = asked or of_format(weights, "safetensors") or tuple(weights)
    if precision and (found := of_precision(mine, precision)):
        return found
    wanted = min((one.precision for one in mine), key=precision_rank)
    return [one for one in mine if one.precision == wanted]


def _is_of(file: RemoteFile, kept: Sequence[RemoteFile]) -> bool:
    """Whether a file goes with the weights that are kept: an index must be of shards among them."""
    if _INDEX.search(file.name) is None:
        return True
    shards = [shard_name(one.name) for one in kept if _folder(one) == _folder(file)]
    names = {name.casefold() for shard in shards if shard for name in index_names(shard)}
    return file.name.casefold() in names


def _folder(file: RemoteFile) -> str:
    return file.path.rpartition("/")[0]
