"""Conditioning: chunks joined on the token axis, both prompts equally long, layers counted from the end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modelhub.preview.prompts import Conditioner
from modelhub.preview.tokenizers import clip_tokenizer


class Echo(nn.Module):
    """A text encoder whose vectors are the ids and the skip."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor, skip: int = 1) -> Tensor:
        return torch.stack((ids.float(), torch.full_like(ids, skip).float()), dim=-1)


def conditioner(pad: int = 49407, least_skip: int = 1) -> Conditioner:
    return Conditioner(clip_tokenizer(), Echo(), pad, least_skip)  # type: ignore[arg-type]


def ids(vectors: Tensor) -> list[int]:
    return [int(number) for number in vectors[:, 0]]


def test_a_short_prompt_is_one_chunk_between_begin_and_end() -> None:
    found = conditioner()("a cat", "")
    assert ids(found.prompt)[:5] == [49406, 320, 2368, 49407, 49407]
    assert ids(found.negative) == [49406] + [49407] * 76
    assert found.prompt.shape == found.negative.shape == (77, 2)


@pytest.mark.parametrize(("words", "chunks"), [(0, 1), (75, 1), (76, 2), (150, 2), (151, 3)])
def test_long_prompts_are_chunks_in_a_row_and_the_other_is_filled_up(words: int, chunks: int) -> None:
    found = conditioner()(" ".join(["cat"] * words), "dog")
    assert found.prompt.shape == found.negative.shape == (77 * chunks, 2)
    assert ids(found.prompt).count(2368) == words
    starts = [place for place, number in enumerate(ids(found.negative)) if number == 49406]
    assert starts == [77 * chunk for chunk in range(chunks)]
    assert ids(found.negative)[77:] == ([49406] + [49407] * 76) * (chunks - 1)


def test_a_longer_negative_prompt_fills_up_the_prompt() -> None:
    found = conditioner()("dog", " ".join(["cat"] * 80))
    assert found.prompt.shape == found.negative.shape == (154, 2)


def test_the_pad_of_sd2_stands_after_the_end() -> None:
    assert ids(conditioner(pad=0)("a cat", "").prompt)[:6] == [49406, 320, 2368, 49407, 0, 0]


@pytest.mark.parametrize(("least", "asked", "skip"), [(1, 1, 1), (1, 2, 2), (2, 1, 2), (2, 3, 3)])
def test_clip_skip_never_goes_above_the_layer_trained_on(least: int, asked: int, skip: int) -> None:
    assert conditioner(least_skip=least)("a", "b", asked).prompt[0, 1].item() == skip
