"""What would be made, and what was made, in rows of a label and a text: the command line and the TUI show the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.lora.making.report import Report
from modelhub.text import brief, human_seconds, human_size, one_line, plural

#: Different ranks that are shown.
_RANKS = 8

TextRow = tuple[str, str]


def planned_rows(said: Mapping[str, Any]) -> list[TextRow]:
    """What a plan says of itself (`as_dict`)."""
    return [
        ("modules", f"{said['modules']:,}"),
        ("components", _counts(said.get("components", {}))),
        ("ranks", _ranks(said.get("ranks", {}))),
        ("merged", plural(said["shared"], "module") if said.get("shared") else ""),
        ("for", said.get("architecture") or ""),
    ]


def made_rows(report: Report) -> list[TextRow]:
    """What came of it."""
    written, worst = report.written, report.worst
    measured = any(row.energy for row in report.rows)
    return [
        ("size", human_size(written.size)),
        ("sha256", written.sha256 or ""),
        ("modules", f"{report.modules:,}"),
        ("ranks", _ranks({str(rank): count for rank, count in report.ranks.items()})),
        ("energy kept", f"{report.share:.2%}, error {report.error:.2%} of the norm" if measured else ""),
        ("least kept", f"{worst.share:.2%} of {brief(worst.module)}" if measured and worst else ""),
        ("left out", f"{report.left_out:.2%} of what changed, in norms, biases and embeddings" if report.lost else ""),
        ("time", human_seconds(report.seconds)),
    ]


def kept_lines(reasons: Mapping[str, int]) -> Iterator[str]:
    """A line for each reason why modules stay as they were, with how many do."""
    for why, count in reasons.items():
        which = "which" if count == 1 else "each of which"
        yield one_line(f"as it was: {plural(count, 'module')}, {which} {why}")


def _ranks(ranks: Mapping[str, int]) -> str:
    """`16 in 700 modules, 4 in 22`."""
    shown = [f"{rank} in {count:,}" for rank, count in [*ranks.items()][:_RANKS]]
    return ", ".join(shown) + (f" and {len(ranks) - _RANKS} others" if len(ranks) > _RANKS else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
