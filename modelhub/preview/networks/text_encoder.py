"""What every CLIP text encoder does: token ids to vectors, vectors through layers, a final norm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.errors import IncompatibleError, UsageError
from modelhub.preview.networks.layers import Layer


class ClipParts(NamedTuple):
    """A text encoder taken apart: vectors of tokens [V, D] and of positions [T, D], layers, final norm."""

    tokens: Tensor
    positions: Tensor
    layers: Sequence[nn.Module]
    final: Layer


class TextEncoder(Layer):
    """Token ids to prompt vectors (Radford et al. 2021, arXiv:2103.00020)."""

    @abstractmethod
    def parts(self) -> ClipParts:
        """Where this layout keeps what."""

    @property
    def depth(self) -> int:
        """How many layers there are; SD2 files that went through diffusers have lost their last one and have 23."""
        return len(self.parts().layers)

    @property
    def width(self) -> int:
        """D of the prompt vectors."""
        return self.parts().positions.shape[1]

    @property
    def max_tokens(self) -> int:
        """How many tokens a text may have, begin and end included; 77 in all known models."""
        return self.parts().positions.shape[0]

    def embed(self, ids: Tensor) -> Tensor:
        """ids [N, T] int64 -> the tokens' vectors [N, T, D], which a textual inversion may replace before `encode`.

        Raises IncompatibleError for an id that this vocabulary lacks.
        """
        table = self.parts().tokens
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < table.shape[0]:
            raise IncompatibleError(
                f"The prompt has token {int(ids.max())}, and this text encoder knows {table.shape[0]} tokens.",
                "The file has a vocabulary of its own; use another text encoder.",
            )
        return F.embedding(ids, table)

    def encode(self, vectors: Tensor, skip: int = 1) -> Tensor:
        """Token vectors [N, T, D] -> prompt vectors [N, T, D]: what the `skip`-th layer from the end says, normalised.

        `skip` 1 is the last layer, as SD1 was trained with, 2 the one before it, as SD2. Raises UsageError for a skip
        that leaves no layer, IncompatibleError for too long a text.
        """
        _, positions, layers, final = self.parts()
        if not 1 <= skip <= len(layers):
            raise UsageError(f"Clip skip {skip} is not possible.", f"This text encoder allows 1 to {len(layers)}.")
        if vectors.shape[1] > positions.shape[0]:
            raise IncompatibleError(
                f"The text has {vectors.shape[1]} tokens, and this text encoder takes {positions.shape[0]}.",
                "Split it.",
            )
        h = vectors + positions[: vectors.shape[1]]
        for layer in layers[: len(layers) - skip + 1]:
            h = layer(h)
        return final(h)

    def forward(self, ids: Tensor, skip: int = 1) -> Tensor:
        """`encode` of `embed`: ids [N, T] int64 -> [N, T, D]."""
        return self.encode(self.embed(ids), skip)


class Nested(TextEncoder):
    """A text encoder whose tensor names begin with `path`."""

    def __init__(self, path: str, inner: TextEncoder) -> None:
        super().__init__()
        self.path = path
        module: nn.Module = inner
        first, *others = path.split(".")
        for name in reversed(others):
            outer = nn.Module()
            outer.add_module(name, module)
            module = outer
        self.add_module(first, module)

    def parts(self) -> ClipParts:
        """Those of the encoder inside."""
        inner = self.get_submodule(self.path)
        assert isinstance(inner, TextEncoder)
        return inner.parts()
