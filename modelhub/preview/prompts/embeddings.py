"""Embeddings (textual inversions): words of a prompt that stand for vectors that were trained, not for tokens.

Gal et al. 2022, arXiv:2208.01618. As in A1111 a word is recognised by its token ids, the longest first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from modelhub.catalog.companions import title
from modelhub.errors import IncompatibleError
from modelhub.text import brief, plural

#: What an embedding calls the vectors of an encoder that it does not name.
ANY = ""
_ENDINGS = r"(?:\.(?:pt|bin|safetensors))?"


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Vectors [n, width] float32 by the text encoder that they are for, `ANY` where the file does not say it.

    `name` is the word that stands for them. `sha256` is that of the file, if known. `asked` for by name, not only found
    among the words of a prompt: then it has to fit.
    """

    name: str
    vectors: Mapping[str, Tensor]
    sha256: str | None = None
    asked: bool = True

    @property
    def count(self) -> int:
        """How many tokens it takes."""
        return max(len(vectors) for vectors in self.vectors.values())

    def with_sha256(self, sha256: str | None) -> Embedding:
        """The same, with the hash of its file."""
        return replace(self, sha256=sha256)


def fitted(embedding: Embedding, widths: Mapping[str, int], *, every: bool) -> dict[str, Tensor]:
    """The vectors of an embedding by text encoder, for a model whose encoders have these `widths`.

    `every` encoder has to get some, of one count, as A1111 wants it; otherwise one at least. Raises IncompatibleError
    for other widths.
    """
    vectors = dict(embedding.vectors)
    if len(vectors) == 1 and (every or ANY in vectors):
        (only,) = vectors.values()
        wanted = [encoder for encoder, width in widths.items() if width == only.shape[1]]
        vectors = dict.fromkeys(wanted[:1], only)
    right = {
        encoder: found
        for encoder, found in vectors.items()
        if encoder in widths and found.shape[1] == widths[encoder] and len(found) == embedding.count
    }
    if not right or (every and (len(right) != len(widths) or len(embedding.vectors) != len(widths))):
        raise _misfit(embedding, widths)
    return right


def _misfit(embedding: Embedding, widths: Mapping[str, int]) -> IncompatibleError:
    has = " and ".join(
        f"{vectors.shape[1]}{f' for {title(encoder)}' if encoder else ''}"
        for encoder, vectors in embedding.vectors.items()
    )
    takes = " and ".join(f"{title(encoder)} takes {width}" for encoder, width in widths.items())
    return IncompatibleError(
        f"The embedding {brief(embedding.name)} has vectors of width {has}; of this model, {takes}.",
        "It was trained for another architecture; leave it out, or choose one for this model.",
    )


class Words:
    """The embeddings of one text encoder, found by the token ids of their names."""

    def __init__(self, embeddings: Iterable[Embedding], ids: Callable[[str], list[int]]) -> None:
        self._by_first: dict[int, list[tuple[list[int], Embedding]]] = defaultdict(list)
        for embedding in embeddings:
            tokens = ids(embedding.name)
            if tokens:
                self._by_first[tokens[0]].append((tokens, embedding))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: len(entry[0]), reverse=True)

    def at(self, tokens: Sequence[int], place: int) -> tuple[Embedding, int] | None:
        """The embedding whose name begins at `place` of `tokens`, and how many tokens the name takes."""
        for name, embedding in self._by_first.get(tokens[place], ()):
            if tokens[place : place + len(name)] == name:
                return embedding, len(name)
        return None


def without_prefix(text: str, names: Iterable[str]) -> str:
    """A prompt with `embedding:name` or `embedding:name.pt`, as ComfyUI's users write it, as the name alone."""
    known = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    if not known or "embedding:" not in text.lower():
        return text
    pattern = rf"(?<!\w)embedding:({'|'.join(known)}){_ENDINGS}(?!\w)"
    return re.sub(pattern, lambda match: match[1], text, flags=re.IGNORECASE)


def check_count(embedding: Embedding, most: int) -> None:
    """Raise IncompatibleError for an embedding of more tokens than are read at once."""
    if embedding.count > most:
        raise IncompatibleError(
            f"The embedding {brief(embedding.name)} takes {plural(embedding.count, 'token')}, where {most} fit.",
            "Choose a shorter one.",
        )
