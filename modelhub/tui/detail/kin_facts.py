"""What the detail pane says of an asset's kin: what fits, what it was made of, what became of it, what is newer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelhub.lora.checking.answer import SIGNS, VERDICTS
from modelhub.text import human_size, one_line, plural
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.fits.fit_facts import LOOKS

if TYPE_CHECKING:
    from modelhub.fetch.lookup.newer import Newer
    from modelhub.tui.detail.kin import Fits, Kin, Relative

#: Relatives that are named.
_MOST = 8


def kin_sections(kin: Kin) -> Iterator[Section]:
    """The sections that there may be, each empty where nothing is known."""
    yield Section(kin.fits.title if kin.fits else "", tuple(_fits(kin.fits) if kin.fits else ()), labelled=False)
    yield Section("Newer where it came from", tuple(_newer(kin.newer)), labelled=False)
    yield Section("Went into", tuple(_relatives(kin.merges)), labelled=False)
    yield Section("Trained on", tuple(_relatives(kin.base)), labelled=False)
    yield Section("The same bytes again", tuple(_relatives(kin.copies)), labelled=False)


def _fits(fits: Fits) -> Iterator[Fact]:
    for one in fits.best:
        yield Fact("", f"{SIGNS[one.verdict]} {one_line(one.name)}", LOOKS[one.verdict], goes=one.number)
    counts = "  ".join(f"{SIGNS[verdict]} {fits.counts[verdict]:,}" for verdict in VERDICTS if verdict in fits.counts)
    if fits.is_looking:
        yield Fact("", "looking…", "muted")
    elif not fits.counts:
        yield Fact("", "There is none in the library yet.", "muted")
    else:
        looked = sum(fits.counts.values())
        some = f" of the first {looked:,}" if looked < fits.partners else ""
        yield Fact("", f"{counts}{some} · f shows all, and why", "muted")


def _newer(found: Iterable[Newer]) -> Iterator[Fact]:
    """One line each; what is copied is the address that a download takes."""
    for one in list(found)[:_MOST]:
        words = (one.version or one.version_id, one.base_model, (one.published or "")[:10], _size(one.size))
        text = " · ".join(one_line(str(word)) for word in words if word)
        yield Fact("", f"{text}{'' if one.same_base else ' (another base)'}", "warn", copy=one.address)


def _size(size: int | None) -> str:
    return human_size(size) if size else ""


def _relatives(found: Iterable[Relative]) -> Iterator[Fact]:
    shown = list(found)
    for one in shown[:_MOST]:
        note = f"  ({one_line(one.note)})" if one.note else ""
        yield Fact("", f"{one_line(one.name)}{note}", "link" if one.number else "value", goes=one.number, copy=one.name)
    if len(shown) > _MOST:
        yield Fact("", f"and {plural(len(shown) - _MOST, 'more', 'more')}", "muted")


def parent_facts(parents: Iterable[Relative]) -> Iterator[Fact]:
    """The models that went into a merge whose recipe is not ours."""
    for fact in _relatives(parents):
        yield Fact("model", fact.text, fact.look, goes=fact.goes, copy=fact.copy)
