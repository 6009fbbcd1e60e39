"""CLIP's tokenizer, built offline from the merge rules in the catalog."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from modelhub.catalog.data import data_path
from modelhub.errors import CorruptFileError, file_error

_BEGIN, _END = "<|startoftext|>", "<|endoftext|>"
_RULES = 48_894
#: What is one piece before merging: a mark, an English ending, a run of letters, one digit, a run of anything else.
_PIECE = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Text to the token ids of SD1, SD2, SDXL and Flux (byte-pair encoding, Sennrich et al. 2016, arXiv:1508.07909)."""

    bos = 49406
    eos = 49407
    #: Tokens of text in one chunk, without begin and end.
    chunk = 75

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        units = _byte_names()
        tokens = [*units, *(f"{unit}</w>" for unit in units), *(left + right for left, right in merges), _BEGIN, _END]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        self._tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token=_END))
        self._tokenizer.normalizer = Normalizers([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
        pieces = Split(Regex(_PIECE), behavior="removed", invert=True)
        self._tokenizer.pre_tokenizer = PreTokenizers([pieces, ByteLevel(add_prefix_space=False)])
        self._tokenizer.add_special_tokens([_BEGIN, _END])

    def ids(self, text: str) -> list[int]:
        """The ids of `text`, without begin and end; what UTF-8 cannot hold counts as a question mark."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        found: list[int] = self._tokenizer.encode(clean, add_special_tokens=False).ids
        return found

    def chunks(self, text: str, pad: int = eos) -> list[list[int]]:
        """The ids of `text` in chunks of 77: begin, 75 tokens, end; a short chunk is padded after its end. Never empty.

        `pad` is the end token for SD1, and 0 for OpenCLIP's encoders (SD2, the second of SDXL).
        """
        ids = self.ids(text)
        return [self.wrap(ids[start : start + self.chunk], pad) for start in range(0, max(len(ids), 1), self.chunk)]

    def wrap(self, ids: list[int], pad: int = eos) -> list[int]:
        """At most 75 ids -> 77: begin, the ids, end, `pad` up to the full length."""
        return [self.bos, *ids, self.eos] + [pad] * (self.chunk - len(ids))


@cache
def clip_tokenizer() -> ClipTokenizer:
    """The tokenizer, built once per process. Raises FileError when the catalog's merge rules are gone or damaged."""
    path = data_path("tokenizer", "clip-bpe-merges.txt.xz")
    return ClipTokenizer(read_merges(path))


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The 48,894 merge rules of CLIP in order of rank. Raises FileError, and CorruptFileError for anything else."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            pairs = [line.split() for line in file]
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} cannot be unpacked: {error}.", "Install modelhub again.") from error
    except OSError as error:
        raise file_error(error, path) from error
    if len(pairs) != _RULES or any(len(pair) != 2 for pair in pairs):
        raise CorruptFileError(f"{path} does not hold the {_RULES} merge rules of CLIP.", "Install modelhub again.")
    return [(left, right) for left, right in pairs]


def _byte_names() -> list[str]:
    """One visible character per byte: itself where it is one, else the next free one from 256 on (GPT-2's table).

    In CLIP's order: the visible bytes first, then the others.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + place) for place in range(len(others))]
