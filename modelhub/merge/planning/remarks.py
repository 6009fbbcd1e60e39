"""Remarks: what is odd about models that are merged, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.formats.header import FLOAT_DTYPES
from modelhub.merge.inputs.align import Model
from modelhub.text import brief, few, plural

if TYPE_CHECKING:
    from modelhub.merge.planning.deciding import Decisions

#: Bytes of the integers that positions are stored as.
_INTEGERS = {"I64": 8, "I32": 4}
#: No text encoder has longer prompts; a header may claim anything.
_LONGEST = 4096
_GUIDANCE = "guidance_in."


def remarks(first: Model, others: Sequence[Model], weighed: bool) -> Iterator[str]:
    """Everything to be said of these models together; `weighed`: what only others have is added to the first."""
    yield from _predictions([first, *others])
    yield from _positions(first)
    yield from _guidance(first, others, weighed)


def _predictions(models: Sequence[Model]) -> Iterator[str]:
    """Who predicts what, if they do not agree: a tensor that says so is kept from the first, and added from none."""
    said = {model.key: _prediction(model) for model in models if "unet" in model.sections}
    if len(set(said.values())) < 2:
        return
    by_key = {model.key: model for model in models}
    each = ", ".join(f"{brief(by_key[key].parent.name)}: {word}" for key, word in said.items())
    yield (
        f"The models predict differently ({each}); the result is marked as {brief(models[0].parent.name)} is. A mix of "
        "two predictions makes noise unless it only takes the difference of two models that agree."
    )


def _prediction(model: Model) -> str:
    known = model.identity.prediction
    snr = ", zero terminal SNR" if model.identity.facts.get("zero_terminal_snr") else ""
    return (f"{known}-prediction" if known else "not said, so by its architecture") + snr


def _positions(first: Model) -> Iterator[str]:
    """Buffers of positions that an older merge averaged; they are copied as they are."""
    damaged = [name for name in first.source.header.tensors if name.endswith("position_ids") and _damaged(first, name)]
    if damaged:
        yield (
            f"{few(damaged)} of {brief(first.parent.name)} does not count from 0 up, as an older merge left it; it is "
            "copied as it is. Mend it with `modelhub repair`."
        )


def _damaged(model: Model, name: str) -> bool:
    info = model.source.info(name)
    if info.dtype in FLOAT_DTYPES:
        return True
    width = _INTEGERS.get(info.dtype)
    if width is None or not 0 < info.numel <= _LONGEST:
        return False
    data = model.source.read_bytes(name)
    return data != b"".join(at.to_bytes(width, "little") for at in range(info.numel))


def _guidance(first: Model, others: Sequence[Model], weighed: bool) -> Iterator[str]:
    """Flux: only models that were distilled with guidance have an input for it."""
    own = _has_guidance(first)
    unlike = [model for model in others if "unet" in model.sections and _has_guidance(model) != own]
    if not unlike:
        return
    having, lacking = ([first], unlike) if own else (unlike, [first])
    names = [" and ".join(brief(model.parent.name) for model in group) for group in (having, lacking)]
    kept = f"the result has that of {brief(having[0].parent.name)}" if own or weighed else "the result has none either"
    yield f"{names[0]} has a guidance input (as Flux dev), {names[1]} none (as Flux schnell): {kept}."


def _has_guidance(model: Model) -> bool:
    return any(place[1].startswith(_GUIDANCE) for place in model.places)


def decided(made: Decisions) -> Iterator[str]:
    """What was decided about tensors that are not merged, as far as anyone would wonder."""
    yield from made.taken.warnings
    for at, name, pattern in made.trees.idle_patterns():
        yield f"Step {at}, {name}: no tensor that is merged is named like '{brief(pattern)}'."
    for model in made.others:
        reason = f"only in {brief(model.parent.name)}"
        added = [name for name in made.report.added if made.report.reasons[name] == reason]
        left = [name for name in made.report.extra.get(model.key, []) if _is_missed(model, name)]
        if added:
            yield f"{plural(len(added), 'tensor')} {reason}: added ({few(added)})."
        if left:
            yield f"{plural(len(left), 'tensor')} {reason}: left out ({few(left)})."
    if made.lacking:
        letters = sorted({key for keys in made.lacking.values() for key in keys})
        yield (
            f"{plural(len(made.lacking), 'weight')} that {' and '.join(letters)} lacks: made of what there is, or "
            f"as in {brief(made.first.parent.name)} ({few(made.lacking)})."
        )
    yield from _left_out(made)
    if made.widened:
        yield _WIDENED[made.widened[0]].format(made.widened[1].shape[1], brief(made.first.parent.name))


_WIDENED = {
    "kept": "The result takes {} channels, as {} does: those of the latent are merged, the others are kept.",
    "taken": "The result takes {} channels, where {} takes fewer: it gets them from the difference.",
    "cut": "The result takes {} channels, as {} does: others have more, which are left out.",
}


def _left_out(made: Decisions) -> Iterator[str]:
    averaged = [name for name in made.report.dropped if made.first.role(made.first.place(name)) == "ema"]
    if averaged:
        yield f"{plural(len(averaged), 'EMA tensor')} left out: a merge makes them stale."


def _is_missed(model: Model, name: str) -> bool:
    """Whether a tensor that is left out is a weight of a component."""
    return model.role(model.place(name)) not in ("ema", "")
