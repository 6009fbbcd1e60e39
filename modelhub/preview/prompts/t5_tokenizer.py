"""T5's tokenizer, which Flux needs: from a `spiece.model` or a `tokenizer.json`, whoever brought it."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import Precompiled
from tokenizers.pre_tokenizers import Metaspace, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from modelhub.errors import CorruptFileError, IncompatibleError, file_error
from modelhub.preview.prompts.charsmap import check_charsmap
from modelhub.preview.prompts.sentencepiece import Vocabulary, read_vocabulary
from modelhub.text import brief

_PAD, _END, _UNKNOWN = "<pad>", "</s>", "<unk>"
#: Words for gaps in texts that T5 was trained with, which stand behind its pieces, the last one first.
_GAPS = 100
_MOST_BYTES = 64_000_000
_MOST_PIECES = 300_000
_LONGEST_PIECE = 1_000


class T5Tokenizer:
    """Text to T5's token ids (unigram, Kudo 2018, arXiv:1804.10959). `size` is the number of tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        pieces = list(vocabulary.pieces)
        if not any(piece == "<extra_id_0>" for piece, _ in pieces):
            pieces += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(_GAPS))]
        self.size = len(pieces)
        self._tokenizer = Tokenizer(Unigram(pieces, vocabulary.unknown))
        if vocabulary.charsmap:
            self._tokenizer.normalizer = Precompiled(vocabulary.charsmap)
        self._tokenizer.pre_tokenizer = PreTokenizers([WhitespaceSplit(), Metaspace()])
        marks = [_END, _UNKNOWN, _PAD, *(piece for piece, _ in pieces if piece.startswith("<extra_id_"))]
        self._tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])

    def ids(self, text: str) -> list[int]:
        """The ids of `text`, without the end; what UTF-8 cannot hold counts as a question mark."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        found: list[int] = self._tokenizer.encode(clean, add_special_tokens=False).ids
        return found


def read_t5_tokenizer(path: Path) -> T5Tokenizer:
    """The tokenizer in a `spiece.model` or `tokenizer.json`.

    Raises CorruptFileError for a file that is neither, IncompatibleError for the tokenizer of another text encoder,
    FileError when it cannot be read.
    """
    data = _read(path)
    read = _read_json if data.lstrip()[:1] == b"{" else read_vocabulary
    vocabulary = read(data, str(path))
    _check(vocabulary, str(path))
    return T5Tokenizer(vocabulary)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise file_error(error, path) from error
    if len(data) > _MOST_BYTES:
        raise CorruptFileError(f"{brief(str(path))} is far larger than any tokenizer.", "Name the right file.")
    return data


def _read_json(data: bytes, name: str) -> Vocabulary:
    """What a `tokenizer.json` of Hugging Face says, as far as T5 needs it."""
    try:
        said = json.loads(data)
        model = said["model"]
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        packed = "".join(_charsmaps(said.get("normalizer")))
        return Vocabulary(pieces, int(model["unk_id"]), base64.b64decode(packed, validate=True))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        raise CorruptFileError(
            f"{brief(name)} holds no tokenizer of T5's kind (unigram).",
            "Name the tokenizer.json or spiece.model of T5.",
        ) from error


def _charsmaps(normaliser: Any) -> Iterator[str]:
    """The charsmap of a normaliser, or of the first of several that has one."""
    several = normaliser.get("normalizers", [normaliser]) if isinstance(normaliser, dict) else []
    found = (one.get("precompiled_charsmap") for one in several)
    yield from [charsmap for charsmap in found if charsmap][:1]


def _check(vocabulary: Vocabulary, name: str) -> None:
    """Raise for a vocabulary that is broken, or not T5's: it begins with its marks for padding and for the end."""
    pieces = vocabulary.pieces
    if not all(0 < len(piece) <= _LONGEST_PIECE and math.isfinite(score) for piece, score in pieces):
        raise CorruptFileError(f"{brief(name)} has tokens without text or score.", "Get the file again.")
    if not 3 <= len(pieces) <= _MOST_PIECES or [piece for piece, _ in pieces[:3]] != [_PAD, _END, _UNKNOWN]:
        raise IncompatibleError(
            f"{brief(name)} is the tokenizer of another text encoder, not T5's.", "Name the one of google/t5-v1_1-xxl."
        )
    if vocabulary.unknown != 2:
        raise CorruptFileError(f"{brief(name)} names no token for what it does not know.", "Get the file again.")
    check_charsmap(vocabulary.charsmap, name)
