"""Attention: all rows at once where the device has a kernel that keeps no scores, else a few rows at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Devices that write down how much every query heeds every key. Metal stops the program where that is over 4 GiB.
_WRITES = ("mps",)
#: Bytes of such scores, float32, that are there at one time.
_SCORES = 1 << 29


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(width of a head)) v, per head (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    q [N, T, C], k and v [N, S, C] -> [N, T, C]; `causal` hides later tokens.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    if causal:  # texts, which are short
        return _joined(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    return _joined(attention(q, k, v))


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, scale: float | None = None) -> Tensor:
    """The same for heads apart: q [N, H, T, D], k and v [N, H, S, D] -> [N, H, T, D].

    `bias` [1, H, T, S], of the dtype of q, is added to the scores; `scale` None is 1 / sqrt(D).
    """
    count = _pieces(q, k)
    if count == 1:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    rows = q.tensor_split(count, dim=2)
    biases = [None] * count if bias is None else bias.tensor_split(count, dim=2)
    found = [
        F.scaled_dot_product_attention(part, k, v, attn_mask=one, scale=scale)
        for part, one in zip(rows, biases, strict=True)
    ]
    return torch.cat(found, dim=2)


def _pieces(q: Tensor, k: Tensor) -> int:
    """In how many pieces the queries go through the device."""
    if q.device.type not in _WRITES:
        return 1
    row = q.shape[:2].numel() * k.shape[2] * torch.float32.itemsize
    return -(-q.shape[2] // max(1, _SCORES // row))


def _joined(x: Tensor) -> Tensor:
    """[N, H, T, D] -> [N, T, H D]."""
    return x.transpose(1, 2).flatten(2)
