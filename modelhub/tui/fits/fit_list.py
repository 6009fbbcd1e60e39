"""The list of the fits screen: a sign, a word and a name in each row, the best on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import SIGNS, Answer, Verdict, rank
from modelhub.tui.fits.fit_facts import LOOKS
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

#: Columns of the words of a verdict and of the architecture; narrower lists leave them out, the word last.
_WORD, _ARCHITECTURE = 19, 10
_NAME = 24


@dataclass(frozen=True, slots=True)
class Pair:
    """The other side of a check, and the answer."""

    asset: Asset
    answer: Answer

    @property
    def order(self) -> tuple[int, int, str, int]:
        """Best first: by verdict, by how much speaks against it, by name."""
        against = sum(reason.severity != "compatible" for reason in self.answer.reasons)
        return rank(self.answer.verdict), against, self.asset.name.casefold(), self.asset.id


class FitList(LineList):
    """Pairs as they are found, in order."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"list--{name}" for name in ("good", "warn", "bad", "muted", "name", "heading")
    }

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pairs: list[Pair] = []

    @property
    def current(self) -> Pair | None:
        """The pair under the cursor."""
        return self._pairs[self.cursor] if self.cursor < len(self._pairs) else None

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many pairs have each verdict."""
        return Counter(pair.answer.verdict for pair in self._pairs)

    def add(self, pairs: Iterable[Pair]) -> None:
        """More pairs in their places. A cursor that was moved stays on its pair, one on top stays on top."""
        before = self.current if self.cursor else None
        self._pairs = sorted([*self._pairs, *pairs], key=lambda pair: pair.order)
        self.count = len(self._pairs)
        row = next((at for at, pair in enumerate(self._pairs) if pair is before), 0)
        if row == self.cursor:
            self.tell(self.Highlighted(self, row))
        self.cursor = row
        self.refresh()

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """The pair of that row."""
        return self.pair_row(self._pairs[number], width, style)

    def pair_row(self, pair: Pair, width: int, style: Style) -> Sequence[Segment]:
        """Sign, word, name, architecture."""
        verdict = pair.answer.verdict
        look = style + ink(self, f"list--{LOOKS[verdict]}")
        word = _WORD if width >= _WORD + _NAME + 4 else 0
        architecture = _ARCHITECTURE if width >= word + _NAME + _ARCHITECTURE + 6 else 0
        name = width - 3 - (word + 1 if word else 0) - (architecture + 1 if architecture else 0)
        parts = [(f" {SIGNS[verdict]} ", look)]
        parts += [(f"{cell(verdict, word)} ", look)] if word else []
        parts.append((cell(pair.asset.name.removesuffix(".safetensors"), name), style))
        if architecture:
            parts.append((f" {cell(pair.asset.architecture or '-', architecture)}", style + ink(self, "list--muted")))
        return [Segment(text, look) for text, look in parts]
