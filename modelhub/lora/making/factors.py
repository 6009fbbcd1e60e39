"""Factors: the two matrices of a LoRA's module cut and joined to those of another module, product for product.

alpha / rank · up @ down of a layer are some rows of it, so some rows of up with the same down. Of layers one below the
other it is [up1 0; 0 up2] @ [down1; down2]; where both have the same down, [up1; up2] @ down, of the same rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from modelhub.lora.layers import Layer
from modelhub.lora.making.renamed import Entry
from modelhub.lora.network import ALPHA, SCALAR, Network, Patch

if TYPE_CHECKING:
    import torch

_DOWN, _UP, _MID = "lora.a", "lora.b", "lora.mid"
_DORA, _MAGNITUDE, BIAS = "extra.dora", "extra.magnitude", "extra.bias"
#: What a module may have for its factors to be cut, joined, or told without an alpha.
_KNOWN = frozenset({_DOWN, _UP, _MID, ALPHA, SCALAR, _DORA, _MAGNITUDE, BIAS})


class Span(NamedTuple):
    """`size` rows of a goal from row `at` on, which are those from `start` on of a module."""

    at: int
    start: int
    size: int


@dataclass(frozen=True)
class Share:
    """What one module, which changes `layer`, has of a goal."""

    network: Network
    patch: Patch
    layer: Layer
    spans: tuple[Span, ...]

    def has(self, part: str) -> bool:
        """Whether the file has a part of the module."""
        return part in self.patch.tensors

    def read(self, part: str) -> torch.Tensor:
        """A part, as the file has it."""
        return self.network.source.tensor(self.patch.tensors[part])

    def dtype(self, part: str) -> str:
        """The dtype of a part in the file."""
        return self.network.source.info(self.patch.tensors[part]).dtype

    def shape(self, part: str) -> tuple[int, ...]:
        """The shape of a part in the file."""
        return self.network.source.info(self.patch.tensors[part]).shape

    @cached_property
    def alpha(self) -> float:
        """That of the file or of PEFT's configuration; the rank, where there is none."""
        if self.has(ALPHA):
            return float(self.read(ALPHA).double().sum()) if self.shape(ALPHA) in ((), (1,)) else float("nan")
        return self.network.outer(self.patch).get(ALPHA, float(self.rank))

    @property
    def rank(self) -> int:
        """That of the module, 0 if it has none."""
        return self.patch.module.size.rank or 0

    @cached_property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        scalar = float(self.read(SCALAR).double().sum()) if self.has(SCALAR) else 1.0
        return self.alpha / self.rank * scalar if self.rank else float("nan")

    @property
    def dora(self) -> str:
        """The part that holds the lengths of rows, "" if there is none."""
        return next((part for part in (_DORA, _MAGNITUDE) if self.has(part)), "")


def factors_reason(shares: Sequence[Share], rows: int, *, whole: bool) -> str:
    """Why the modules of some shares cannot be cut and joined to one of so many rows, "" if they can.

    `whole`: the one share is all of the goal, row by row.
    """
    for share in shares:
        if share.patch.module.algorithm != "lora" or not {_DOWN, _UP} <= share.patch.tensors.keys() <= _KNOWN:
            return "there is no form for what it is made of"
        if not isfinite(share.scale):
            return "its alpha or its rank is no number"
        if share.patch.module.kind.dora not in (None, "out"):
            return "its DoRA lengths are not those of rows"
        if not whole and (share.has(_MID) or share.has(BIAS) or not _has_size(share)):
            return "it is part of a layer here, and has other sizes, a third factor or a bias"
    dora = {bool(share.dora) for share in shares}
    if True in dora and ((len(shares) > 1 and not _is_tiled(shares, rows)) or len(dora) > 1):
        return "DoRA needs every row of a layer"
    return ""


def _has_size(share: Share) -> bool:
    """Whether its rows are those of the layer, and its factors those of a linear layer."""
    up, down = share.shape(_UP), share.shape(_DOWN)
    return up[0] == share.layer.shape[0] and all(size == 1 for size in up[2:]) and len(up) == len(down)


def _is_tiled(shares: Sequence[Share], rows: int) -> bool:
    spans = sorted(span for share in shares for span in share.spans)
    ends = [0, *(span.at + span.size for span in spans)]
    return [span.at for span in spans] == ends[:-1] and ends[-1] == rows


