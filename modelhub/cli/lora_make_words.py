"""What `lora extract`, `lora resize` and `lora merge` answer: what would be made, and what was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelhub.cli.context import Bold
from modelhub.cli.table import facts, wrapped
from modelhub.text import brief, human_seconds, human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.lora.making.report import Report

#: Different ranks that are shown.
_RANKS = 8


class Planned(Protocol):
    """What was planned and not made."""

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""


def planned_json(planned: Planned) -> dict[str, Any]:
    """What would be made, as plain values."""
    return planned.as_dict()


def planned_lines(planned: Planned, goal: Path) -> Iterator[str]:
    """The same for a person."""
    said = planned.as_dict()
    size = f": {human_size(said['size_at_most'])} at most" if "size_at_most" in said else ""
    yield Bold(one_line(f"would write {goal}{size}"))
    yield from facts(
        [
            ("modules", f"{said['modules']:,}"),
            ("components", _counts(said.get("components", {}))),
            ("ranks", _ranks(said.get("ranks", {}))),
            ("merged", plural(said["shared"], "module") if said.get("shared") else ""),
            ("for", said.get("architecture") or ""),
        ]
    )
    yield from _stays(said.get("as_it_was", {}))
    yield from _warnings(said.get("warnings", []))


def made_json(report: Report, number: int) -> dict[str, Any]:
    """An adapter that was written, as plain values."""
    return {"id": number, **report.as_dict()}


def made_lines(report: Report, number: int) -> Iterator[str]:
    """The same for a person."""
    written, worst = report.written, report.worst
    measured = any(row.energy for row in report.rows)
    yield Bold(one_line(f"{written.path}  #{number}"))
    yield from facts(
        [
            ("size", human_size(written.size)),
            ("sha256", written.sha256 or ""),
            ("modules", f"{report.modules:,}"),
            ("ranks", _ranks({str(rank): count for rank, count in report.ranks.items()})),
            ("energy kept", f"{report.share:.2%}, error {report.error:.2%} of the norm" if measured else ""),
            ("least kept", f"{worst.share:.2%} of {brief(worst.module)}" if measured and worst else ""),
            (
                "left out",
                f"{report.left_out:.2%} of what changed, in norms, biases and embeddings" if report.lost else "",
            ),
            ("time", human_seconds(report.seconds)),
        ]
    )
    yield from _stays({why: len(names) for why, names in report.as_it_was.items()})


def _ranks(ranks: Mapping[str, int]) -> str:
    """`16 in 700 modules, 4 in 22`."""
    shown = [f"{rank} in {count:,}" for rank, count in [*ranks.items()][:_RANKS]]
    return ", ".join(shown) + (f" and {len(ranks) - _RANKS} others" if len(ranks) > _RANKS else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _stays(reasons: Mapping[str, int]) -> Iterator[str]:
    for why, count in reasons.items():
        which = "which" if count == 1 else "each of which"
        yield from wrapped(one_line(f"as it was: {plural(count, 'module')}, {which} {why}"), 2)


def _warnings(warnings: list[str]) -> Iterator[str]:
    for warning in warnings:
        yield from wrapped(one_line(f"warning: {warning}"), 9)
