"""What can be chosen: the models of some sources with their versions and files, and what is said of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive

from modelhub.catalog.provided import TITLES
from modelhub.errors import ModelhubError
from modelhub.fetch.file_words import file_words, role_word
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.text import human_size, one_line, plural, printable
from modelhub.text import width as columns_of
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.download.choice import Choosing, Line
from modelhub.tui.download.table import Cell, Column, Span, Table
from modelhub.tui.download.words import with_keys
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import cell


class OfferList(Table[Line]):
    """Lines of a choice. Sources and versions go across, files are in columns."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("File"),
        Column("Size", 8, right=True),
        Column("What", 16, least=56),
        Column("", 7, least=44),
        Column("Format", 11, least=96),
    )
    choosing: Choosing | None = None

    def key(self, row: Line) -> Line:
        """Itself."""
        return row

    def redraw(self) -> None:
        """Show what is unfolded and marked now."""
        self.show(self.choosing.lines() if self.choosing else [])

    def row(self, number: int, width: int, style: Style) -> list[Segment]:
        """A source or a version across the whole line, a file in columns."""
        line = self.rows[number] if number < len(self.rows) else None
        if line is None or self.choosing is None or line.file is not None:
            return super().row(number, width, style)
        spans = list(self._source(line) if line.version is None else self._version(line))
        found, left = [], width
        for text, look in spans:
            columns = min(left, columns_of(one_line(text)) + 2)
            fitted = cell(text, columns)
            left -= columns
            found.append(Segment(fitted, style + ink(self, f"list--{look}")))
        return found

    def _source(self, line: Line) -> Iterator[Span]:
        assert self.choosing is not None
        asked = self.choosing.asked[line.asked]
        if asked.offer is not None:
            offer = asked.offer
            yield f" {offer.title}", "mark"
            yield " · ".join(one_line(one) for one in _about(offer)), "muted"
        elif asked.asset is not None:
            yield f" {asked.source}", "mark"
            yield f"is here already: {asked.asset.path}", "good"
        else:
            yield f" {asked.source}", "mark"
            yield f"✗ {asked.error.message if asked.error else ''}", "bad"

    def _version(self, line: Line) -> Iterator[Span]:
        choosing, version = self.choosing, None if self.choosing is None else self.choosing.version(line)
        assert choosing is not None and version is not None
        is_open = (line.asked, line.version) in choosing.unfolded
        yield f" {'▾' if is_open else '▸'} {version.name or version.address}", "name"
        yield " · ".join(filter(None, (version.base_model, (version.published or "")[:10]))), "muted"
        if version.trouble is not None:
            yield f"✗ {version.trouble.message}", "bad"
        elif not is_open:
            yield f"{plural(len(version.files), 'file')}{', marked' * choosing.is_marked(line)}", "muted"

    def sign(self, row: Line) -> Span:
        """Whether a file is marked."""
        marked = self.choosing is not None and self.choosing.is_marked(row)
        return ("●", "mark") if marked else ("○", "muted")

    def cells(self, row: Line) -> Sequence[Cell]:
        """Name, size, precision and what it is for, what is to be noted, format."""
        file = self.choosing.file(row) if self.choosing else None
        if self.choosing is None or file is None:
            return [("", "muted")] * len(self.COLUMNS)
        form = file.format if file.format not in (None, "other") else ""
        return (
            (f" {file.path or file.name}", "name"),
            (human_size(file.size), "muted"),
            (role_word(file) or file_words(file), "muted"),
            _note(file, owned=self.choosing.is_owned(file)),
            (form or "", "muted"),
        )


def _note(file: RemoteFile, *, owned: bool) -> Span:
    if owned:
        return ("✓ yours", "good")
    if file.format == "pickle":
        return ("pickle", "warn")
    return (file.format if file.format not in (None, "safetensors", "other") else "", "muted")


def _about(offer: Offer) -> Iterator[str]:
    yield from filter(None, (offer.kind, offer.architecture, TITLES.get(offer.provider, "web")))


class OfferFacts(SectionBody):
    """What a provider says of a model; nothing of it is checked."""

    offer: reactive[Offer | None] = reactive(None, layout=True)
    version: reactive[Version | None] = reactive(None, layout=True)
    file: reactive[RemoteFile | None] = reactive(None, layout=True)
    error: reactive[ModelhubError | None] = reactive(None, layout=True)
    nothing = ""

    def sections(self) -> Iterable[Section]:
        """The model, the file under the cursor, words, description."""
        if self.error is not None:
            yield _of_trouble(self.error)
        if self.offer is None:
            return
        yield Section("", (Fact("", one_line(self.offer.title), "title"),), labelled=False)
        yield from (one for one in self._all(self.offer) if one.facts)

    def _all(self, offer: Offer) -> Iterator[Section]:
        facts, version = offer.facts, self.version
        trouble = version.trouble if version is not None else offer.trouble
        if trouble is not None:
            yield _of_trouble(trouble)
        yield Section("", tuple(self._said(offer)))
        if facts.trigger_words:
            yield Section("Trigger words", (Fact("", one_line(", ".join(facts.trigger_words))),), labelled=False)
        if self.file is not None:
            yield Section("File", tuple(_of_file(self.file)))
        if facts.description:
            yield Section("Description", (Fact("", printable(facts.description), "muted"),), labelled=False)

    def _said(self, offer: Offer) -> Iterator[Fact]:
        facts, version = offer.facts, self.version
        kind = " · ".join(filter(None, (offer.kind, offer.architecture)))
        told = (
            ("version", version.name if version else offer.version),
            ("base", (version.base_model if version else None) or facts.base_model),
            ("kind", f"{kind}, it says" if kind else ""),
            ("creator", facts.creator),
            ("licence", facts.licence),
            ("rating", "not safe for work" if facts.nsfw else ""),
            ("published", (version.published or "")[:10] if version else ""),
            ("tags", ", ".join(facts.tags[:12])),
            ("page", offer.page),
        )
        yield from (Fact(label, one_line(text)) for label, text in told if text)


def _of_trouble(error: ModelhubError) -> Section:
    facts = [Fact("", f"✗ {error.message}", "bad")] + [Fact("", with_keys(error.hint))] * bool(error.hint)
    return Section("", tuple(facts), labelled=False)


def _of_file(file: RemoteFile) -> Iterator[Fact]:
    told = (
        ("name", file.path or file.name, "value"),
        ("size", human_size(file.size) + ("" if file.exact else ", about"), "value"),
        ("what", file_words(file), "value"),
        ("SHA256", file.hashes.get("sha256"), "muted"),
    )
    yield from (Fact(label, one_line(text), look, cut=label == "SHA256") for label, text, look in told if text)
    if file.format == "pickle":
        text = "A pickle may run code of its own; it is looked into before it is filed, and never run."
        yield Fact("format", text, "warn")
    elif file.format:
        yield Fact("format", one_line(file.format))
    if not file.hashes.get("sha256"):
        yield Fact("proof", "Its provider tells no SHA256: only its size can be checked.", "warn")
