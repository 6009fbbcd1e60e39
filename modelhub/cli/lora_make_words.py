"""What `lora extract`, `lora resize` and `lora merge` answer: what would be made, and what was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelhub.cli.context import Bold
from modelhub.cli.table import facts, wrapped
from modelhub.text import human_size, one_line

if TYPE_CHECKING:
    from modelhub.lora.making.report import Report


class Planned(Protocol):
    """What was planned and not made."""

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""


def planned_json(planned: Planned) -> dict[str, Any]:
    """What would be made, as plain values."""
    return planned.as_dict()


def planned_lines(planned: Planned, goal: Path) -> Iterator[str]:
    """The same for a person."""
    from modelhub.lora.making.telling import planned_rows

    said = planned.as_dict()
    size = f": {human_size(said['size_at_most'])} at most" if "size_at_most" in said else ""
    yield Bold(one_line(f"would write {goal}{size}"))
    yield from facts(planned_rows(said))
    yield from _stays(said.get("as_it_was", {}))
    yield from _warnings(said.get("warnings", []))


def made_json(report: Report, number: int) -> dict[str, Any]:
    """An adapter that was written, as plain values."""
    return {"id": number, **report.as_dict()}


def made_lines(report: Report, number: int) -> Iterator[str]:
    """The same for a person."""
    from modelhub.lora.making.telling import made_rows

    yield Bold(one_line(f"{report.written.path}  #{number}"))
    yield from facts(made_rows(report))
    yield from _stays({why: len(names) for why, names in report.as_it_was.items()})


def _stays(reasons: Mapping[str, int]) -> Iterator[str]:
    from modelhub.lora.making.telling import kept_lines

    for line in kept_lines(reasons):
        yield from wrapped(line, 2)


def _warnings(warnings: list[str]) -> Iterator[str]:
    for warning in warnings:
        yield from wrapped(one_line(f"warning: {warning}"), 9)
