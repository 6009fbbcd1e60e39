"""Which LoRAs fit which models: all pairs of what is marked as signs, and the evidence of the one under the cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from textual import on
from textual.message import Message
from textual.timer import Timer

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import Verdict
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_list import Pair
from modelhub.tui.fits.fit_matrix import MatrixList, Row
from modelhub.tui.fits.pair_screen import GATHER, PairScreen
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background

#: Seconds that the cursor rests on a pair before its evidence is asked for.
_PAUSE = 0.08


class MatrixScreen(PairScreen):
    """Some LoRAs beside some models; none of either are all of the library."""

    @dataclass
    class Began(Message):
        """The models of the columns."""

        models: Sequence[Asset]

    @dataclass
    class Came(Message):
        """Rows that were answered since the last ones; `last` when there are no more."""

        rows: Sequence[Row]
        last: bool

    @dataclass
    class Answered(Message):
        """The evidence of a pair."""

        key: tuple[int, int]
        pair: Pair

    def __init__(self, library: Library, loras: Sequence[Asset], models: Sequence[Asset]) -> None:
        super().__init__(library)
        self._loras, self._models = loras, models
        self._pause: Timer | None = None

    def body(self) -> MatrixList:
        """A row for each LoRA, a column for each model."""
        return MatrixList(id="matrix")

    @property
    def matrix(self) -> MatrixList:
        """The pairs."""
        return self.query_one(MatrixList)

    def question(self) -> str:
        """The same of all."""
        return "What fits which models?"

    def nothing(self) -> str:
        """What to do."""
        return "There is nothing to check: no LoRA, or no model, in the library.\nIn the library, a scans a folder."

    def counts(self) -> Mapping[Verdict, int]:
        """Those of the matrix."""
        return self.matrix.counts

    # -- the rows ------------------------------------------------------------------------------------------------------

    @background("pairs")
    def find(self, job: WorkerJob) -> None:
        """Row by row."""
        found: list[Row] = []
        told = monotonic()
        with self.library.open() as catalog:
            models, rows = partners.matrix(catalog, self._loras, self._models, job)
            job.post(self.Began(models))
            for row in rows:
                found.append(row)
                if monotonic() - told > GATHER:
                    job.post(self.Came(found, last=False))
                    found, told = [], monotonic()
        job.post(self.Came(found, last=True))

    @on(Began)
    def _began(self, message: Began) -> None:
        self.matrix.models = message.models

    @on(Came)
    def _came(self, message: Came) -> None:
        self.matrix.add(message.rows)
        if message.last:
            self.found_all()
        else:
            self.tell()

    # -- the evidence --------------------------------------------------------------------------------------------------

    @on(LineList.Highlighted)
    def _highlighted(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self._ask)

    def _ask(self) -> None:
        here = self.matrix.current
        if here is not None:
            self._answer(*here)

    @background("answer")
    def _answer(self, job: WorkerJob, lora: Asset, model: Asset) -> None:
        with self.library.open() as catalog:
            for pair in partners.answers(catalog, [lora], model, job):
                job.post(self.Answered((lora.id, model.id), pair))

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        here = self.matrix.current
        if here is not None and (here[0].id, here[1].id) == message.key:
            self.show(message.pair)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def together(self) -> tuple[Asset, Asset] | None:
        """Of the pair under the cursor."""
        here = self.matrix.current
        return partners.for_the_lab(*here) if here is not None else None
