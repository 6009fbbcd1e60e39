"""The matrix: every LoRA of a catalog against every model of it, thousands of pairs a second.

How two layouts meet is found out once (`checking/comparing.py`); the verdict on a pair of files comes from that and
from their rows, and no file is opened for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import CatalogReader
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError
from modelhub.jobs import QUIET, Job
from modelhub.lora.checking.answer import WORDS, Answer, Reason, rank
from modelhub.lora.checking.comparing import Comparer
from modelhub.lora.checking.fit import Fit
from modelhub.lora.checking.judging import judge
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.library import Library
from modelhub.lora.checking.others import OTHERS, check_other

#: What is checked, and against what.
CHECKED = ("lora", *OTHERS)
MODELS = ("checkpoint", "diffusion-model")
#: LoRAs that are compared together.
_TOGETHER = 64
_NAMES_KIND = re.compile(r"(?:^|[\s(-])(?:kind|type):", re.IGNORECASE)


class Pair(NamedTuple):
    """One field of the matrix."""

    lora: Asset
    model: Asset
    answer: Answer


class Matrix:
    """Answers for pairs of the assets of a catalog; belongs to the thread that opened it."""

    def __init__(self, catalog: Catalog, job: Job = QUIET) -> None:
        self._job = job
        self._comparer, self._library = Comparer(catalog, job), Library(catalog)
        self._known: dict[Path, Known] = {}

    def pairs(self, loras: Iterable[Asset], models: Sequence[Asset]) -> Iterator[Pair]:
        """Each of `loras` (of any kind of `CHECKED`) with each of `models`, row by row, as they are answered.

        Files that cannot be read make their pairs unknown. Raises CancelledError.
        """
        self._comparer.meet(models)
        rest = iter(loras)
        while rows := list(islice(rest, _TOGETHER)):
            adapters = [one for one in rows if one.kind == "lora"]
            self._comparer.meet(adapters)
            if len(adapters) > 1:  # a single one is answered model by model, so that the first answer is there at once
                self._comparer.prepare(adapters, models)
            for lora in rows:
                self._job.check()
                yield from (Pair(lora, model, self.answer(lora, model)) for model in models)
        self._comparer.sweep()

    def answer(self, lora: Asset, model: Asset) -> Answer:
        """The answer for one pair."""
        one, other = self._of(lora), self._of(model)
        if lora.kind != "lora":
            return check_other(one, other, lora.sha256)
        found = self._comparer.fit(lora, model)
        return judge(found, one, other) if isinstance(found, Fit) else _unread(one, other, found)

    def _of(self, asset: Asset) -> Known:
        known = self._known.get(asset.path)
        if known is None:
            known = self._known[asset.path] = Known.of_asset(asset, self._library.trained_on(asset))
        return known


def find_models(catalog: CatalogReader) -> list[Asset]:
    """All checkpoints and diffusion models whose files are there, by name."""
    return catalog.find(_here(MODELS))


def find_loras(catalog: CatalogReader, query: str = "") -> list[int]:
    """The ids of all LoRAs that `query` finds and whose files are there; of other kinds if it names one.

    Raises BadQueryError.
    """
    kinds = CHECKED if _NAMES_KIND.search(query) else ("lora",)
    here = catalog.ids(_here(kinds))
    wanted = set(catalog.ids(query)) if query.strip() else None
    return here if wanted is None else [number for number in here if number in wanted]


def _here(kinds: Iterable[str]) -> str:
    return f"({' OR '.join(f'kind:{kind}' for kind in kinds)}) missing:no"


def best_first(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs from compatible to unknown; alike ones stay in their order."""
    return sorted(pairs, key=lambda pair: (rank(pair.answer.verdict), -_known(pair.answer)))


def _known(answer: Answer) -> int:
    """How much speaks for a pair beside its shapes, such as one lineage."""
    return sum(reason.severity == "compatible" for reason in answer.reasons)


def _unread(lora: Known, model: Known, error: ModelhubError) -> Answer:
    """The answer for a pair of which one file cannot be read."""
    reasons = (Reason("not-read", error.message, "unknown"),)
    headline = f"{WORDS['unknown']}: {error.message}"
    return Answer(lora.name, model.name, "unknown", headline, reasons=reasons, unchecked=("names and shapes",))
