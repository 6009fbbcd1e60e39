"""Emphasis: what weights of words do to the vectors that a text encoder made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modelhub.preview.prompts.attention import Piece, weigh

#: A1111's names: weights keep the mean or change it; are read and do nothing; are not read: brackets are text.
ORIGINAL, NO_NORM, IGNORE, NONE = "Original", "No norm", "Ignore", "None"


def pieces_of(text: str, emphasis: str) -> list[Piece]:
    """The pieces of a text, each with its weight; with "None" it is one, brackets and BREAK included."""
    return [Piece(text, 1.0)] if emphasis == NONE else weigh(text)


def emphasised(
    vectors: Sequence[Tensor], weights: Sequence[Sequence[float]], counts: Sequence[int], emphasis: str
) -> list[Tensor]:
    """Prompt vectors [T, D] of several texts, weighed: `weights` are those of their T tokens.

    "Original" then multiplies all with one factor that restores their common mean, in which a text counts as often as
    `counts` says: A1111 encodes all texts that a prompt becomes in one go.
    """
    if emphasis not in (ORIGINAL, NO_NORM) or all(weight == 1.0 for each in weights for weight in each):
        return list(vectors)
    weighed = [
        one * torch.tensor(each, dtype=one.dtype, device=one.device)[:, None]
        for one, each in zip(vectors, weights, strict=True)
    ]
    if emphasis == NO_NORM:
        return weighed
    before, after = (_mean(each, counts) for each in (vectors, weighed))
    factor = before / after if after != 0 else torch.ones_like(after)
    return [one * factor for one in weighed]


def _mean(vectors: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """The mean over all texts, of equal size."""
    if len(vectors) == 1:
        return vectors[0].mean()
    total = torch.stack([one.mean() * count for one, count in zip(vectors, counts, strict=True)]).sum()
    return total / sum(counts)
