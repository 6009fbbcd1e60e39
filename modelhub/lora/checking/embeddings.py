"""Embeddings (textual inversions) and models: whether a token has the width that the model's text encoders take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.catalog.companions import table
from modelhub.lora.checking.answer import Answer, Reason
from modelhub.lora.checking.companions import encoders, size
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.shapes import titles
from modelhub.lora.checking.telling import ENCODERS, Finding, finding, told
from modelhub.text import plural

#: Tokens that a text encoder of CLIP reads at once, without those that begin and end it.
_ROOM = 75


def check_embedding(one: Known, model: Known) -> Answer:
    """Whether an embedding can be used with a model; the encoder itself may be in the model's file or not."""
    takes = encoders(model)
    states = _states(_widths(one), takes, model)
    findings = [*_of_encoders(states, takes, one, model), *_vectors(one, states)] if takes else []
    counts = {encoder: {state: 1} for encoder, (state, _) in states.items()}
    return told(one, model, findings, checked=("widths of the vectors",), counts=counts)


def _widths(one: Known) -> dict[str, int]:
    """Encoder to width, of the tensors that say whose they are; "" for one that does not say it."""
    named: Mapping[str, str] = table()["embedded"]
    widths = {encoder: found for fact, encoder in named.items() if (found := size(one, fact))}
    alone = size(one, "width")
    return widths or ({"": alone} if alone else {})


#: Encoder to what becomes of it (ok, dim-mismatch, missing-component: no vector for it), and the width of the vector.
_States = dict[str, tuple[str, int]]


def _states(widths: Mapping[str, int], takes: Mapping[str, int], model: Known) -> _States:
    if "" in widths:
        return _of_one_width(widths[""], takes)
    if not any(takes.values()) and (context := size(model, "context")):
        fits = sum(widths.values()) == context  # two encoders lie side by side in the context
        return {encoder: ("ok" if fits else "dim-mismatch", width) for encoder, width in widths.items()}
    found = {encoder: (_state(width, takes[encoder]), width) for encoder, width in widths.items() if encoder in takes}
    # one that says clip_l, and the only width there is
    return found or _of_one_width(next(iter(widths.values()), 0), takes)


def _of_one_width(width: int, takes: Mapping[str, int]) -> _States:
    """A vector that does not say whose it is goes to the encoder of its width."""
    mine = [encoder for encoder, wanted in takes.items() if width and wanted in (0, width)]
    if not mine:
        return {encoder: ("dim-mismatch", width) for encoder in takes if not encoder.startswith("t5")}
    return {encoder: ("ok" if encoder in mine else "missing-component", width) for encoder in takes}


def _state(width: int, wanted: int) -> str:
    return "ok" if wanted in (0, width) else "dim-mismatch"


def _of_encoders(states: _States, takes: Mapping[str, int], one: Known, model: Known) -> Iterator[Finding]:
    wrong = {encoder: width for encoder, (state, width) in states.items() if state == "dim-mismatch"}
    for encoder, width in wrong.items():
        wanted = takes.get(encoder) or size(model, "context") or 0
        name = _and([encoder])
        say = f"A token of the embedding is {width} wide, {name} of the model takes {wanted}."
        yield Finding(Reason("other-width", say, "incompatible"), encoder, f"width {width}", f"{name} {wanted}")
    fitting = [encoder for encoder, (state, _) in states.items() if state == "ok"]
    if wrong or not fitting:
        return
    take = "take" if len(fitting) > 1 else "takes"
    yield finding("same-width", f"Its vectors have the width that {_and(fitting)} of the model {take}.")
    yield from _left_out(fitting, takes, model)
    yield from _other_family(one, model)


def _left_out(fitting: list[str], takes: Mapping[str, int], model: Known) -> Iterator[Finding]:
    """Encoders that learn nothing of the embedding."""
    pooled = table()["pooled"].get(model.architecture, [])
    without = [encoder for encoder in takes if encoder not in fitting]
    if without and set(fitting) <= set(pooled):
        get = "get" if len(without) > 1 else "gets"
        say = f"Of {_and(fitting)} the model takes only a summary, and {_and(without)} {get} nothing: it may do little."
        yield finding("pooled-only", say, "caution")
    elif clip := [encoder for encoder in without if not encoder.startswith("t5")]:
        say = f"It has nothing for {_and(clip)} of the model: it may do less, and some programs skip it."
        yield finding("some-encoders", say, "caution")
    elif without:
        yield finding("not-t5", f"It has nothing for {_and(without)}, as nearly all embeddings.")


def _other_family(one: Known, model: Known) -> Iterator[Finding]:
    """A width alone proves no family: CLIP-L is in several, and was trained further in some."""
    if one.architecture and model.architecture and one.architecture != model.architecture:
        mine, theirs = titles((one.architecture,)), titles((model.architecture,))
        say = f"It looks like one for {mine}, the model is {theirs}: only the width agrees."
        yield finding("other-family", say, "caution")


def _vectors(one: Known, states: _States) -> Iterator[Finding]:
    """How much of a prompt it takes, where CLIP reads it: T5 reads longer ones."""
    count = one.facts.get("vectors")
    read = [encoder for encoder, (state, _) in states.items() if state == "ok"]
    if type(count) is not int or (read and all(encoder.startswith("t5") for encoder in read)):
        return
    if count > _ROOM:
        say = f"It is {plural(count, 'token')} long; {_ROOM} are read at once: the rest of the prompt is read apart."
        yield finding("long", say, "caution")
    elif count > 0:
        yield finding("vectors", f"It takes {plural(count, 'token')} of the {_ROOM} of a prompt.")


def _and(names: list[str]) -> str:
    *first, last = (ENCODERS.get(one, one) for one in names)
    return f"{', '.join(first)} and {last}" if first else last
