"""Attention a few rows at a time, for devices that write all scores down: the same numbers, and never many scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks import attention as module
from modelhub.preview.networks.attention import attend, attention

pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of scores each call wrote; no more than 4 KiB are wanted."""
    wrote, plain = list[int](), F.scaled_dot_product_attention

    def noted(q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
        wrote.append(q.shape[:-1].numel() * k.shape[-2] * 4)
        return plain(q, k, v, **how)

    monkeypatch.setattr(module, "_WRITES", ("cpu",))
    monkeypatch.setattr(module, "_SCORES", 1 << 12)
    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    return wrote


@pytest.mark.parametrize("places", [8, 61, 200])
@pytest.mark.parametrize("biased", [False, True])
def test_pieces_are_the_whole(scores: list[int], places: int, biased: bool) -> None:
    q, k, v = (torch.randn(2, 3, size, 16) for size in (places, 40, 40))
    bias = torch.randn(1, 3, places, 40) if biased else None
    found = attention(q, k, v, bias, scale=0.5)
    count = len(scores)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.5))
    assert count > 1
    assert max(scores[:count]) <= 1 << 12


def test_one_row_is_the_least(scores: list[int]) -> None:
    q, k = torch.randn(1, 1, 3, 8), torch.randn(1, 1, 5000, 8)
    torch.testing.assert_close(attention(q, k, k), F.scaled_dot_product_attention(q, k, k))
    assert scores == [5000 * 4] * 3 + [3 * 5000 * 4]


def test_pieces_are_nearly_even(scores: list[int]) -> None:
    """Metal's kernel for eight queries or fewer was wrong for a while: no rest of a few rows is left over."""
    attend(torch.randn(1, 65, 8), torch.randn(1, 64, 8), torch.randn(1, 64, 8), 1)
    assert [size // (64 * 4) for size in scores] == [13] * 5


def test_elsewhere_all_rows_go_at_once(scores: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WRITES", ("mps",))
    attend(torch.randn(1, 65, 8), torch.randn(1, 64, 8), torch.randn(1, 64, 8), 1)
    assert len(scores) == 1
