"""Folding: squares of pixels as channels, by which a network for four times enlarges two times or once."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.tree import Tree

#: Channels of a picture for each channel that comes out, and the side of the squares that they are.
_SIDES = {1: 1, 4: 2, 16: 4}


def folding(tree: Tree, taken: int, given: int) -> int:
    """The side of the squares that a network folds if it takes and gives so many channels; else a fault of `tree`."""
    side = _SIDES.get(taken // given) if taken % given == 0 else None
    if side is None:
        tree.fault(f"takes {taken} channels, where pictures of {given} are no 1, 4 or 16 of them")
    return side or 1


def folded(x: Tensor, side: int) -> Tensor:
    """[N, C, H, W] -> [N, C side^2, H / side, W / side], mirrored at the edges up to a multiple of `side`."""
    if side == 1:
        return x
    height, width = x.shape[-2:]
    down, right = -height % side, -width % side
    # what is smaller than its margin cannot be mirrored
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pixel_unshuffle(F.pad(x, (0, right, 0, down), mode=mode), side)
