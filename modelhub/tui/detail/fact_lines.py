"""Facts laid out in lines of one width: titles, labels in a column, texts wrapped beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from rich.console import Console, OverflowMethod
from rich.style import Style
from rich.text import Text

from modelhub.text import pad, printable
from modelhub.tui.detail.fact import Fact, Section

#: The style of a look by its name.
Look = Callable[[str], Style]
_LEAST, _MOST = 10, 16


@dataclass
class Laid:
    """Lines, the number of the fact that each belongs to (-1 for none), and the facts that can be taken."""

    lines: list[Text] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def add(self, lines: Iterable[Text], fact: Fact | None = None) -> None:
        """More lines, of a fact or of none."""
        owner = -1
        if fact is not None and fact.can_take:
            owner = len(self.facts)
            self.facts.append(fact)
        for line in lines:
            self.lines.append(line)
            self.owners.append(owner)

    def span(self, number: int) -> tuple[int, int]:
        """The first line of a fact, and the one after its last."""
        first = self.owners.index(number)
        return first, first + self.owners.count(number)


def lay_out(sections: Iterable[Section], width: int, look: Look, console: Console) -> Laid:
    """The lines of `sections` in `width` columns."""
    laid = Laid()
    for section in sections:
        if section.title:
            laid.add([Text(""), Text(section.title.upper(), look("heading"), no_wrap=True, overflow="ellipsis")])
        longest = max((len(fact.label) for fact in section.facts), default=0) if section.labelled else 0
        column = min(max(longest, _LEAST), _MOST) if section.labelled else 0
        for fact in section.facts:
            laid.add(_fact_lines(fact, column, width, look, console), fact)
    return laid


def _fact_lines(fact: Fact, column: int, width: int, look: Look, console: Console) -> Iterator[Text]:
    left = column + 1 if column else fact.indent
    text = Text(printable(fact.text), look(fact.look))
    overflow: OverflowMethod = "ellipsis" if fact.cut else "fold"
    wrapped = text.wrap(console, max(1, width - left), overflow=overflow, no_wrap=fact.cut, tab_size=4)
    for number, line in enumerate(wrapped or [Text("")]):
        line.rstrip()
        label = pad(fact.label, column) + " " if column and not number else " " * left
        yield Text.assemble((label, look("label")), line)
