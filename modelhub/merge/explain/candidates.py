"""Candidates: which models of the library a merge may be of, by what it says itself and by a sample of its weights.

Of each model of its architecture a few tensors are read. The nearest one is taken first, then whichever takes most of
what is left away, until nothing but rounding is: a matching pursuit. What it takes is only worth a closer look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.asset import Asset
from modelhub.catalog.canonical import Place
from modelhub.catalog.opener import Parent
from modelhub.catalog.parents import DIRECT, merged_from
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import ModelhubError, NotFoundError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.jobs import QUIET, Job
from modelhub.merge.explain.sums import PRECISION, SPREAD
from modelhub.merge.inputs.align import aligned, check_together
from modelhub.merge.inputs.model import Model
from modelhub.text import brief

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

#: Models that are looked at, and elements of each: tens of megabytes in all.
MOST_MODELS, _ELEMENTS = 200, 1 << 15
#: Tensors that the sample is spread over, and their sizes: small ones, that are read in no time.
_TENSORS, _LEAST, _LARGEST = 8, 64, 1 << 20
#: Models to look at more closely, and the share of what is left that one more has to take away.
_CHOSEN, _WORTH = 6, 0.02
#: What is left may be more than rounding leaves: parents are rounded, too.
_ROOM = 4.0


def find_candidates(
    merge: Model, catalog: CatalogReader, open: Callable[[str], Parent], job: Job = QUIET
) -> list[Model]:
    """The models of the library that `merge` is most likely of, the likeliest first; opened by `open`.

    Raises NotFoundError when the library has no model of its architecture.
    """
    check_together([merge])
    assets = list(_alike(merge, catalog))
    sampled = _places(merge)
    goal = _sample(merge, sampled)
    models: list[Model] = []
    samples: list[Array] = []
    with job.phase("sampling", len(assets), "files") as advance:
        for asset in assets:
            advance(item=asset.name)
            model = _opened(merge, asset, open, job)
            if model is not None and (sample := _sample(model, sampled)).shape == goal.shape:
                models.append(model)
                samples.append(sample)
    if not models:
        raise NotFoundError(
            f"The library has no other model that is laid out as {brief(merge.parent.name)} is.",
            "Name the models that it may be of by --from.",
        )
    named = _said(merge, catalog)
    said = [i for i, model in enumerate(models) if model.parent.path in named]
    return [models[i] for i in pursue(goal, samples, _rounded(merge, goal), said)]


def pursue(goal: Array, samples: Sequence[Array], enough: float, begin: Sequence[int] = ()) -> list[int]:
    """The samples that together come nearest to `goal` with weights that sum to one, by number, the best first.

    Those of `begin` are taken in any case. It is done when the square of what is left is `enough`.
    """
    import numpy as np

    chosen = list(begin) or [min(range(len(samples)), key=lambda i: _square(goal - samples[i]))]
    start = samples[chosen[0]]
    steps = [(sample - start).astype(np.float64) for sample in samples]
    left = _left((goal - start).astype(np.float64), [steps[i] for i in chosen[1:]])
    while len(chosen) < min(_CHOSEN, len(samples)) and _square(left) > enough:
        best = max((i for i in range(len(samples)) if i not in chosen), key=lambda i: _taken(left, steps[i]))
        rest = _left((goal - start).astype(np.float64), [steps[i] for i in (*chosen[1:], best)])
        if _square(rest) > (1 - _WORTH) * _square(left):
            break
        chosen.append(best)
        left = rest
    return chosen


def _square(values: Array) -> float:
    return float((values.astype("f8") ** 2).sum())


def _left(goal: Array, steps: Sequence[Array]) -> Array:
    """What the best sum of `steps` leaves of `goal`."""
    import numpy as np

    if not steps:
        return goal
    basis = np.array(steps)
    left: Array = goal - np.linalg.lstsq(basis.T, goal, rcond=None)[0] @ basis
    return left


def _rounded(merge: Model, goal: Array) -> float:
    """The square that rounding of the merge to its precision leaves, with some room."""
    kind = next((name for name in merge.source.header.dtypes() if name in FLOAT_DTYPES), "F16")
    return _ROOM * _square(goal) * SPREAD * 4.0 ** -PRECISION.get(kind, PRECISION["F32"])[0]


def _taken(left: Array, step: Array) -> float:
    """How much of what is left a step can take away."""
    size = float(step @ step)
    return float(left @ step) ** 2 / size if size else 0.0


def _alike(merge: Model, catalog: CatalogReader) -> Iterator[Asset]:
    """The models of the merge's architecture and kind, but for itself; those first that it names as its parents."""
    known, kind = merge.identity.architecture, merge.identity.kind
    said = _said(merge, catalog)
    query = f'kind:{kind} arch:"{known}"' if known else f"kind:{kind}"
    found = [one for one in catalog.find(query, "added") if not one.missing and not _is_it(one, merge)]
    yield from sorted(found, key=lambda one: one.path not in said)[:MOST_MODELS]


def _is_it(asset: Asset, merge: Model) -> bool:
    same = merge.parent.sha256 is not None and asset.sha256 == merge.parent.sha256
    return same or asset.path == merge.parent.path.absolute()


def _said(merge: Model, catalog: CatalogReader) -> set[Path]:
    """The assets that the merge's own metadata name as its parents: by their hashes, or else by their names."""
    found: set[Path] = set()
    for one in merged_from(merge.parent.source.header.metadata):
        if one.depth == DIRECT:
            found |= {asset.path for asset in (catalog.hashed(one.sha256) if one.sha256 else catalog.named(one.name))}
    return found


def _opened(merge: Model, asset: Asset, open: Callable[[str], Parent], job: Job) -> Model | None:
    """A model in the layout of the merge; None for one that is not merged with it, or cannot be read."""
    try:
        model = Model(f"#{asset.id}", open(f"#{asset.id}"))
        check_together([merge, model])
        return aligned({"merge": merge, "other": model}, "merge")["other"]
    except ModelhubError as error:
        job.say(f"{brief(asset.name)} was left out: {error.message}")
        return None


def _places(merge: Model) -> list[Place]:
    """Places of small weights, spread over the whole model, those of the denoiser if it has one."""
    found = [
        place
        for place, name in merge.places.items()
        if (info := merge.source.info(name)).dtype in FLOAT_DTYPES and _LEAST <= info.numel <= _LARGEST and place[0]
    ]
    found = [place for place in found if place[0] == "unet"] or found or list(merge.places)
    count = min(_TENSORS, len(found))
    return [found[at * len(found) // count] for at in range(count)]


def _sample(model: Model, places: Sequence[Place]) -> Array:
    """The first elements of the tensors at `places`, in fp32; shorter where the model lacks one."""
    import numpy as np

    each = max(1, _ELEMENTS // max(1, len(places)))
    parts = []
    for place in places:
        if place in model.places:
            values = model.source.tensor(model.places[place]).reshape(-1)[:each]
            parts.append(np.nan_to_num(values.float().numpy(), nan=0.0, posinf=0.0, neginf=0.0))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
