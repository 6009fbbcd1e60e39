"""A whole inspection as sections: the verdict, what is odd, components, files, names of pickles, metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual.reactive import reactive

from modelhub.catalog.describe import describe
from modelhub.convert.inspect import Inspection
from modelhub.convert.inspect.wording import format_words, members_words, metadata_said, short_value, verdict_words
from modelhub.text import brief, human_count, human_size, plural
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody

#: Rows of a list that are shown; a file can hold millions.
_ROWS = 300
_LEVELS = {"danger": "bad", "suspicious": "warn", "problem": "warn", "note": "muted"}
_VERDICTS = {"dangerous": "bad", "suspicious": "warn", "safe": "good"}
_GLOBALS = {"dangerous": "bad", "unknown": "warn", "inert": "muted", "tensor": "good"}


class InspectFacts(SectionBody):
    """The sections of an inspection."""

    nothing = "It is being looked at…"
    seen: reactive[Inspection | None] = reactive(None, layout=True)

    def sections(self) -> Iterable[Section]:
        """The worst first."""
        return [section for section in _sections(self.seen) if section.facts] if self.seen is not None else []


def _sections(seen: Inspection) -> Iterator[Section]:
    verdict = Fact("", f"{seen.verdict}: {verdict_words(seen)}", _VERDICTS[seen.verdict])
    yield Section("", (verdict,), labelled=False)
    yield Section("", tuple(fact for fact in _facts(seen) if fact.text))
    yield Section("Findings", tuple(_findings(seen)), labelled=False)
    yield Section("Components", tuple(_pieces(seen)))
    yield Section("Files", tuple(_files(seen)))
    yield Section(f"Names in the pickle ({len(seen.globals):,})", tuple(_globals(seen)))
    metadata = metadata_said(seen)
    yield Section(f"Metadata ({len(metadata):,})", tuple(_metadata(metadata)))


def _facts(seen: Inspection) -> Iterator[Fact]:
    identity = seen.identity
    yield Fact("what it is", describe(identity) if identity.kind != "unknown" else "unknown to modelhub")
    yield Fact("prediction", identity.prediction or "")
    yield Fact("format", format_words(seen))
    yield Fact("members", members_words(seen))
    yield Fact("size", f"{human_size(seen.size)} ({seen.size:,} bytes)")
    counts = ", ".join(f"{name} {human_count(count)}" for name, count in identity.dtypes.items())
    yield Fact("tensors", f"{len(seen.header.tensors):,}{f': {counts}' if counts else ''}")


def _findings(seen: Inspection) -> Iterator[Fact]:
    for finding in seen.findings[:_ROWS]:
        yield Fact("", f"{finding.level}: {finding.message}", _LEVELS[finding.level])
        if finding.hint:
            yield Fact("", finding.hint, "muted", indent=2)
    yield from _more(len(seen.findings))


def _pieces(seen: Inspection) -> Iterator[Fact]:
    for piece in seen.pieces:
        parameters = f"{human_count(piece.parameters)} parameters" if piece.parameters else ""
        known = (plural(piece.tensors, "tensor"), parameters, human_size(piece.size), " ".join(piece.dtypes))
        yield Fact(piece.what, " · ".join(word for word in (*known, piece.prefix) if word))


def _files(seen: Inspection) -> Iterator[Fact]:
    if len(seen.files) > 1:
        yield from (Fact(human_size(size), path.name) for path, size in seen.files[:_ROWS])
        yield from _more(len(seen.files))


def _globals(seen: Inspection) -> Iterator[Fact]:
    for name in seen.globals[:_ROWS]:
        yield Fact(name.verdict, f"{brief(name.path, 200)}  at byte {name.offset:,}", _GLOBALS[name.verdict])
    yield from _more(len(seen.globals))


def _metadata(said: list[tuple[str, str]]) -> Iterator[Fact]:
    yield from (Fact(brief(key, 40), short_value(text), copy=text) for key, text in said[:_ROWS])
    yield from _more(len(said))


def _more(count: int) -> Iterator[Fact]:
    if count > _ROWS:
        yield Fact("", f"and {count - _ROWS:,} more; `modelhub inspect --json` lists all", "muted")
