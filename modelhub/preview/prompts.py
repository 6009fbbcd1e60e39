"""From prompt and negative prompt to what the network is conditioned on: chunks of 75 tokens, encoded and joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modelhub.preview.networks.text_encoder import TextEncoder


class Tokenizer(Protocol):
    """Text to chunks of 77 token ids: start, up to 75 tokens, end, filled with `pad`; one empty chunk for no text."""

    def chunks(self, text: str, pad: int = ...) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Token vectors [T, D] of prompt and negative prompt, of one and the same length T = 77 * chunks."""

    prompt: Tensor
    negative: Tensor


@dataclass(frozen=True, slots=True)
class Conditioner:
    """A tokenizer with its text encoder; `pad` fills short chunks, `least_skip` is the layer the model was trained on.

    Clip skip counts encoder layers from the end: 1 is the last. SD2 was trained on the last but one (`least_skip` 2).
    """

    tokenizer: Tokenizer
    encoder: TextEncoder
    pad: int
    least_skip: int = 1

    def __call__(self, prompt: str, negative: str, clip_skip: int = 1) -> Conditioning:
        """Encode both, the shorter one padded with empty chunks so that the two can share a batch."""
        pair = [self.tokenizer.chunks(text, pad=self.pad) for text in (prompt, negative)]
        longest = max(map(len, pair))
        skip = max(clip_skip, self.least_skip)
        return Conditioning(*(self._encode(self._filled(chunks, longest), skip) for chunks in pair))

    def _filled(self, chunks: list[list[int]], count: int) -> list[list[int]]:
        (empty,) = self.tokenizer.chunks("", pad=self.pad)
        return chunks + [empty] * (count - len(chunks))

    def _encode(self, chunks: list[list[int]], skip: int) -> Tensor:
        """Chunks [n][77] -> [n * 77, D]."""
        device = next(self.encoder.parameters()).device
        vectors: Tensor = self.encoder(torch.tensor(chunks, device=device), skip=skip)
        return vectors.flatten(0, 1)
