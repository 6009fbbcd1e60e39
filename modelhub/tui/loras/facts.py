"""What the LoRA place says of the LoRA under the cursor: its verdict, what it is made of, and the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import Answer
from modelhub.text import human_size, one_line
from modelhub.tui.detail import values
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.fits.fit_facts import fit_sections
from modelhub.tui.loras.entry import Entry
from modelhub.tui.loras.words import trigger_words

#: What of an adapter's facts is shown here.
_SHOWN = ("algorithm", "rank", "modules", "weight")
#: Lines of the head: verdict and reason; who is on whom stands beside the pane.
_HEAD = 2
#: Trigger words that are shown.
_WORDS = 12


class EntryBody(SectionBody):
    """The text of the pane."""

    entry: reactive[Entry | None] = reactive(None, layout=True)
    answer: reactive[Answer | None] = reactive(None, layout=True)
    nothing = "No LoRA under the cursor.\n\na adds one that fits the model;\nin the library, l brings the marked ones."

    def sections(self) -> Iterable[Section]:
        """The verdict, what the file is made of, and the evidence."""
        if self.entry is None:
            return
        head, *evidence = fit_sections(self.answer) if self.answer is not None else [_unasked(self.entry)]
        yield replace(head, facts=head.facts[:_HEAD])
        yield Section("LoRA", tuple(_facts(self.entry)))
        yield from evidence


class EntryPane(VerticalScroll, can_focus=True):
    """The pane around it."""

    def compose(self) -> ComposeResult:
        """The text."""
        yield EntryBody()

    def show(self, entry: Entry | None, answer: Answer | None) -> None:
        """Show a LoRA; another one from its top."""
        body = self.query_one(EntryBody)
        before = body.entry.asset.id if body.entry else None
        body.entry, body.answer = entry, answer
        if before != (entry.asset.id if entry else None):
            self.scroll_home(animate=False)


def _unasked(entry: Entry) -> Section:
    return Section("", (Fact("", one_line(entry.asset.name), "path"),), labelled=False)


def _facts(entry: Entry) -> Iterator[Fact]:
    asset = entry.asset
    found = values.adapter(asset.adapter or {})
    if asset.missing:
        yield Fact("gone", "The file is not there any more; a scan finds it where it went.", "bad")
    yield from (Fact(name, found[name]) for name in _SHOWN if name in found)
    if base := _trained_on(asset):
        yield Fact("trained on", base)
    if entry.blocks:
        yield Fact("blocks", one_line(entry.blocks))
    words = trigger_words(asset.trigger_words)
    yield Fact("words", ", ".join(words[:_WORDS]) or "none are told", "tag" if words else "muted")
    yield Fact("file", f"{human_size(asset.size)}{f'  {asset.dtype}' if asset.dtype else ''}")


def _trained_on(asset: Asset) -> str:
    """The model that a trainer, a sidecar or a provider names."""
    training: Any = asset.facts.get("training")
    said = training.get("base_model") if isinstance(training, dict) else None
    found = said or asset.sidecar.get("base_model") or asset.provided.get("base_model")
    return one_line(str(found)) if found else ""
