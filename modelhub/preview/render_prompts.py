"""What a model is told in one pass: prompts encoded by its text encoders, with the sizes that SDXL wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelhub.preview.denoising.sizes import scored, sizes, with_sizes
from modelhub.preview.denoising.text import Conditioning
from modelhub.preview.models.model import Model
from modelhub.preview.prompts.branches import branches
from modelhub.preview.prompts.embeddings import Embedding
from modelhub.preview.prompts.encoders import Remembered, TokenIds
from modelhub.preview.prompts.prompter import Prompter
from modelhub.preview.prompts.tags import plain

#: How beautiful people find what the refiner is to make, and what it is not to make, from 1 to 10 (A1111's numbers).
_FINE, _POOR = 6.0, 2.5


@dataclass(frozen=True, slots=True)
class Wording:
    """The prompts of one pass, and what their changes on the way are timed by; see `Prompter`.

    `hires_from` is how many calls the first pass had, where this is the second.
    """

    prompt: str
    negative: str
    steps: int
    calls: int
    clip_skip: int
    emphasis: str
    width: int
    height: int
    hires_from: int | None = None


class Reader:
    """The text encoders of one model with their tokenizers; what was encoded is kept."""

    def __init__(
        self,
        model: Model,
        embeddings: Sequence[Embedding] = (),
        t5: TokenIds | None = None,
        remembered: Mapping[str, Remembered] | None = None,
    ) -> None:
        self._model, self._embeddings, self._t5 = model, embeddings, t5
        self.prompter = Prompter(model.facts.id, model.encoders, embeddings, t5, remembered)

    def anew(self) -> Reader:
        """The same, but nothing is encoded yet."""
        return Reader(self._model, self._embeddings, self._t5)

    def __call__(self, wording: Wording, *, guided: bool) -> Conditioning:
        """What the model is told; only where it is `guided` the negative prompt is needed.

        Text encoders leave a GPU when they are done. Raises what the prompter raises.
        """
        prompt = plain(wording.prompt)
        told = self.prompter(
            prompt,
            wording.negative if guided or [one.weight for one in branches(prompt)] != [1] else None,
            steps=wording.steps,
            calls=wording.calls,
            clip_skip=wording.clip_skip,
            emphasis=wording.emphasis,
            hires_from=wording.hires_from,
        ).to(self._model.device)
        if self._model.residence.is_apart:
            self._model.free_encoders()
        if self._model.facts.id == "sdxl":
            size = sizes(wording.width, wording.height)
            return with_sizes(told, size, size)
        if self._model.facts.id == "sdxl-refiner":
            both = (scored(wording.width, wording.height, score) for score in (_FINE, _POOR))
            return with_sizes(told, *both)
        return told
