"""What is known about where a pair comes from: variants, predictions, lineages, packing. Advice, never proof."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from modelhub.lora.checking.answer import Lines, Reason
from modelhub.lora.checking.known import Descent, Known
from modelhub.lora.checking.relations import Relation, of_lineages, of_prediction, of_variant
from modelhub.lora.checking.shapes import Pair
from modelhub.lora.fitting import APPLIED
from modelhub.text import brief, few

#: Kinds that come from somewhere; a text encoder by itself has no lineage.
_TRACED = frozenset({"checkpoint", "diffusion-model"})
#: Evidence that a file was made of another, rather than named after it.
_MADE_OF = frozenset({"hash", "base model", "merge"})


def origin_reasons(pair: Pair, *, fits: bool) -> Iterator[Reason]:
    """Every reason that is not about shapes; of a pair that does not fit, only what is worth knowing all the same."""
    if fits and pair.model.kind in _TRACED:
        if pair.fit.total(*APPLIED, component="unet"):
            yield from _variant(pair)
            yield from _prediction(pair)
        yield from _lineage(pair.lora, pair.model)
    yield from _packing(pair)
    yield from _input(pair)
    yield from _remarks(pair)


def _variant(pair: Pair) -> Iterator[Reason]:
    lora, model = pair.lora, pair.model
    for row in of_variant(model.architecture, model.variant):
        if not (row.own and lora.variant == model.variant) and _holds(row, pair):
            yield Reason(row.id, row.say, row.verdict)


def _holds(row: Relation, pair: Pair) -> bool:
    """Whether the adapter leaves alone what it must, and is of the variant that the row is about."""
    return not (row.mark and pair.fit.marked(row.mark)) and row.lora in ("", pair.lora.variant)


def _prediction(pair: Pair) -> Iterator[Reason]:
    lora, model = pair.lora.prediction, pair.model.prediction
    row = of_prediction(pair.model.architecture, lora, model)
    if row is not None:
        yield Reason(row.id, row.say, row.verdict)
    elif lora is not None and lora == model:
        yield Reason("same-prediction", f"Both predict {lora}.")


def _lineage(lora: Known, model: Known) -> Iterator[Reason]:
    if lora.trained_on:
        which = (
            "this checkpoint"
            if lora.trained_on == model.name
            else f'"{brief(lora.trained_on)}", which is in the library'
        )
        yield Reason("trained-on", f"By its hash, the LoRA was trained on {which}.")
    rule = _relation(lora, model)
    if isinstance(rule, Relation):
        yield Reason(rule.id, rule.say, rule.verdict)
    elif rule:
        title = next(one.title for one in lora.lineages)
        yield Reason(rule, f"Both are of one family: {title}.")


def _relation(lora: Known, model: Known) -> Relation | str:
    """The row about two lineages, "same-lineage", or "" where one is unknown."""
    if not lora.lineages or not model.lineages or (lora.trained_on and lora.trained_on == model.name):
        return ""
    mine, theirs = lora.lineages[0], model.lineages[0]
    parents = {one.id for one in model.lineages if one.rule in _MADE_OF}
    return "same-lineage" if mine.id in {theirs.id, *parents} else of_lineages(mine.id, theirs.id)


def lineage_lines(lora: Known, model: Known) -> Lines:
    """Both lineages, with the evidence for each in a sentence."""
    rule = _relation(lora, model)
    told = _told("the LoRA: ", lora.lineages), _told("this checkpoint: ", model.lineages)
    return Lines(
        lora=lora.lineages[0].id if lora.lineages else "",
        checkpoint=model.lineages[0].id if model.lineages else "",
        say="; ".join(says[0] for says in told if says),
        rule=rule.id if isinstance(rule, Relation) else rule,
        evidence=(*told[0], *told[1]),
    )


@lru_cache(maxsize=4096)
def _told(who: str, lineages: tuple[Descent, ...]) -> tuple[str, ...]:
    """`the LoRA: trained on "illustriousXL_v01" (ss_sd_model_name)`, `this checkpoint: NoobAI (declared beside it)`."""
    return tuple(who + _TELLINGS.get(one.rule, _by_text)(one) for one in lineages)


def _by_text(one: Descent) -> str:
    return f"{one.title}, by {brief(one.found)} ({one.key or one.rule})"


_TELLINGS = {
    "hash": lambda one: f"trained on {one.title}, by the hash of its base ({one.key})",
    "base model": lambda one: f'trained on "{brief(one.found)}" ({one.key})',
    "merge": lambda one: f"merged from {one.title} ({one.key})",
    "declared": lambda one: f"{one.title} (declared in a file beside it: {brief(one.found)})",
    "captions": lambda one: f"captions as for {one.title} ({one.key})",
    "file name": lambda one: f"{one.title}, by its file name",
}


def _packing(pair: Pair) -> Iterator[Reason]:
    packed = pair.model.facts.get("quantisation") or {}
    kinds = few([*packed]) if packed else ""
    if not pair.fit.sized:
        say = f"The checkpoint is quantised ({kinds or 'packed'}): dims not checkable, only names compared."
        yield Reason("sizes-not-checkable", say, "caution")
    elif packed:
        say = f"The checkpoint is quantised ({kinds}): the sizes that it stands for were compared."
        yield Reason("quantised", say)


def _input(pair: Pair) -> Iterator[Reason]:
    """Whole input layers that lie beside the modules, as image-to-video LoRAs have them."""
    brought = {} if pair.fit.marked("input") else (pair.lora.adapter or {}).get("input_channels") or {}
    for name, channels in brought.items():
        mine = pair.model.facts.get("in_channels")
        other = mine not in (None, channels)
        say = f"The file brings a whole input layer for {channels} channels ({brief(str(name))})"
        more = f"; the model takes {mine}: only programs that know such files exchange it." if other else "."
        yield Reason("brings-input", say + more, "caution" if other else "compatible")


def _remarks(pair: Pair) -> Iterator[Reason]:
    embeddings = (pair.lora.adapter or {}).get("embeddings") or ()
    if embeddings:
        yield Reason(
            "embeddings-inside", f"The file has embeddings inside, which are loaded apart: {few(list(embeddings))}."
        )
    for known in (pair.lora, pair.model):
        for sentence in known.conflicts:
            yield Reason("metadata-contradicts", f"{brief(known.name)}: {brief(sentence, 200)} Shapes count.")
