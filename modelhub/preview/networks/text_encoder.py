"""What every CLIP text encoder does: token ids to vectors, vectors through layers, a final norm, one vector of all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.errors import IncompatibleError, UsageError
from modelhub.preview.networks.layers import Layer, Linear, Table, like, nest
from modelhub.preview.networks.tree import Tree


class ClipParts(NamedTuple):
    """A text encoder taken apart: table of tokens [V, D], vectors of positions [T, D], layers, final norm.

    T is how many tokens a text may have, begin and end included: 77 in most models, 248 in LongCLIP.
    """

    tokens: Table
    positions: Tensor
    layers: Sequence[nn.Module]
    final: Layer


class TextEncoder(Layer):
    """Token ids to prompt vectors (Radford et al. 2021, arXiv:2103.00020).

    `pooled_width` is P of the vector of a whole text.
    """

    pooled_width: int
    _projection = ""

    @abstractmethod
    def parts(self) -> ClipParts:
        """Where this layout keeps what."""

    def take_projection(self, tree: Tree, path: str) -> None:
        """Take the file's `text_projection`, if it has one: beside the encoder at `path`, in it or further out.

        Hugging Face's is a linear layer's weight [P, D], OpenCLIP's a bare matrix [D, P] of the same numbers.
        """
        self.pooled_width = self.width
        for holder in _around(path):
            node = tree[f"{holder}.text_projection".lstrip(".")]
            outer = self.get_submodule(holder)
            assert isinstance(outer, Layer)
            if node.shape is not None:
                self.pooled_width = outer.hold(tree[holder] if holder else tree, "text_projection", self.width, None)[1]
            elif "weight" in node:
                outer.text_projection = projection = Linear(node, self.width, bias=False)
                self.pooled_width = projection.outputs
            else:
                continue
            self._projection = node.path
            return

    @property
    def depth(self) -> int:
        """How many layers there are; SD2 files that went through diffusers have lost their last one and have 23."""
        return len(self.parts().layers)

    @property
    def width(self) -> int:
        """D of the prompt vectors."""
        return self.parts().tokens.width

    def embed(self, ids: Tensor) -> Tensor:
        """ids [N, T] int64 -> the tokens' vectors, float32 [N, T, D]; an embedding may replace some before `encode`.

        Raises IncompatibleError for an id that this vocabulary lacks.
        """
        self.check()
        return self.parts().tokens(ids)

    def encode(self, vectors: Tensor, skip: int = 1, *, normed: bool = True) -> Tensor:
        """Token vectors [N, T, D] -> prompt vectors [N, T, D]: what the `skip`-th layer from the end says.

        `skip` 1 is the last layer, as SD1 was trained with, 2 the one before it, as SD2 and SDXL. `normed` applies the
        final norm, as all but SDXL want it. Computes in the network's dtype and answers in that of `vectors`. Raises
        UsageError for a skip that leaves no layer, IncompatibleError for too long a text.
        """
        parts = self.parts()
        h = self._through(vectors, self._count(skip))
        return (parts.final(h) if normed else h).to(vectors.dtype)

    def pool(self, vectors: Tensor, ends: Tensor, *, projected: bool = True) -> Tensor:
        """The vector of a whole text [N, P]: the last layer's, normalised, at the text's end token, projected.

        vectors [N, T, D], ends [N] int64 their first end token. `projected` applies the file's `text_projection`, where
        it has one, as SDXL wants it; Flux takes CLIP-L's vector without. Dtypes and errors are those of `encode`.
        """
        return self._pooled(self._through(vectors, self.depth), ends, projected=projected).to(vectors.dtype)

    def encode_and_pool(
        self, vectors: Tensor, ends: Tensor, skip: int = 1, *, normed: bool = True, projected: bool = True
    ) -> tuple[Tensor, Tensor]:
        """`encode` and `pool` of the same vectors, for hardly more than the cost of one."""
        early = self._through(vectors, self._count(skip))
        pooled = self._pooled(self._on(early, self._count(skip), self.depth), ends, projected=projected)
        tokens = self.parts().final(early) if normed else early
        return tokens.to(vectors.dtype), pooled.to(vectors.dtype)

    def _count(self, skip: int) -> int:
        """How many layers come before the one that `skip` names is done."""
        if not 1 <= skip <= self.depth:
            raise UsageError(f"Clip skip {skip} is not possible.", f"This text encoder allows 1 to {self.depth}.")
        return self.depth - skip + 1

    def _through(self, vectors: Tensor, layers: int) -> Tensor:
        """What the first `layers` layers make of token vectors."""
        positions = self.parts().positions
        if vectors.shape[1] > positions.shape[0]:
            raise IncompatibleError(
                f"The text has {vectors.shape[1]} tokens, and this text encoder takes {positions.shape[0]}.",
                "Split it.",
            )
        h = vectors.to(self.dtype)
        return self._on(h + like(positions, h)[: h.shape[1]], 0, layers)

    def _on(self, h: Tensor, first: int, last: int) -> Tensor:
        for layer in self.parts().layers[first:last]:
            h = layer(h)
        return h

    def _pooled(self, h: Tensor, ends: Tensor, *, projected: bool) -> Tensor:
        found = self.parts().final(h[torch.arange(len(h), device=h.device), ends.to(h.device)])
        return self._project(found) if projected and self._projection else found

    def _project(self, x: Tensor) -> Tensor:
        path, _, name = self._projection.rpartition(".")
        projection = getattr(self.get_submodule(path), name)
        return projection(x) if isinstance(projection, Linear) else x @ like(projection, x)

    def forward(self, ids: Tensor, skip: int = 1) -> Tensor:
        """`encode` of `embed`: ids [N, T] int64 -> [N, T, D]."""
        return self.encode(self.embed(ids), skip)


class Nested(TextEncoder):
    """A text encoder whose tensor names begin with `path`."""

    def __init__(self, path: str, inner: TextEncoder) -> None:
        super().__init__()
        self._inner = path
        nest(self, path, inner)

    def parts(self) -> ClipParts:
        """Those of the encoder inside."""
        inner = self.get_submodule(self._inner)
        assert isinstance(inner, TextEncoder)
        return inner.parts()


def _around(path: str) -> list[str]:
    """A dotted path, what it is in, and so on out to "": a.b, a and ""."""
    parts = path.split(".") if path else []
    return [".".join(parts[:count]) for count in range(len(parts), -1, -1)]


def gelu(x: Tensor) -> Tensor:
    """x times the normal distribution's share below x (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return F.gelu(x)


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), a coarser formula for the same (ibid., section 2)."""
    return x * torch.sigmoid(1.702 * x)
