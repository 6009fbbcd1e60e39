"""What a search found on Civitai and Hugging Face: its files are a key away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from modelhub.catalog.provided import TITLES
from modelhub.errors import ModelhubError
from modelhub.text import human_count, human_size, one_line, plural
from modelhub.tui.actions import bindings
from modelhub.tui.download.page import Page
from modelhub.tui.download.table import Cell, Column, Span, Table
from modelhub.tui.download.words import explained, with_keys
from modelhub.tui.library import Library
from modelhub.tui.work import WorkerJob, attempt, background

if TYPE_CHECKING:
    from modelhub.fetch.search.finding import FindReport, Hit

EMPTY = """\
Nothing was searched yet.

Press  /  and type words:  water color

Narrow it:  kind:lora  arch:sdxl  base:Pony  creator:NAME  tag:style
Order it:  sort:downloads  sort:rating  sort:newest
Where:  on:civitai  on:huggingface"""
NOTHING = "Nothing was found.\n\nFewer words find more; n finds also what is not safe for work."
#: Hits that are asked for at each provider, and as many more each time.
_LIMIT = 40
_SORTS = ("relevance", "downloads", "likes", "newest")
_TITLES = {"relevance": "relevance", "downloads": "downloads", "likes": "rating", "newest": "newest"}


class FoundList(Table["Hit"]):
    """Models that were found, those of Civitai first."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Model"),
        Column("Kind", 11, least=60),
        Column("Base", 12, least=74),
        Column("Size", 8, right=True, least=50),
        Column("Downloads", 9, right=True, least=90),
        Column("Creator", 16, least=104),
        Column("On", 7, least=84),
        Column("Updated", 10, least=140),
        Column("", 9, least=66),
    )

    def key(self, row: Hit) -> str:
        """Its address."""
        return row.found.address

    def sign(self, row: Hit) -> Span:
        """Its mark, or that it is here."""
        if self.key(row) in self.marks:
            return super().sign(row)
        return ("✗", "bad") if row.found.trouble else ("✓", "good") if row.owned else (" ", "muted")

    def cells(self, row: Hit) -> Sequence[Cell]:
        """Title, kind, base, size, downloads, creator, provider, date, what is to be noted."""
        one = row.found
        return (
            (f"{one.title}  {one.version}".strip(), "muted" if one.trouble else "name"),
            (one.kind or "-", "muted"),
            (one.base_model or one.architecture or "-", "muted"),
            (human_size(one.size), "muted"),
            (human_count(one.downloads), "muted"),
            (one.creator or "-", "muted"),
            ("Civitai" if one.provider == "civitai" else "HF", "muted"),
            ((one.updated or "")[:10], "muted"),
            _note(row),
        )


def _note(row: Hit) -> Span:
    if row.found.trouble:
        return ("no files", "bad")
    if row.owned or row.other:
        return ("yours" if row.owned else "other ver", "good" if row.owned else "tag")
    return ("NSFW", "warn") if row.found.nsfw else ("", "muted")


class FoundPage(Page):
    """A search and its hits."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("found")]
    scope: ClassVar[str] = "found"

    adult: reactive[bool] = reactive(False)
    order: reactive[int] = reactive(0)

    @dataclass
    class Open(Message):
        """The files of these addresses are wanted."""

        addresses: list[str]

    @dataclass
    class Found(Message):
        """What came of a search."""

        asked: tuple[str, bool, int, int]
        report: FindReport | None
        sort: str
        error: ModelhubError | None

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.words = ""
        self._limit = _LIMIT

    def compose(self) -> ComposeResult:
        """What was searched over what was found."""
        yield Static(markup=False, classes="summary")
        yield FoundList(id="hits", empty=EMPTY)

    # -- searching -----------------------------------------------------------------------------------------------------

    def search(self, words: str) -> None:
        """Search for other words."""
        self.words, self._limit = words, _LIMIT
        self._again()

    def _asked(self) -> tuple[str, bool, int, int]:
        return self.words, self.adult, self.order, self._limit

    def _again(self) -> None:
        if self.words:
            self.place.wait_for("searching Civitai and Hugging Face…")
            self._search(self._asked())

    @background("search")
    def _search(self, job: WorkerJob, asked: tuple[str, bool, int, int]) -> None:
        found, error = attempt(lambda: self._report(job, *asked))
        if not job.cancelled:
            report, sort = found or (None, "")
            job.post(self.Found(asked, report, sort, error))

    def _report(self, job: WorkerJob, words: str, adult: bool, order: int, limit: int) -> tuple[FindReport, str]:
        """What was found, and how it is sorted: by what the words say, else by the order that was chosen."""
        from modelhub.fetch.net import Net
        from modelhub.fetch.search.finding import find
        from modelhub.fetch.search.wanting import read_search

        wanted, providers = read_search(words, limit=limit, adult=adult)
        if wanted.sort == "relevance":
            wanted = replace(wanted, sort=_SORTS[order])
        with self.library.open() as catalog, Net() as net:
            return find(catalog, wanted, net, job, providers=providers), wanted.sort

    @on(Found)
    def _show(self, message: Found) -> None:
        message.stop()
        if message.asked != self._asked():
            return
        self.place.wait_for("")
        if message.error is not None:
            self.explain(message.error)
        elif message.report is not None:
            self._show_report(message.report, message.sort)

    def _show_report(self, report: FindReport, sort: str) -> None:
        self.table.empty = NOTHING
        self.table.show(report.hits, top=self._limit == _LIMIT)
        self.place.counted("found", len(report.hits))
        failed = [f"{TITLES[name]} did not answer: {error.message}" for name, error in report.failed.items()]
        parts = [f"{one_line(self.words)}: {plural(len(report.hits), 'model')}", f"by {_TITLES.get(sort, sort)}"]
        parts += ["with NSFW" if self.adult else "without NSFW (n)", *failed]
        self.query_one(".summary", Static).update(" " + " · ".join(parts))
        for error in report.failed.values():
            self.say(f"{error.message} {with_keys(error.hint)}", warn=True)

    def stop(self) -> None:
        """No longer wait for an answer."""
        self.workers.cancel_group(self, "search")

    # -- keys ----------------------------------------------------------------------------------------------------------

    def action_adult(self) -> None:
        """With what is not safe for work, or without."""
        self.adult = not self.adult
        self._again()

    def action_sort(self) -> None:
        """By the next order that providers know."""
        self.order = (self.order + 1) % len(_SORTS)
        self._again()

    def action_more(self) -> None:
        """As many more."""
        if self.table.count:
            self._limit += _LIMIT
            self._again()

    def action_copy(self) -> None:
        """Copy the address of the page."""
        hit: Hit | None = self.table.current
        if hit is not None:
            self.app.copy_to_clipboard(hit.found.page or hit.found.address)
            self.say("Copied the address of the page.")

    def chosen(self) -> None:
        """Its files."""
        self.action_open()

    def action_open(self) -> None:
        """Ask for the files of what is marked, or under the cursor."""
        hits: list[Hit] = self.table.targets
        if len(hits) == 1 and hits[0].found.trouble:
            self.hub.explain(explained(ModelhubError(hits[0].found.trouble)))
        elif hits:
            self.post_message(self.Open([hit.found.address for hit in hits]))
