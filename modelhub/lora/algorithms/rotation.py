"""OFT and BOFT: a weight rotated by blocks (Qiu et al. 2023, arXiv:2306.07280; Liu et al. 2023, arXiv:2311.06243)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from modelhub.catalog.match import Shape
from modelhub.lora.algorithms.butterfly import InputButterfly, OutputButterfly, fit_butterfly, fit_wings
from modelhub.lora.algorithms.cayley import above, constrained, side_of, turned, unrolled
from modelhub.lora.algorithms.fits import Shapes, Unfit, count, matrix
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithm

if TYPE_CHECKING:
    import torch

#: Terms of the series that PEFT cuts off by default.
_TERMS = 5


class _Turn(Protocol):
    """A way to rotate: what it adds to some rows of the weight, from row `start` on."""

    def rows(self, start: int, weight: torch.Tensor) -> torch.Tensor: ...


@algorithm("oft")
class Rotation(Change):
    """R W − W, with R of blocks of size b along the diagonal; which side is rotated and how depends on the parts.

    - `blocks` [n, b, b] (kohya, LyCORIS): rows of W, by Rᵀ for R = (I + Q)(I − Q)⁻¹ and Q = blocks − blocksᵀ, with a
      norm of at most alpha · out; alpha is a limit here, 0 is none. `blocks` [m, n, b, b]: BOFT, see `butterfly`.
    - `diag` [n, b, b] (LyCORIS 2.0): R itself, or R − I in the files of its first weeks, which are near 0, not near 1.
    - `skew` [n, b (b − 1) / 2] (PEFT, OneTrainer): columns of W in blocks, of kernels too, by the series that
      `settings["num_cayley_neumann_terms"]` cuts, or, with `use_cayley_neumann` false, by (I − Q)(I + Q)⁻¹: PEFT turns
      the other way there. One block may serve for all.
    - `butterfly`, `stretch`: PEFT's BOFT, see `butterfly`.

    `rescale` [out, 1] multiplies the rotated rows.
    """

    known = frozenset({"blocks", "diag", "skew", "rescale", "butterfly", "stretch"})
    needs_weight = True

    def __init__(self, given: Given, weight: Rows) -> None:
        super().__init__(given, weight)
        self._turn = _turn(given)
        rescale = given.parts.get("rescale", given.parts.get("stretch"))
        self._rescale = None if rescale is None else rescale.reshape(-1, 1)

    @classmethod
    def step(cls, shapes: Shapes, shape: Shape) -> int:
        """Rows of one block, of BOFT those that are mixed; where columns are rotated, each row is by itself."""
        blocks = shapes.get("blocks", shapes.get("diag", ()))
        if len(blocks) == 4:
            return max(1, blocks[-1] << max(0, blocks[0] - 1))
        return max(1, blocks[-1]) if blocks else 1

    @classmethod
    def fit(cls, shapes: Shapes, shape: Shape) -> None:
        """Blocks tile the rows, or the columns where those are rotated."""
        rows, columns = matrix("the layer", shape)
        count(shapes, "rescale", rows)
        if "butterfly" in shapes:
            return fit_wings(shapes, rows, columns)
        if "skew" in shapes:
            return _fit_columns(shapes["skew"], columns)
        return _fit_rows(shapes.get("blocks", shapes.get("diag", ())), rows)

    def rows(self, start: int, stop: int, weight: torch.Tensor | None) -> torch.Tensor:
        """What the rotation adds, then what the scale adds to the rotated."""
        assert weight is not None
        found = self._turn.rows(start, weight)
        if self._rescale is None:
            return found
        scale = self._rescale[start:stop]
        return found * scale + weight * (scale - 1)


def _turn(given: Given) -> _Turn:
    parts = given.parts
    if "butterfly" in parts:
        return InputButterfly(parts["butterfly"])
    if "skew" in parts:
        return _InputBlocks(_unrolled(given))
    if "diag" in parts:
        return _OutputBlocks(_less_one(parts["diag"].double()))
    skew = constrained(parts["blocks"].double(), (given.number("alpha") or 0.0) * given.shape[0])
    return OutputButterfly(turned(skew)) if skew.dim() == 4 else _OutputBlocks(turned(skew))


def _unrolled(given: Given) -> torch.Tensor:
    """R − I [n, b, b] from the values above the diagonal."""
    skew, terms = above(given.parts["skew"].double()), given.settings.get("num_cayley_neumann_terms", _TERMS)
    if given.settings.get("use_cayley_neumann", True) is False:
        return turned(-skew)
    return unrolled(skew, terms if isinstance(terms, int) else _TERMS)


def _less_one(blocks: torch.Tensor) -> torch.Tensor:
    """R − I, whichever of the two the file has."""
    import torch

    one = torch.eye(blocks.shape[-1], dtype=blocks.dtype)
    return blocks - one if blocks.numel() and float(blocks.diagonal(dim1=1, dim2=2).mean()) > 0.5 else blocks


class _OutputBlocks:
    """(Rᵀ − I) W for blocks of rows; `turn` is R − I [n, b, b]."""

    def __init__(self, turn: torch.Tensor) -> None:
        self._turn = turn.float().mT

    def rows(self, start: int, weight: torch.Tensor) -> torch.Tensor:
        """Whole blocks of rows."""
        import torch

        side = self._turn.shape[-1]
        first, blocks = start // side, weight.shape[0] // side
        turn = self._turn[first : first + blocks].to(weight)
        return torch.bmm(turn, weight.reshape(blocks, side, -1)).reshape(weight.shape)


class _InputBlocks:
    """W (Rᵀ − I) for blocks of columns; `turn` is R − I [n, b, b], or one block for all."""

    def __init__(self, turn: torch.Tensor) -> None:
        self._turn = turn.float().mT

    def rows(self, start: int, weight: torch.Tensor) -> torch.Tensor:
        """Any rows."""
        side = self._turn.shape[-1]
        blocks = weight.reshape(weight.shape[0], -1, side).transpose(0, 1)
        return (blocks @ self._turn.to(weight)).transpose(0, 1).reshape(weight.shape)


def _fit_rows(blocks: Shape, rows: int) -> None:
    if len(blocks) not in (3, 4) or blocks[-1] != blocks[-2] or not blocks[-1]:
        raise Unfit(f"has blocks {list(blocks)}, not square ones")
    if blocks[-3] * blocks[-1] != rows:
        raise Unfit(f"rotates {blocks[-3]} x {blocks[-1]} outputs, the layer has {rows}")
    if len(blocks) == 4:
        fit_butterfly(blocks, rows)


def _fit_columns(skew: Shape, columns: int) -> None:
    side = side_of(skew[1]) if len(skew) == 2 else 0
    if side < 1:
        raise Unfit(f"has skew {list(skew)}, not the values above the diagonals of blocks")
    if skew[0] * side != columns and not (skew[0] == 1 and columns % side == 0):
        raise Unfit(f"rotates {skew[0]} x {side} inputs, the layer has {columns}")
