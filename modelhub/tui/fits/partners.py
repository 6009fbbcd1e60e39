"""What the fits screen asks: the question about an asset, what it is checked against, and the answers one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.jobs import Job
from modelhub.lora.checking.answer import rank
from modelhub.lora.checking.matrix import CHECKED, MODELS, Matrix, find_loras, find_models
from modelhub.lora.checking.matrix import Pair as MatrixPair
from modelhub.tui.fits.fit_list import Pair
from modelhub.tui.fits.fit_matrix import Row

#: LoRAs whose rows are fetched together.
_PAGE = 256


def question(asset: Asset) -> str:
    """What there is to ask about an asset; "" where there is nothing."""
    if asset.kind in MODELS:
        return f"Which LoRAs fit {asset.path.stem}?"
    return f"Which models does {asset.path.stem} fit?" if asset.kind in CHECKED else ""


def nothing(asset: Asset) -> str:
    """What to say where there is no partner in the catalog."""
    if asset.kind in MODELS:
        return "There is no LoRA in the library yet.\nIn the library, a scans a folder that holds some."
    return "There is no checkpoint in the library yet.\nIn the library, a scans a folder that holds some."


def pairs(catalog: Catalog, asset: Asset, job: Job) -> Iterator[Pair]:
    """Every partner of `asset` with the answer, as they are found. Raises CancelledError."""
    matrix = Matrix(catalog, job)
    if asset.kind in MODELS:
        found = ((pair.lora, pair.answer) for pair in matrix.pairs(_rows(catalog), [asset]))
    else:
        found = ((pair.model, pair.answer) for pair in matrix.pairs([asset], find_models(catalog)))
    return (Pair(other, answer) for other, answer in found)


def answers(catalog: Catalog, loras: Sequence[Asset], model: Asset, job: Job) -> Iterator[Pair]:
    """Each of some LoRAs with the answer for one model, as they are found. Raises CancelledError."""
    return (Pair(pair.lora, pair.answer) for pair in Matrix(catalog, job).pairs(loras, [model]))


def candidates(catalog: Catalog, model: Asset, query: str, job: Job) -> Iterator[Pair]:
    """Each LoRA that a query finds, with the answer for one model. Raises BadQueryError, CancelledError."""
    loras = (one for one in catalog.pages(find_loras(catalog, query)) if one.kind == "lora")
    found = Matrix(catalog, job).pairs(loras, [model])
    return (Pair(pair.lora, pair.answer) for pair in found)


def _rows(catalog: Catalog) -> Iterable[Asset]:
    """All LoRAs, in pages."""
    ids = find_loras(catalog)
    for start in range(0, len(ids), _PAGE):
        yield from catalog.assets(ids[start : start + _PAGE])


def sides(assets: Iterable[Asset]) -> tuple[list[Asset], list[Asset]]:
    """What of some assets is checked, and the models that it is checked against."""
    every = list(assets)
    return [one for one in every if one.kind in CHECKED], [one for one in every if one.kind in MODELS]


def matrix(
    catalog: Catalog, loras: Sequence[Asset], models: Sequence[Asset], job: Job
) -> tuple[Sequence[Asset], Iterator[Row]]:
    """The models of a matrix, and its rows as they are answered. Without one side it has all of the library."""
    models = models or find_models(catalog)
    every = loras or catalog.pages(find_loras(catalog))
    return models, _lines(Matrix(catalog, job).pairs(every, models) if models else iter(()), len(models))


def _lines(pairs: Iterator[MatrixPair], count: int) -> Iterator[Row]:
    """A byte for each pair, for there may be a million."""
    found = bytearray()
    for pair in pairs:
        found.append(rank(pair.answer.verdict))
        if len(found) == count:
            yield Row(pair.lora, bytes(found))
            found.clear()


def bakes(asset: Asset) -> bool:
    """Whether the merge lab takes an asset together with what it fits."""
    return asset.kind in MODELS or asset.kind == "lora"


def for_the_lab(one: Asset, other: Asset) -> tuple[Asset, Asset] | None:
    """The model and the LoRA of a pair, in this order; None where there is nothing to bake."""
    for model, lora in ((one, other), (other, one)):
        if model.kind in MODELS and lora.kind == "lora":
            return model, lora
    return None
