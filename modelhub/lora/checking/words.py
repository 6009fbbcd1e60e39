"""An answer in words: rows that a terminal and a screen show alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.lora.checking.answer import Answer, Mismatch, Reason, Verdict
from modelhub.lora.fitting import APPLIED
from modelhub.text import plural

Row = tuple[str, str]

#: How modules of a state are counted in a sentence.
STATES: Mapping[str, str] = {
    "dim-mismatch": "of other sizes",
    "missing-component": "not in this file",
    "missing-module": "without a layer",
    "unknown-name": "of unknown names",
    "incomplete": "incomplete",
}
#: How the base was found.
_SOURCES = {
    "header": "by names and sizes",
    "structure": "by names; sizes are of no released model",
    "metadata": "by metadata alone",
    "name": "by the file name alone",
}
#: Mismatches that are shown, and what a reason is marked with that counts against a pair.
_SHOWN = 3
_LABELS: Mapping[Verdict, str] = {
    "partial": "partly",
    "caution": "caution",
    "partly-incompatible": "missing",
    "incompatible": "wrong",
    "unknown": "unknown",
}


def answer_rows(answer: Answer) -> Iterator[Row]:
    """Rows (name, value) below the headline: what counts against the pair, modules, origins, what was not checked."""
    against = (one for one in answer.reasons if one.severity != "compatible" and one.say not in answer.headline)
    yield from map(_reason, against)
    yield "modules", count_words(answer.counts, answer.names)
    said = {one.say for one in answer.reasons}
    worst = [one for one in answer.mismatches if one.state != "missing-component" and one.say not in said]
    yield "worst", "\n".join(map(_mismatch, worst[:_SHOWN]))
    yield "base", _base(answer)
    yield "lineage", "\n".join(answer.lineage.evidence)
    yield from (
        ("note", one.say) for one in answer.reasons if one.severity == "compatible" and one.say not in answer.headline
    )
    yield "checked", ", ".join(answer.checked)
    yield "not checked", ", ".join(answer.unchecked)


def _reason(one: Reason) -> Row:
    return _LABELS[one.severity], one.say


def _mismatch(one: Mismatch) -> str:
    more = f" ({plural(one.count - 1, 'other')} like it)" if one.count > 1 else ""
    return one.say + more


def count_words(counts: Mapping[str, Mapping[str, int]], names: Mapping[str, str]) -> str:
    """`U-Net 722 of 722, CLIP-L 72 of 72, CLIP-G 0 of 192 (192 not in this file)`."""
    return ", ".join(f"{names.get(label, label)} {_counted(table)}" for label, table in counts.items())


def _counted(table: Mapping[str, int]) -> str:
    applied = sum(count for state, count in table.items() if state in APPLIED)
    rest = [f"{count} {STATES[state]}" for state, count in table.items() if state in STATES]
    return f"{applied} of {sum(table.values())}" + (f" ({', '.join(rest)})" if rest else "")


def _base(answer: Answer) -> str:
    if not answer.base:
        return ""
    how = _SOURCES.get(answer.vote.get("confidence", ""))
    also = ", ".join(answer.vote.get("also") or ())
    return " or ".join(answer.base) + (f", {how}" if how else "") + (f"; may also fit {also}" if also else "")
