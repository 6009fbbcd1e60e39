"""The report on one file: what it is, what would become of it and why, what is dangerous in it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from textual.reactive import reactive

from modelhub.text import human_seconds, human_size, plural
from modelhub.tui.convert.batch import Entry, Glance
from modelhub.tui.convert.words import in_the_form, sizes
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody

if TYPE_CHECKING:
    from modelhub.convert.items import Item, PartRow

#: Findings and names of a pickle that are shown; enter shows all of them.
_SHOWN = 12
_LEVELS = {"danger": "bad", "suspicious": "warn", "problem": "warn", "note": "muted"}
_ACTIONS = {"drop": "bad", "change": "warn", "add": "good", "keep": "muted"}
_VERDICTS = {"dangerous": "bad", "suspicious": "warn", "safe": "good"}
_GLOBALS = {"dangerous": "bad", "unknown": "warn"}


class ConvertReport(SectionBody):
    """The sections of an entry."""

    nothing = "Nothing under the cursor."
    entry: reactive[Entry | None] = reactive(None, layout=True)

    def sections(self) -> Iterable[Section]:
        """The most important first."""
        entry = self.entry
        return [section for section in _sections(entry) if section.facts] if entry is not None else []


def _sections(entry: Entry) -> Iterator[Section]:
    item, path = entry.item, entry.path
    yield Section("", (Fact("", path.name, "title"), Fact("", str(path.parent), "path")), labelled=False)
    if item is None:
        yield Section("", (Fact("", "It is being looked at…", "muted"),), labelled=False)
        return
    yield Section("", tuple(_why(item)), labelled=False)
    yield Section("Now", tuple(_now(entry, item)))
    yield Section(_title(item), tuple(_then(item)))
    yield from _glanced(entry.glance)
    yield Section("Damage", tuple(_health(item)), labelled=False)
    yield Section("What becomes of the tensors", tuple(_parts(item.parts)), labelled=False)
    yield Section("Worth knowing", tuple(_said(item)), labelled=False)


def _why(item: Item) -> Iterator[Fact]:
    """Why nothing is written, and the next step."""
    if item.message:
        look = {"failed": "bad", "skipped": "warn"}.get(item.status, "muted")
        yield Fact("", in_the_form(item.message), look)
    if item.hint:
        yield Fact("", in_the_form(item.hint))


def _now(entry: Entry, item: Item) -> Iterator[Fact]:
    asset, glance = entry.source.asset, entry.glance
    yield Fact("size", human_size(item.before))
    form = glance.format if glance else asset.format if asset else ""
    yield from [Fact("format", form)] if form else ()
    if asset is not None:
        words = (asset.kind, asset.architecture, asset.variant, asset.dtype)
        yield Fact("what it is", " ".join(word for word in words if word))
    else:
        yield Fact("catalog", "not in the library", "muted")
    if glance is not None:
        yield Fact("verdict", glance.verdict, _VERDICTS[glance.verdict])


def _title(item: Item) -> str:
    return {"converted": "Written", "already": "Stands already"}.get(item.status, "Then")


def _then(item: Item) -> Iterator[Fact]:
    if item.status not in ("planned", "converted", "already"):
        return
    yield Fact("file", item.goal.name if item.goal.parent == item.source.parent else str(item.goal))
    yield Fact("size", sizes(item.before, item.size))
    yield from [Fact("tensors", f"{item.tensors:,}")] if item.tensors else ()
    if item.status == "converted":
        yield Fact("verified", "read back and equal", "good")
        yield Fact("time", human_seconds(item.seconds))
        yield from [Fact("sha256", item.sha256)] if item.sha256 else ()
        yield from [Fact("in library", f"#{item.id}")] if item.id is not None else ()
    yield Fact("original", *_fate(item))


def _fate(item: Item) -> tuple[str, str]:
    if item.trashed is not None:
        return "in the trash; u brings it back", "warn"
    if item.status == "converted":
        return "kept as it was", "value"
    return (f"has to stay: {item.stays}", "muted") if item.stays else ("could go to the trash", "value")


def _glanced(glance: Glance | None) -> Iterator[Section]:
    """What an inspection found: the worst first, then the names that a pickle refers to."""
    if glance is None:
        return
    facts = [
        Fact("", in_the_form(f"{finding.message} {finding.hint}".strip()), _LEVELS[finding.level])
        for finding in glance.findings[:_SHOWN]
    ]
    yield Section("Nothing of it is run", tuple(facts), labelled=False)
    names = [name for name in glance.globals if name.verdict in _GLOBALS]
    shown = [Fact(name.verdict, f"{name.path}  at byte {name.offset:,}", _GLOBALS[name.verdict]) for name in names]
    more = [Fact("", f"and {plural(len(names) - _SHOWN, 'name')} more; enter shows all", "muted")]
    yield Section("Names in the pickle", tuple(shown[:_SHOWN] + (more if len(names) > _SHOWN else [])))


def _health(item: Item) -> Iterator[Fact]:
    for sentence, outcome in item.health:
        yield Fact("", sentence, "bad")
        yield Fact("", in_the_form(outcome), "good" if outcome.startswith("mended") else "warn", indent=2)
    yield from (Fact("", note, "muted") for note in item.notes)


def _parts(parts: Iterable[PartRow]) -> Iterator[Fact]:
    for part in parts:
        many = plural(part.tensors, "tensor")
        yield Fact("", f"{part.action:7}{part.what}: {many}, {human_size(part.size)}", _ACTIONS[part.action])
        if part.reason:
            yield Fact("", in_the_form(part.reason), "muted", indent=7)


def _said(item: Item) -> Iterator[Fact]:
    yield from (Fact("", in_the_form(text), "warn") for text in item.warnings)
    yield from (Fact("", in_the_form(text)) for text in item.findings)
