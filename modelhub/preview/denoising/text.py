"""What a network is conditioned on: what the text encoders say of a prompt, and how that changes on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One prompt, encoded: token vectors [T, D], and the vector [P] of the whole text if the architecture has one."""

    tokens: Tensor
    pooled: Tensor | None = None

    def to(self, device: torch.device) -> Text:
        """The same on a device."""
        return Text(self.tokens.to(device), None if self.pooled is None else self.pooled.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A prompt that may change on the way: texts, each with the last denoiser call (1, 2, ...) that it is for.

    Calls after the last one keep the last text.
    """

    texts: tuple[tuple[int, Text], ...]

    def at(self, call: int) -> Text:
        """The text for the denoiser call `call`, counted from 1."""
        return next((text for last, text in self.texts if call <= last), self.texts[-1][1])


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One of the prompts that AND joins, and its weight."""

    script: Script
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """A prompt, in branches, and a negative prompt; their texts may differ in length."""

    prompt: tuple[Branch, ...]
    negative: Script

    def map(self, prompt: Callable[[Text], Text], negative: Callable[[Text], Text]) -> Conditioning:
        """The same with each text changed, those of the prompt and those of the negative prompt."""
        return Conditioning(
            tuple(Branch(_mapped(one.script, prompt), one.weight) for one in self.prompt),
            _mapped(self.negative, negative),
        )

    def to(self, device: torch.device) -> Conditioning:
        """The same on a device."""
        return self.map(lambda text: text.to(device), lambda text: text.to(device))


def _mapped(script: Script, change: Callable[[Text], Text]) -> Script:
    return Script(tuple((last, change(text)) for last, text in script.texts))
