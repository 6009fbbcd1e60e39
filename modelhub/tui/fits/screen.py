"""What fits: the answers for one model or one adapter beside all that it could go with, and the evidence of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from textual import on
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import Verdict
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_list import FitList, Pair
from modelhub.tui.fits.pair_screen import GATHER, PairScreen
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background


class FitsScreen(PairScreen):
    """Which models `asset` fits, or which adapters fit it."""

    @dataclass
    class Came(Message):
        """Answers that were found since the last ones; `last` when there are no more."""

        pairs: Sequence[Pair]
        last: bool

    def __init__(self, library: Library, asset: Asset) -> None:
        super().__init__(library)
        self.asset = asset

    def body(self) -> FitList:
        """One line for each pair."""
        return FitList(id="fit-list")

    @property
    def list(self) -> FitList:
        """The pairs."""
        return self.query_one(FitList)

    def question(self) -> str:
        """By what the asset is."""
        return partners.question(self.asset)

    def nothing(self) -> str:
        """By what the asset is."""
        return partners.nothing(self.asset)

    def counts(self) -> Mapping[Verdict, int]:
        """Those of the list."""
        return self.list.counts

    @background("pairs")
    def find(self, job: WorkerJob) -> None:
        """Pair by pair, the nearest first."""
        pairs: list[Pair] = []
        told = monotonic()
        with self.library.open() as catalog:
            for pair in partners.pairs(catalog, self.asset, job):
                job.check()
                pairs.append(pair)
                if monotonic() - told > GATHER:
                    job.post(self.Came(pairs, last=False))
                    pairs, told = [], monotonic()
        job.post(self.Came(pairs, last=True))

    @on(Came)
    def _came(self, message: Came) -> None:
        self.list.add(message.pairs)
        if message.last:
            self.found_all()

    @on(LineList.Highlighted)
    def _highlighted(self) -> None:
        self.show(self.list.current)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is no LoRA is not baked into a model."""
        return action not in ("bake", "stack") or partners.bakes(self.asset)

    def together(self) -> tuple[Asset, Asset] | None:
        """Whichever of the two is the model."""
        found = self.list.current
        return partners.for_the_lab(self.asset, found.asset) if found is not None else None
