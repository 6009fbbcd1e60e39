"""The plan as a list: what comes, how large, where to, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.reactive import reactive

from modelhub.fetch.planning.plans import Plan, Planned
from modelhub.text import human_size, one_line, plural
from modelhub.tui.detail.fact import Fact, Section
from modelhub.tui.detail.section_body import SectionBody
from modelhub.tui.download.table import Cell, Column, Span, Table
from modelhub.tui.download.words import with_keys

_SIGNS = {
    "new": ("+", "good"), "resume": ("↻", "good"), "owned": ("✓", "muted"), "conflict": ("!", "bad"),
    "refused": ("✗", "bad"),
}  # fmt: skip
_WORDS = {"new": "new", "resume": "goes on", "owned": "yours", "conflict": "in the way", "refused": "refused"}


class PlanList(Table[tuple[int, Planned]]):
    """Items of a plan, each with its place in it."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("Name"),
        Column("What", 10, least=56),
        Column("Size", 8, right=True),
        Column("To come", 8, right=True, least=84),
        Column("Kind", 16, least=110),
        Column("Folder", least=66),
    )

    def key(self, row: tuple[int, Planned]) -> int:
        """Its place."""
        return row[0]

    def sign(self, row: tuple[int, Planned]) -> Span:
        """Its mark, or what will be done."""
        return super().sign(row) if self.key(row) in self.marks else _SIGNS[row[1].status]

    def cells(self, row: tuple[int, Planned]) -> Sequence[Cell]:
        """Name, what will be done, sizes, kind, folder."""
        item = row[1]
        order = item.order
        kind = " ".join(filter(None, (order.kind, order.architecture))) if order else ""
        return (
            (item.path.name + (f"  ({plural(len(order.files), 'file')})" if order and order.whole else "")
             if item.path else item.title, "name"),
            (_WORDS[item.status], _SIGNS[item.status][1]),
            (human_size(item.size), "muted"),
            (human_size(item.to_come) if item.to_come else "", "muted"),
            (kind, "muted"),
            (str(item.path.parent) if item.path else "", "muted"),
        )  # fmt: skip


class PlanFacts(SectionBody):
    """The item under the cursor, and what it all takes on each disk."""

    plan: reactive[Plan | None] = reactive(None, layout=True)
    item: reactive[Planned | None] = reactive(None, layout=True)
    nothing = ""

    def sections(self) -> Iterable[Section]:
        """One section for the item, one for the disks."""
        if self.item is not None:
            yield Section("", tuple(_of_item(self.item)))
        if self.plan is not None and self.plan.disks:
            looks = [(disk, "value" if disk.fits else "bad") for disk in self.plan.disks]
            yield Section("Space", tuple(Fact("", disk.words, look) for disk, look in looks), labelled=False)


def _of_item(item: Planned) -> Iterable[Fact]:
    yield Fact("title", one_line(item.title), cut=True)
    yield Fact("from", one_line(item.source), "muted", cut=True)
    if item.path:
        yield Fact("to", one_line(str(item.path)))
    if item.why:
        yield Fact("why", one_line(with_keys(item.why)), "bad" if item.error else "muted")
    if item.error is not None and item.error.hint:
        yield Fact("next", one_line(with_keys(item.error.hint)))
    if item.order is not None and item.order.replace:
        yield Fact("note", "What is there is replaced.", "warn")
    if item.order is not None and item.order.keep_unsafe:
        yield Fact("note", "Filed even if it is a pickle that would run code.", "warn")


def plan_summary(plan: Plan) -> str:
    """What a plan brings, in a line."""
    coming = [one for one in plan.items if one.status in ("new", "resume")]
    known = all(one.size is not None for one in coming)
    parts = [f"{plural(len(coming), 'download')}, {human_size(plan.to_come)}{'' if known else ' or more'} to come"]
    counts = {status: sum(one.status == status for one in plan.items) for status in ("owned", "conflict", "refused")}
    parts += [f"{count:,} {_WORDS[status]}" for status, count in counts.items() if count]
    if not all(disk.fits for disk in plan.disks):
        parts.append("not enough space")
    return " · ".join(parts)
