"""Kin: what the catalog tells of an asset beside its row: what fits it, its parents and children, its copies, its news.

All of it is found without asking anybody and without reading weights; what takes longest, what fits, comes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.parents import DIRECT, Ancestor
from modelhub.fetch.lookup.known import known_newer
from modelhub.lora.checking.answer import Answer, Verdict, rank
from modelhub.lora.checking.matrix import CHECKED, MODELS, Matrix
from modelhub.tui.library import term

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.lookup.newer import Newer
    from modelhub.jobs import Job

#: Partners that are looked at, seconds that this may take, answers that are named.
_PARTNERS, _SECONDS, _BEST = 64, 1.5, 5
#: Kinds that go with any model, or of which nothing can be said.
_ANY = ("upscaler", "other")


class Relative(NamedTuple):
    """Another model by its name; `number` is its id in the catalog, 0 for one that is not here."""

    name: str
    number: int = 0
    note: str = ""


class Partner(NamedTuple):
    """What was asked of one partner, and the answer."""

    name: str
    number: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Fits:
    """The best partners, how many have each verdict, of how many that there are; more may come while `is_looking`."""

    title: str
    partners: int
    best: tuple[Partner, ...] = ()
    counts: Mapping[Verdict, int] = field(default_factory=dict)
    is_looking: bool = True


@dataclass(frozen=True, slots=True)
class Kin:
    """Everything that is known; `base` is the model that it was trained on, `merges` those that it went into."""

    number: int
    parents: tuple[Relative, ...] = ()
    merges: tuple[Relative, ...] = ()
    base: tuple[Relative, ...] = ()
    copies: tuple[Relative, ...] = ()
    newer: tuple[Newer, ...] = ()
    fits: Fits | None = None


def kin_of(catalog: Catalog, asset: Asset, job: Job) -> Iterator[Kin]:
    """What is known at once, and then the same with what fits. Raises CancelledError."""
    trained_on = catalog.trained_on(asset)
    found = Kin(
        asset.id,
        parents=tuple(_parent(catalog, one) for one in catalog.parents(asset.id) if one.depth == DIRECT),
        merges=tuple(_child(depth, one) for depth, one in catalog.merges_of(asset)),
        base=(Relative(trained_on.name, trained_on.id),) if trained_on else (),
        copies=tuple(Relative(one.name, one.id, str(one.path.parent)) for one in _copies(catalog, asset)),
        newer=tuple(known_newer(catalog, asset.id)),
    )
    job.check()
    partners = _partners(catalog, asset)
    if partners is None:
        yield found
        return
    title = "LoRAs that fit" if asset.kind in MODELS else "Models it fits"
    yield replace(found, fits=Fits(title, len(partners), is_looking=bool(partners)))
    if partners:
        yield replace(found, fits=_fits(catalog, asset, partners, title, job))


def _child(depth: int, merge: Asset) -> Relative:
    return Relative(merge.name, merge.id, "" if depth == DIRECT else "by way of another merge")


def _parent(catalog: Catalog, one: Ancestor) -> Relative:
    """A parent by its hash, else by its name if that is the name of one asset alone."""
    here = catalog.with_sha256(one.sha256) if one.sha256 else []
    if not here and one.name:
        named = catalog.named(Path(one.name).name)
        here = named if len(named) == 1 and not (one.sha256 and named[0].sha256) else []
    name = one.name or (here[0].name if here else one.sha256[:10])
    return Relative(name, here[0].id) if here else Relative(name, note="not in the library")


def _copies(catalog: Catalog, asset: Asset) -> list[Asset]:
    same = catalog.with_sha256(asset.sha256) if asset.sha256 else []
    return [one for one in same if one.id != asset.id]


def _partners(catalog: Catalog, asset: Asset) -> list[int] | None:
    """The ids of what an asset may go with, those of its architecture first; None where there is nothing to ask."""
    if asset.kind in MODELS:
        kinds: Sequence[str] = ("lora",)
    elif asset.kind in CHECKED and asset.kind not in _ANY:
        kinds = MODELS
    else:
        return None
    here = f"({' OR '.join(f'kind:{kind}' for kind in kinds)}) missing:no"
    near = catalog.ids(f"{here} {term('arch', asset.architecture)}", "rating") if asset.architecture else []
    return list(dict.fromkeys([*near, *catalog.ids(here, "rating")]))


def _fits(catalog: Catalog, asset: Asset, partners: Sequence[int], title: str, job: Job) -> Fits:
    """The answers of the first partners, as many as there is time for."""
    end = monotonic() + _SECONDS
    answers: list[tuple[Asset, Answer]] = []
    for other, answer in _answers(catalog, asset, catalog.assets(partners[:_PARTNERS]), job):
        answers.append((other, answer))
        if monotonic() > end:
            break
    ordered = sorted(answers, key=lambda pair: (rank(pair[1].verdict), _against(pair[1])))
    best = tuple(Partner(other.path.stem, other.id, answer.verdict) for other, answer in ordered[:_BEST])
    counts = Counter(answer.verdict for _, answer in answers)
    return Fits(title, len(partners), best, counts, is_looking=False)


def _answers(catalog: Catalog, asset: Asset, others: Sequence[Asset], job: Job) -> Iterator[tuple[Asset, Answer]]:
    matrix = Matrix(catalog, job)
    if asset.kind in MODELS:
        yield from ((pair.lora, pair.answer) for pair in matrix.pairs(others, [asset]))
    else:
        yield from ((pair.model, pair.answer) for pair in matrix.pairs([asset], others))


def _against(answer: Answer) -> int:
    return sum(reason.severity != "compatible" for reason in answer.reasons)
