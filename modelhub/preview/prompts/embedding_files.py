"""Files of embeddings: .pt and .bin pickles (never unpickled), safetensors, and A1111's pictures with an embedding in.

Layouts: `string_to_param.*` (A1111), `emb_params` (kohya), `clip_l`, `clip_g` and `t5` or `t5xxl` (for several text
encoders), or one tensor of any name (diffusers). In pictures it is base64 of JSON, in the text chunk `sd-ti-embedding`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modelhub.catalog.companions import table
from modelhub.errors import CorruptFileError, IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.formats.picture_texts import read_texts
from modelhub.formats.source import TensorSource
from modelhub.preview.prompts.embeddings import ANY, Embedding
from modelhub.preview.prompts.families import T5XXL
from modelhub.text import brief, few

PICTURES = (".png", ".webp")
_CHUNK = "sd-ti-embedding"
_PARAMETER = "string_to_param"
_TENSOR = "TORCHTENSOR"
#: Bytes of one embedding; 75 tokens of T5's width in float64 take 2.5 MB.
_MOST = 20_000_000


def read_embedding(path: str | Path, name: str | None = None, *, asked: bool = True) -> Embedding:
    """The embedding in a file; `name` is the word for it, by default the one that a picture says, or the file's stem.

    Raises IncompatibleError for a file that holds something else, CorruptFileError for broken numbers, and what opening
    raises.
    """
    path = Path(path)
    if path.suffix.lower() in PICTURES:
        own, tensors = _of_picture(path)
        return _embedding(name or own or path.stem, tensors, asked)
    with open_source(path) as source:
        return _embedding(name or path.stem, _of_source(source, path.name), asked)


def _embedding(name: str, tensors: Mapping[str, Tensor], asked: bool) -> Embedding:
    return Embedding(name, {encoder: _checked(name, found) for encoder, found in tensors.items()}, asked=asked)


def _checked(name: str, found: Tensor) -> Tensor:
    vectors = (found[None] if found.ndim == 1 else found).float()
    if vectors.ndim != 2 or not vectors.numel():
        raise IncompatibleError(
            f"The embedding {brief(name)} has the shape {list(found.shape)}; a vector for each token is expected.",
            "It is something else; `modelhub identify` says what.",
        )
    if not torch.isfinite(vectors).all():
        raise CorruptFileError(f"The embedding {brief(name)} holds numbers that are none.", "Get it again.")
    return vectors


def _of_source(source: TensorSource, name: str) -> dict[str, Tensor]:
    """The vectors of a file by text encoder."""
    names = dict(_named(source, name))
    size = sum(source.info(tensor).nbytes for tensor in names.values())
    if size > _MOST:
        raise IncompatibleError(
            f"{brief(name)} is no embedding: its vectors take {size:,} bytes.", "It is something else."
        )
    return {encoder: source.tensor(tensor) for encoder, tensor in names.items()}


def _named(source: TensorSource, name: str) -> Iterator[tuple[str, str]]:
    """Text encoder and tensor name of each set of vectors."""
    encoders: Mapping[str, str] = {**table()["embedded"], T5XXL: T5XXL}
    names = list(source.header.tensors)
    told = [one for one in names if one in encoders]
    mine = [one for one in names if one == "emb_params" or one.startswith(_PARAMETER)] or (names if not told else [])
    if told and not mine:
        yield from ((encoders[one], one) for one in told)
    elif len(mine) == 1:
        yield ANY, mine[0]
    else:
        raise IncompatibleError(
            f"{brief(name)} is no embedding of one word: it holds {len(names)} tensors ({few(names)}).",
            "`modelhub identify` says what it is.",
        )


def _of_picture(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The name that a picture says and the vectors in it."""
    text = read_texts(path).get(_CHUNK)
    if text is None:
        raise IncompatibleError(f"{path} has no embedding in it.", "A1111 writes such pictures while it trains one.")
    try:
        data = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _broken(path) from error
    if not isinstance(data, dict) or not isinstance(found := data.get(_PARAMETER), dict) or len(found) != 1:
        raise _broken(path)
    name = data.get("name")
    return name if isinstance(name, str) else "", {ANY: _numbers(next(iter(found.values())), path)}


def _numbers(value: Any, path: Path) -> Tensor:
    try:
        return torch.tensor(value[_TENSOR], dtype=torch.float32)
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError, OverflowError) as error:
        raise _broken(path) from error


def _broken(path: Path) -> CorruptFileError:
    return CorruptFileError(f"The embedding in {path} cannot be read.", "Get the picture again, as it was written.")
