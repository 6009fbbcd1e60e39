"""One text encoder with its tokenizer: texts to vectors, each chunk encoded once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.prompts.attention import Piece
from modelhub.preview.prompts.chunks import Chunk, Ids, clip_chunks, t5_chunks
from modelhub.preview.prompts.embeddings import Embedding, Words
from modelhub.preview.prompts.emphasis import emphasised, pieces_of

#: Chunks whose vectors are kept: those of two long prompts for both encoders of SDXL take 40 MB.
KEPT = 64
#: The same of T5, whose chunks are long and wide.
KEPT_LONG = 8


class TokenIds(Protocol):
    """A tokenizer."""

    def ids(self, text: str) -> list[int]:
        """The ids of a text, without begin and end."""
        ...


class Remembered:
    """The last results of something expensive."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._known: dict[Hashable, Tensor] = {}

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """What was made for `key` before, or now."""
        if key not in self._known:
            made = make()
            while len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = made
        return self._known[key]


class ClipReader:
    """CLIP: `embeddings` with their vectors of this encoder's width, `pad` what follows the end token.

    `projected` says how vectors of whole texts are made; None where nobody asks for any.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        tokenizer: TokenIds,
        embeddings: dict[Embedding, Tensor],
        pad: int,
        kept: Remembered | None = None,
        projected: bool | None = None,
    ) -> None:
        self._encoder, self._embeddings, self._pad, self._projected = encoder, embeddings, pad, projected
        self._ids: Ids = tokenizer.ids
        self._words = Words(embeddings, tokenizer.ids)
        self._kept = kept or Remembered()

    @property
    def depth(self) -> int:
        """How many layers the encoder has."""
        return self._encoder.depth

    def chunks(self, text: str, emphasis: str) -> list[Chunk]:
        """A text in chunks; one at least."""
        return clip_chunks(pieces_of(text, emphasis), self._ids, self._words, self._pad)

    def tokens(
        self, texts: Sequence[str], counts: Sequence[int], emphasis: str, skip: int, *, normed: bool
    ) -> list[Tensor]:
        """Prompt vectors [T, D] of the texts that one prompt becomes, all of one length: empty chunks fill up.

        `counts` says how often each is among them. See `TextEncoder.encode` for `skip`, `normed` and errors.
        """
        chunked = [self.chunks(text, emphasis) for text in texts]
        longest = max(map(len, chunked))
        (empty,) = clip_chunks([Piece("", 1.0)], self._ids, self._words, self._pad)
        rows = [chunks + [empty] * (longest - len(chunks)) for chunks in chunked]
        columns = [
            emphasised(
                [self._encoded(chunk, skip, normed, is_first=place == 0) for chunk in column],
                [chunk.weights for chunk in column],
                counts,
                emphasis,
            )
            for place, column in enumerate(zip(*rows, strict=True))
        ]
        return [torch.cat(parts) for parts in zip(*columns, strict=True)]

    def pooled(self, text: str, emphasis: str) -> Tensor:
        """The vector [P] of a whole text: of its first chunk, whatever the weights in it."""
        chunk, projected = self.chunks(text, emphasis)[0], bool(self._projected)

        def make() -> Tensor:
            return self._encoder.pool(self._vectors(chunk), _end(chunk), projected=projected)[0]

        return self._kept.get(_key(chunk), make)

    def _encoded(self, chunk: Chunk, skip: int, normed: bool, *, is_first: bool) -> Tensor:
        """The vectors of a chunk; that of a whole text, which its first chunk has, is found on the way."""

        def make() -> Tensor:
            vectors, projected = self._vectors(chunk), self._projected
            if not is_first or projected is None:
                return self._encoder.encode(vectors, skip, normed=normed)[0]
            found, pooled = self._encoder.encode_and_pool(
                vectors, _end(chunk), skip, normed=normed, projected=projected
            )
            self._kept.get(_key(chunk), lambda: pooled[0])
            return found[0]

        return self._kept.get((_key(chunk), skip, normed), make)

    def _vectors(self, chunk: Chunk) -> Tensor:
        return _embedded(self._encoder, chunk, self._embeddings)


class T5Reader:
    """T5: all of a text at once, of whatever length."""

    def __init__(
        self,
        encoder: T5,
        tokenizer: TokenIds,
        embeddings: dict[Embedding, Tensor],
        kept: Remembered | None = None,
    ) -> None:
        self._encoder, self._embeddings = encoder, embeddings
        self._ids: Ids = tokenizer.ids
        self._words = Words(embeddings, tokenizer.ids)
        self._kept = kept or Remembered(KEPT_LONG)

    def chunks(self, text: str, emphasis: str) -> list[Chunk]:
        """A text in chunks: one, and one more for each BREAK."""
        return t5_chunks(pieces_of(text, emphasis), self._ids, self._words)

    def tokens(self, text: str, emphasis: str) -> Tensor:
        """Prompt vectors [T, D], 256 or more."""
        parts = [
            emphasised([self._encoded(chunk)], [chunk.weights], [1], emphasis)[0]
            for chunk in self.chunks(text, emphasis)
        ]
        return torch.cat(parts)

    def _encoded(self, chunk: Chunk) -> Tensor:
        def make() -> Tensor:
            return self._encoder.encode(_embedded(self._encoder, chunk, self._embeddings))[0]

        return self._kept.get(_key(chunk), make)


def _key(chunk: Chunk) -> Hashable:
    """What the vectors of a chunk depend on: not on the weights."""
    return chunk.ids, tuple((fix.place, id(fix.embedding)) for fix in chunk.fixes)


def _end(chunk: Chunk) -> Tensor:
    """Where the first end token stands [1], which has the highest id."""
    return torch.tensor([chunk.ids.index(max(chunk.ids))])


def _ids(encoder: TextEncoder | T5, ids: Sequence[int]) -> Tensor:
    return torch.tensor([ids], device=next(encoder.parameters()).device)


def _embedded(encoder: TextEncoder | T5, chunk: Chunk, embeddings: dict[Embedding, Tensor]) -> Tensor:
    """The vectors [1, T, D] of a chunk's tokens, with those of embeddings in their places."""
    vectors = encoder.embed(_ids(encoder, chunk.ids))
    for place, embedding in chunk.fixes:
        found = embeddings[embedding]
        vectors[0, place : place + len(found)] = found.to(vectors)
    return vectors
