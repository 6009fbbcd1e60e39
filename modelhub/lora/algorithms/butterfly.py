"""BOFT: a rotation of many rows as stages that each rotate small blocks of them, with other neighbours every time.

Stage i mixes rows that are 2^i · b apart at most, as a fast Fourier transform does (Liu et al. 2023, arXiv:2311.06243).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.catalog.match import Shape
from modelhub.lora.algorithms.cayley import turned
from modelhub.lora.algorithms.fits import Shapes, Unfit, count, need

if TYPE_CHECKING:
    import torch


class OutputButterfly:
    """R_m … R_1 W − W for rows (LyCORIS); `turn` is R_i − I, [m, n, b, b].

    Before stage i, counted from 0, each run of 2^i · b rows is read in two halves, taking a row of either in turn, so
    that a block has b / 2 rows of both.
    """

    def __init__(self, turn: torch.Tensor) -> None:
        self._turn = turn.float()

    def rows(self, start: int, weight: torch.Tensor) -> torch.Tensor:
        """Whole runs of 2^(m − 1) · b rows."""
        import torch

        stages, _, side, _ = self._turn.shape
        first, blocks = start // side, weight.shape[0] // side
        now, added = weight.clone(), torch.zeros_like(weight)
        for stage in range(stages):
            half = (side // 2) << stage
            mixed = now.reshape(-1, 2, half, weight.shape[1]).transpose(1, 2).reshape(blocks, side, -1)
            turn = self._turn[stage, first : first + blocks].to(weight)
            more = torch.bmm(turn, mixed).reshape(-1, half, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
            now += more
            added += more
        return added


class InputButterfly:
    """W Mᵀ − W for columns, M = M_N … M_1 (PEFT); `wings` [N, n, b, b] become R = (I − S)(I + S)⁻¹, S = (A − Aᵀ) / 2.

    Before stage i, counted from 0, each run of 2^i · b columns is read in two halves, taking b / 2 columns of either in
    turn; at the first that leaves them where they are.
    """

    def __init__(self, wings: torch.Tensor) -> None:
        wings = wings.double()
        self._turn = turned((wings.mT - wings) / 2).float()

    def rows(self, start: int, weight: torch.Tensor) -> torch.Tensor:
        """Any rows."""
        import torch

        rows, (stages, blocks, side, _) = weight.shape[0], self._turn.shape
        now, added = weight.clone(), torch.zeros_like(weight)
        for stage in range(stages):
            # At stage 0 all stay where they are, and a side may be odd.
            pieces = (2, 1 << stage, side // 2) if stage else (1, 1, side)
            mixed = now.reshape(rows, -1, *pieces).transpose(2, 3).reshape(rows, blocks, side).transpose(0, 1)
            more = (mixed @ self._turn[stage].mT.to(weight)).transpose(0, 1)
            more = more.reshape(rows, -1, pieces[1], pieces[0], pieces[2]).transpose(2, 3).reshape(weight.shape)
            now += more
            added += more
        return added


def fit_butterfly(blocks: Shape, rows: int) -> None:
    """Blocks [m, n, b, b] have even sides, and the last stage's runs tile the rows."""
    stages, _, side, _ = blocks
    if side % 2 or stages > 64 or rows % (side << max(0, stages - 1)):
        raise Unfit(f"has {stages} stages of blocks of {side}, which {rows} outputs cannot be mixed in")


def fit_wings(shapes: Shapes, rows: int, columns: int) -> None:
    """The same for the columns, of PEFT's parts."""
    wings = shapes["butterfly"]
    if len(wings) != 4 or wings[-1] != wings[-2] or not wings[-1]:
        raise Unfit(f"has blocks {list(wings)}, not square ones")
    stages, blocks, side, _ = wings
    if blocks * side != columns:
        raise Unfit(f"rotates {blocks} x {side} inputs, the layer has {columns}")
    if stages > 1 and (side % 2 or stages > 64 or columns % (side << (stages - 1))):
        raise Unfit(f"has {stages} stages of blocks of {side}, which {columns} inputs cannot be mixed in")
    need(shapes, "stretch")
    count(shapes, "stretch", rows)
