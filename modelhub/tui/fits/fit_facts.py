"""What the fits screen says of one pair: the verdict, and below it the rows that the command line prints, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.lora.checking.answer import SIGNS, WORDS, Answer, Verdict
from modelhub.text import one_line
from modelhub.tui.detail.fact import Fact, Section

#: How a verdict is drawn; its sign and word stand beside it, so that no colour is needed to read it.
LOOKS: Mapping[Verdict, str] = {
    "compatible": "good",
    "partial": "good",
    "caution": "warn",
    "partly-incompatible": "warn",
    "incompatible": "bad",
    "unknown": "muted",
}
#: Rows that are no plain text.
_ROWS = {
    "wrong": "bad",
    "worst": "bad",
    "caution": "warn",
    "missing": "warn",
    "checked": "muted",
    "not checked": "muted",
}


def fit_sections(answer: Answer) -> Iterator[Section]:
    """The verdict in a sentence, and the evidence."""
    from modelhub.lora.checking.words import answer_rows  # not before the first paint

    yield Section("", tuple(_head(answer)), labelled=False)
    rows = tuple(Fact(label, text, _ROWS.get(label, "value")) for label, text in answer_rows(answer) if text)
    if rows:
        yield Section("Evidence", rows)


def _head(answer: Answer) -> Iterator[Fact]:
    yield Fact("", f"{SIGNS[answer.verdict]} {WORDS[answer.verdict]}", LOOKS[answer.verdict])
    if headline := answer.headline.removeprefix(f"{WORDS[answer.verdict]}: "):
        yield Fact("", one_line(headline))
    yield Fact("", f"{one_line(answer.lora)} on {one_line(answer.checkpoint)}", "path")
