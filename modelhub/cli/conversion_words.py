"""What a conversion does, in words and in JSON: convert, prune and repair answer in these lines, with these keys."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold
from modelhub.cli.streams import columns, live
from modelhub.cli.table import facts, wrapped
from modelhub.text import brief, human_seconds, human_size, one_line, pad, plural, width

if TYPE_CHECKING:
    from modelhub.catalog.becoming import Part
    from modelhub.convert.conversion import Conversion, ConversionReport

#: Columns that the name of a part may take.
_WHAT = 44


@dataclass
class Outcome:
    """A conversion of `source`, of `before` bytes: a plan to write `goal`, or with its `report` what was written.

    `id` is the asset of the result. A `goal` of None says that nothing is to be written.
    """

    conversion: Conversion
    source: Path
    before: int
    goal: Path | None
    report: ConversionReport | None = None
    id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values, with the same keys for a plan as for a file; what a plan cannot know is null."""
        said = {
            **self.conversion.as_dict(), "path": self.goal and str(self.goal), "sha256": None, "verified": False,
            "damaged": [], "seconds": None, **(self.report.as_dict() if self.report else {}),
        }  # fmt: skip
        return {"source": str(self.source), "source_size": self.before, **said, "id": self.id}

    def lines(self, first: Iterable[str] = (), more: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
        """For a person: the path, `first`, the parts, warnings, findings, and the facts, of which `more` come last."""
        if self.goal is not None:
            number = f"  #{self.id}" if self.id is not None else ""
            yield Bold(one_line(f"{'' if self.report else 'would write '}{self.goal}{number}"))
        yield from first
        yield from _parts(self.conversion.parts)
        for word, sentences in (("warning", self.conversion.warnings), ("found", self.conversion.findings)):
            for sentence in sentences:
                yield from wrapped(one_line(f"{word}: {sentence}"), 2)
        if self.goal is not None:
            yield from facts([*self._facts(), *more])

    def _facts(self) -> Iterator[tuple[str, str]]:
        header = self.conversion.view.header
        size = self.report.written.size if self.report else header.file_size
        yield "size", f"{sizes(self.before, size)}, {plural(len(header.tensors), 'tensor')}"
        if self.report is not None:
            yield "sha256", self.report.written.sha256 or ""
            yield "time", f"{human_seconds(self.report.seconds)}, read back and equal"


def sizes(before: int, after: int) -> str:
    """`64.7 MB → 32.2 MB (-50%)`."""
    percent = round(100 * (after - before) / before) if before else 0
    return f"{human_size(before)} → {human_size(after)}" + (f" ({percent:+,}%)" if percent else "")


def _parts(parts: Sequence[Part]) -> Iterator[str]:
    """Columns of action, what, tensors and size, and the reason behind them, or below where the line is too long."""
    rows = [(o.action, brief(o.what, _WHAT), _tensors(len(o.names)), human_size(o.size)) for o in parts]
    widths = [max((width(row[at]) for row in rows), default=0) for at in range(4)]
    for one, row in zip(parts, rows, strict=True):
        cells = (pad(cell, room, right=at > 1) for at, (cell, room) in enumerate(zip(row, widths, strict=True)))
        line = "  ".join(cells)
        whole = f"{line}  {one_line(one.reason)}".rstrip()
        if not live(sys.stdout) or width(whole) <= columns(sys.stdout):
            yield whole
        else:
            yield line
            yield from wrapped(" " * (widths[0] + 2) + one_line(one.reason), widths[0] + 2)


def _tensors(count: int) -> str:
    """As wide for one tensor as for several, so that numbers stand below each other."""
    return plural(count, "tensor").ljust(len(plural(count, "tensors", "tensors")))
