"""Explain a merge: read it and its candidate parents once, tensor by tensor, and find the weights they went in with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from modelhub.catalog.blocks import block_names
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.threads import one_thread
from modelhub.jobs import QUIET, Job
from modelhub.merge.explain.explanation import Candidate, Explanation, component_row, worst
from modelhub.merge.explain.forms import Form, recognise
from modelhub.merge.explain.parts import Part
from modelhub.merge.explain.proposing import block_list, preset_of, propose
from modelhub.merge.explain.roll import Roll, Shared, call_roll
from modelhub.merge.explain.sums import Sums, equal, measure
from modelhub.merge.explain.telling import tell
from modelhub.merge.explain.verdicts import Verdict
from modelhub.merge.inputs.align import aligned, check_together
from modelhub.merge.inputs.model import Model
from modelhub.merge.recipes.parts import letters
from modelhub.text import plural

#: Parents that are tried at once: products grow with the square.
MOST = 16


def explain(
    merge: Model,
    parents: Sequence[Model],
    *,
    most: int | None = None,
    workers: int = 2,
    job: Job = QUIET,
) -> Explanation:
    """Which of `parents`, two at least or one, `merge` was made of, and with what weights.

    Reads every file once; memory does not grow with the models, and results do not depend on `workers`. `most`: only so
    many windows of each tensor, for a quick look. Raises what `check_together` raises, IncompatibleError when no weight
    is shared, UsageError for no parents or too many, FileError.
    """
    started = time.monotonic()
    if not 1 <= len(parents) <= MOST:
        raise UsageError(f"{plural(len(parents), 'parent')} cannot be tried at once.", f"Name 1 to {MOST}.")
    merge, parents = _aligned(merge, parents)
    roll = call_roll(merge, parents)
    found = _measured(roll, merge, parents, most, workers, job)
    parts = _parts(roll, found, merge.identity.architecture)
    if not parts:
        raise IncompatibleError(
            f"{merge.parent.name} shares no weight with all of its candidates.", "Name fewer of them at once."
        )
    beside = _beside(roll, merge, parents)
    prefer = sorted(range(len(parents)), key=lambda i: -beside[i])
    form = recognise(parts, prefer)
    return _explanation(merge, parents, roll, parts, form, beside, most, started)


def _aligned(merge: Model, parents: Sequence[Model]) -> tuple[Model, list[Model]]:
    """The models in the layout of the merge, checked. The letters are those of the parents, in order."""
    named = {"the merge": replace(merge, key="the merge")} | {
        letter: replace(parent, key=letter) for letter, parent in zip(letters(), parents, strict=False)
    }
    check_together(list(named.values()))
    first, *others = aligned(named, "the merge").values()
    return first, others


def _measured(
    roll: Roll, merge: Model, parents: Sequence[Model], most: int | None, workers: int, job: Job
) -> dict[str, Sums]:
    """The sums of each shared tensor; what is not finite goes to the skipped."""
    sources = [parent.source for parent in parents]
    total = sum(_bytes(shared, merge, parents) for shared in roll.shared)
    found: dict[str, Sums] = {}
    with one_thread(), job.phase("comparing", total, "bytes") as advance, ThreadPoolExecutor(workers) as pool:

        def work(shared: Shared) -> Sums:
            job.check()
            sums = measure(shared, merge.source, sources, most)
            advance(_bytes(shared, merge, parents), shared.spot.full)
            return sums

        try:
            for shared, sums in zip(roll.shared, pool.map(work, roll.shared), strict=True):
                if sums.finite:
                    found[shared.spot.full] = sums
                else:
                    roll.skip("NaN or infinite in one of the models", shared.spot.full)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def _bytes(shared: Shared, merge: Model, parents: Sequence[Model]) -> int:
    names = zip(shared.parents, shared.theirs, strict=True)
    return merge.source.info(shared.spot.full).nbytes + sum(parents[i].source.info(n).nbytes for i, n in names)


def _parts(roll: Roll, found: Mapping[str, Sums], architecture: str | None) -> dict[str, Part]:
    order = {name: at for at, name in enumerate(block_names(architecture))}
    shared = [one for one in roll.shared if one.spot.full in found]
    blocks = {one.spot.full: one.spot.block for one in shared}
    by_component: dict[str, dict[str, Sums]] = {}
    for one in sorted(shared, key=lambda one: order.get(one.spot.block or "", len(order))):
        by_component.setdefault(one.spot.component, {})[one.spot.full] = found[one.spot.full]
    return {name: Part.of(name, tensors, blocks) for name, tensors in by_component.items()}


def _beside(roll: Roll, merge: Model, parents: Sequence[Model]) -> list[int]:
    """How many of the tensors beside the weights each parent has the same."""
    return [
        sum(
            theirs[i] is not None and equal(name, merge.source, str(theirs[i]), parent.source)
            for name, theirs in roll.beside
        )
        for i, parent in enumerate(parents)
    ]


def _verdict(parts: Mapping[str, Part]) -> Verdict:
    """The least verdict of the components, but for those that several parents share, whose weights do not matter."""
    told = [part for part in parts.values() if sum(part.fit.sums.same) < 2]
    keys = [str(number) for number in range(MOST)]
    return worst([component_row(part, keys).verdict for part in told or parts.values()])


def _explanation(
    merge: Model,
    parents: Sequence[Model],
    roll: Roll,
    parts: Mapping[str, Part],
    form: Form,
    beside: Sequence[int],
    most: int | None,
    started: float,
) -> Explanation:
    architecture = merge.identity.architecture
    preset = preset_of(form, parts, architecture)
    facts = tuple(Candidate(p.key, p.parent.name, str(p.parent.path), p.parent.sha256) for p in parents)
    made = Explanation(
        merge.parent.name,
        architecture,
        facts,
        _verdict(parts),
        form,
        (),
        propose(form, merge, parents, preset),
        preset,
        tuple(block_list(form, architecture)),
        parts,
        roll.skipped,
        {one.key: count for one, count in zip(parents, beside, strict=True)},
        len(roll.beside),
        most is not None,
        round(time.monotonic() - started, 3),
    )
    return replace(made, words=tuple(tell(made)))
