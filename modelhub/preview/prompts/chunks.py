"""Chunks: what a text encoder reads at once, of a text of any length, split as A1111 splits it.

CLIP reads 75 tokens between a begin and an end token. If a chunk is full and a comma stands among its last 20 tokens,
what follows the comma goes into the next one. BREAK fills a chunk up. T5 reads all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from modelhub.preview.prompts.attention import Piece
from modelhub.preview.prompts.clip_tokenizer import ClipTokenizer
from modelhub.preview.prompts.embeddings import Embedding, Words

#: The token `,</w>` of CLIP.
COMMA = 267
_BACKTRACK = 20
_T5_END, _T5_PAD, _T5_LEAST = 1, 0, 256

Ids = Callable[[str], list[int]]


class Fix(NamedTuple):
    """An embedding whose vectors replace those of the tokens from `place` of a chunk on."""

    place: int
    embedding: Embedding


class Chunk(NamedTuple):
    """Token ids, all of them: begin, end and padding included; a weight for each; and where embeddings stand."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    fixes: tuple[Fix, ...] = ()


def clip_chunks(pieces: Sequence[Piece], ids: Ids, words: Words, pad: int = ClipTokenizer.eos) -> list[Chunk]:
    """A text for CLIP in chunks of 77 tokens; one at least. After the first end token of a chunk stands `pad`."""
    return list(_Clip(words, pad).split(pieces, ids))


def t5_chunks(pieces: Sequence[Piece], ids: Ids, words: Words) -> list[Chunk]:
    """A text for T5: one chunk of 256 tokens or more, and another one after each BREAK."""
    chunks, tokens = [], _Tokens()
    for piece in pieces:
        if piece.breaks:
            chunks.append(_t5_chunk(tokens))
            tokens = _Tokens()
        else:
            for token, found in _words_of(ids(piece.text), words):
                tokens.add(token, found, piece.weight)
    return [*chunks, _t5_chunk(tokens)] if tokens.ids or not chunks else chunks


def _t5_chunk(tokens: _Tokens) -> Chunk:
    fill = max(0, _T5_LEAST - len(tokens.ids) - 1)
    ids = (*tokens.ids, _T5_END, *[_T5_PAD] * fill)
    return Chunk(ids, (*tokens.weights, *[1.0] * (1 + fill)), tuple(tokens.fixes))


class _Tokens:
    """A chunk in the making."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.weights: list[float] = []
        self.fixes: list[Fix] = []

    def add(self, token: int, embedding: Embedding | None, weight: float) -> None:
        """A token, or all of an embedding."""
        count = 1
        if embedding is not None:
            self.fixes.append(Fix(len(self.ids), embedding))
            token, count = 0, embedding.count
        self.ids += [token] * count
        self.weights += [weight] * count

    def cut(self, place: int) -> _Tokens:
        """Take off the tokens from `place` on. In A1111 embeddings among them stay, over the padding, and so here."""
        rest = _Tokens()
        rest.ids, self.ids = self.ids[place:], self.ids[:place]
        rest.weights, self.weights = self.weights[place:], self.weights[:place]
        return rest


class _Clip:
    """Fills chunks of 75 tokens one after another."""

    def __init__(self, words: Words, pad: int) -> None:
        self.words, self.pad = words, pad
        self.done: list[Chunk] = []
        self.now = _Tokens()
        self.comma: int | None = None

    def split(self, pieces: Sequence[Piece], ids: Ids) -> list[Chunk]:
        """All chunks of a text."""
        for piece in pieces:
            if piece.breaks:
                self.next()
                continue
            for token, embedding in _words_of(ids(piece.text), self.words):
                self.make_room(token, embedding)
                self.now.add(token, embedding, piece.weight)
        if self.now.ids or not self.done:
            self.next()
        return self.done

    def make_room(self, token: int, embedding: Embedding | None) -> None:
        """Begin the next chunk before a token where this one is full; it takes what follows a comma near its end."""
        full = len(self.now.ids) == ClipTokenizer.chunk
        if token == COMMA:
            self.comma = len(self.now.ids)
        elif full and self.comma is not None and len(self.now.ids) - self.comma <= _BACKTRACK:
            rest = self.now.cut(self.comma + 1)
            self.next()
            self.now = rest
        if len(self.now.ids) + (embedding.count if embedding else 1) > ClipTokenizer.chunk:
            self.next()

    def next(self) -> None:
        """Put the chunk among those that are done, and begin another."""
        fill = ClipTokenizer.chunk - len(self.now.ids)
        ids = [ClipTokenizer.bos, *self.now.ids, *[ClipTokenizer.eos] * (fill + 1)]
        end = ids.index(ClipTokenizer.eos) + 1
        ids[end:] = [self.pad] * (len(ids) - end)
        weights = (1.0, *self.now.weights, *[1.0] * (fill + 1))
        fixes = tuple(fix._replace(place=fix.place + 1) for fix in self.now.fixes)
        self.done.append(Chunk(tuple(ids), weights, fixes))
        self.now, self.comma = _Tokens(), None


def _words_of(tokens: list[int], words: Words) -> Iterator[tuple[int, Embedding | None]]:
    """Tokens, and embeddings in place of those that name one."""
    place = 0
    while place < len(tokens):
        found = words.at(tokens, place)
        yield tokens[place], found[0] if found else None
        place += found[1] if found else 1