@dataclass(frozen=True)
class Joint:
    """One module made of some shares: `shared` if all have the same down, `fold` if scales go into the factors."""

    shares: Sequence[Share]
    rows: int
    whole: bool
    fold: bool
    shared: bool

    @classmethod
    def of(cls, shares: Sequence[Share], rows: int, *, whole: bool, has_alpha: bool) -> Joint:
        """`has_alpha`: the form has a place for a scale that all shares have."""
        scales = {share.scale for share in shares}
        fold = len(scales) > 1 or not (has_alpha or scales == {1.0})
        return cls(shares, rows, whole, fold, _is_shared(shares))

    @property
    def rank(self) -> int:
        """Of the whole."""
        return self.shares[0].rank if self.shared else sum(share.rank for share in self.shares)

    @property
    def alpha(self) -> float:
        """Such that alpha / rank is the scale that is left."""
        return float(self.rank) if self.fold else self.shares[0].scale * self.rank

    def down(self, name: str) -> Entry:
        """The factor at the input."""
        first = self.shares[0]
        shape = first.shape(_DOWN)
        if first.has(_MID):
            mid = first.shape(_MID)
            return Entry(name, _widest(first.dtype(_MID), "F32"), (mid[0], shape[1], *mid[2:]), make=self._thick)
        if self.shared or len(self.shares) == 1:
            return Entry(name, first.dtype(_DOWN), shape, first.patch.tensors[_DOWN])
        return Entry(
            name, _widest(*(one.dtype(_DOWN) for one in self.shares)), (self.rank, *shape[1:]), make=self._below
        )

    def up(self, name: str) -> Entry:
        """The factor at the output."""
        first = self.shares[0]
        shape = (self.rows, self.rank, *first.shape(_UP)[2:])
        if self.whole and not self.fold:
            return Entry(name, first.dtype(_UP), first.shape(_UP), first.patch.tensors[_UP])
        if self.whole:
            shape = first.shape(_UP)
        return Entry(name, self._stored(_UP), shape, make=partial(self._beside, shape))

    def dora(self, name: str, shape: tuple[int, ...]) -> Entry:
        """The lengths of rows."""
        first = self.shares[0]
        if self.whole:
            return Entry(name, first.dtype(first.dora), shape, first.patch.tensors[first.dora])
        dtype = _widest(*(one.dtype(one.dora) for one in self.shares))
        return Entry(name, dtype, shape, make=partial(self._lengths, shape))

    def bias(self, name: str) -> Entry:
        """The bias of the factor at the output, which is scaled like it."""
        first = self.shares[0]
        if not self.fold:
            return Entry(name, first.dtype(BIAS), first.shape(BIAS), first.patch.tensors[BIAS])
        return Entry(name, self._stored(BIAS), first.shape(BIAS), make=lambda: first.read(BIAS).double() * first.scale)

    def _stored(self, part: str) -> str:
        """The dtype of what is computed: fp32 where a scale was multiplied in, so that hardly anything is rounded."""
        dtypes = [share.dtype(part) for share in self.shares]
        return _widest(*dtypes, "F32") if self.fold else _widest(*dtypes)

    def _thick(self) -> torch.Tensor:
        """The two factors at the input as one: a kernel is a sum of outer products of theirs."""
        import torch

        down, mid = self.shares[0].read(_DOWN).double(), self.shares[0].read(_MID).double()
        return torch.einsum("ijkl,jn->inkl", mid, down.reshape(down.shape[:2]))

    def _below(self) -> torch.Tensor:
        import torch

        return torch.cat([share.read(_DOWN).double() for share in self.shares])

    def _beside(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Rows of the shares in their places, each share in columns of its own unless all have the same down."""
        import torch

        out, column = torch.zeros(shape[:2], dtype=torch.float64), 0
        for share in self.shares:
            up = share.read(_UP).double().reshape(share.shape(_UP)[0], -1) * (share.scale if self.fold else 1.0)
            for at, start, count in [(0, 0, shape[0])] if self.whole else share.spans:
                out[at : at + count, column : column + up.shape[1]] += up[start : start + count]
            column += 0 if self.shared else share.rank
        return out.reshape(shape)

    def _lengths(self, shape: tuple[int, ...]) -> torch.Tensor:
        import torch

        out = torch.zeros(self.rows, dtype=torch.float64)
        for share in self.shares:
            lengths = share.read(share.dora).double().reshape(-1)
            for at, start, count in share.spans:
                out[at : at + count] = lengths[start : start + count]
        return out.reshape(shape)


def _widest(*dtypes: str) -> str:
    """A dtype that holds what all of these do."""
    if len({*dtypes}) == 1:
        return dtypes[0]
    return "F64" if "F64" in dtypes else "F32"


def _is_shared(shares: Sequence[Share]) -> bool:
    """Whether all have the same factor at the input, byte by byte."""
    first = shares[0]
    if len({(share.dtype(_DOWN), share.shape(_DOWN)) for share in shares}) > 1:
        return False
    if len(shares) == 1 or all(share.patch.tensors[_DOWN] == first.patch.tensors[_DOWN] for share in shares):
        return True
    source = first.network.source
    wanted = source.read_bytes(first.patch.tensors[_DOWN])
    return all(source.read_bytes(share.patch.tensors[_DOWN]) == wanted for share in shares[1:])
