"""Keeper: what stays from one model to the next: networks, where they are, and texts that were encoded."""

from __future__ import annotations

from collections.abc import Collection

import torch

from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.refit import Refitter
from modelhub.preview.prompts.encoders import KEPT, KEPT_LONG, Remembered


class Keeper:
    """The networks of a model by part, their residence, and the texts that were encoded with each text encoder.

    Networks of the keeper `beside` are on the device with these, and make room for them.
    """

    def __init__(self, beside: Keeper | None = None) -> None:
        self.networks = Refitter()
        self._beside = beside
        self._residence: Residence | None = None
        self._texts: dict[str, Remembered] = {}
        self._embeddings: tuple[object, ...] = ()

    @property
    def read(self) -> dict[str, int]:
        """The bytes that the last model read for each part; 0 for one that stayed."""
        return self.networks.read

    def residence(self, device: torch.device) -> Residence:
        """The residence of the networks. Networks of one on another device leave it, and are forgotten."""
        before = self._residence
        if self._beside is not None:
            now = self._beside.residence(device)
        else:
            now = before if before is not None and before.device == device else Residence(device)
        if now is not before:
            self.only(())
            self._residence = now
        return now

    def only(self, parts: Collection[str]) -> None:
        """Forget the networks of all other parts, wherever they are."""
        for network in self.networks.keep(parts):
            if self._residence is not None:
                self._residence.release(network)

    def texts(self, embeddings: tuple[object, ...]) -> dict[str, Remembered]:
        """What each text encoder made of texts, with these embeddings; of encoders whose weights changed nothing."""
        same = len(embeddings) == len(self._embeddings)
        same = same and all(one is other for one, other in zip(embeddings, self._embeddings, strict=True))
        kept = {part: one for part, one in self._texts.items() if same and self.read.get(part) == 0}
        self._texts = {
            part: kept.get(part) or Remembered(KEPT_LONG if part.startswith("t5") else KEPT) for part in self.read
        }
        self._embeddings = embeddings
        return self._texts
