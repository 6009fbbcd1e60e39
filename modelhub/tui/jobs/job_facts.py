"""What is known of one job: where it stands, how far and how fast it is, and what came of it with the next step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual.reactive import reactive

from modelhub.text import human_seconds
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.jobs.rows import LOOKS, SIGNS, JobRow, moment


class JobFacts(SectionBody):
    """The facts of a row."""

    nothing = ""
    shown: reactive[JobRow | None] = reactive(None, layout=True)

    def sections(self) -> Iterable[Section]:
        """The title, where it stands, what came of it."""
        row = self.shown
        if row is None:
            return
        yield Section("", (Fact("", row.title, "title"),), labelled=False)
        yield Section("", tuple(fact for fact in _facts(row) if fact.text))
        if row.error is not None:
            yield Section("Why", tuple(_why(row)), labelled=False)
        elif row.says:
            yield Section("", (Fact("", row.says),), labelled=False)


def _facts(row: JobRow) -> Iterator[Fact]:
    look = {"good": "good", "bad": "bad", "run": "star"}.get(LOOKS.get(row.state, ""), "muted")
    yield Fact("state", f"{SIGNS.get(row.state, '')} {row.state}", look)
    yield Fact("from", row.place_title)
    record = row.record
    if record is not None:
        yield Fact("lane", record.lane, "muted")
        yield Fact("began", moment(record.began) if record.began else "")
        yield Fact("ended", moment(record.ended) if record.ended else "")
    yield Fact("took" if not row.is_open else "for", human_seconds(row.seconds) if row.seconds is not None else "")
    share = f"{row.share:.0%}" if row.share is not None else ""
    yield Fact("at", " · ".join(filter(None, (row.phase, share, row.amount))))
    yield Fact("speed", " · ".join(filter(None, (row.speed, row.left and f"{row.left} left"))))


def _why(row: JobRow) -> Iterator[Fact]:
    assert row.error is not None
    yield Fact("", row.error.message, "bad")
    if row.error.hint:
        yield Fact("", row.error.hint)
