"""What `merge` answers: the plan of a merge in steps, weights and reasons, and the report of one that was written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.blocks import LABELS, all_blocks
from modelhub.cli.context import Bold
from modelhub.cli.table import facts, table, wrapped
from modelhub.text import few, human_seconds, human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.merge.execute import MergeReport
    from modelhub.merge.planning.plan import Plan
    from modelhub.merge.planning.report import WeightRow


def plan_json(planned: Plan) -> dict[str, Any]:
    """A merge that was not written, as plain values."""
    report = planned.report
    return {
        "size": planned.header.file_size,
        "merged": len(report.merged),
        "baked": len(report.baked),
        "copied": len(report.copied),
        "added": len(report.added),
        "dropped": len(report.dropped),
        "left_out": {key: len(names) for key, names in report.extra.items()},
        "reasons": [
            {"done": done, "reason": reason, "tensors": len(names)} for done, reason, names in report.because()
        ],
        "weights": [{**row._asdict(), "parameters": dict(row.parameters)} for row in report.weights],
        "passes": report.passes,
        "warnings": report.warnings,
        "recipe": planned.recipe.dumps(),
    }


def plan_lines(planned: Plan, goal: Path) -> Iterator[str]:
    """The same for a person: what would be written, how, and why what is not merged is not."""
    report = planned.report
    yield Bold(one_line(f"would write {goal}: {human_size(planned.header.file_size)}"))
    yield _counts(len(report.merged), len(report.baked), len(report.copied), len(report.added), len(report.dropped))
    for done, reason, names in report.because():
        which = f" ({few(names)})" if reason and len(names) <= _NAMED else ""
        yield from wrapped(one_line(f"  {len(names):,} {_DONE[done]}: {reason or few(names)}{which}"), 4)
    for warning in report.warnings:
        yield from wrapped(one_line(f"warning: {warning}"), 9)
    if report.passes > 1:
        yield f"Every input is read {report.passes} times: a method measures first."
    for _, rows in groupby(report.weights, key=lambda row: row.step):
        yield ""
        yield from _step_lines(list(rows), planned)
    yield ""
    yield planned.recipe.dumps().rstrip()


#: So few tensors that are not merged are told by name.
_NAMED = 2
_DONE = {"copied": "copied", "added": "added", "dropped": "left out"}


def _counts(merged: int, baked: int, copied: int, added: int, dropped: int) -> str:
    said = {"merged": merged, "with LoRAs": baked, "copied": copied, "added": added, "left out": dropped}
    (word, first), *more = [(word, n) for word, n in said.items() if n] or [("merged", 0)]
    return ", ".join([f"{plural(first, 'tensor')} {word}", *(f"{n:,} {word}" for word, n in more)])


def _step_lines(rows: list[WeightRow], planned: Plan) -> Iterator[str]:
    """One step with its weights: a line if they are the same everywhere, else a table by component and block."""
    step = planned.recipe.steps[rows[0].step - 1]
    made = f"{step.name} = " if step.name else ""
    yield Bold(one_line(f"step {rows[0].step}  {made}{step.method} {' '.join(step.inputs)}"))
    names = list(rows[0].parameters)
    tensors = sum(row.tensors for row in rows)
    if len({tuple(row.parameters.items()) for row in rows}) == 1:
        said = ", ".join(f"{name} {value:g}" for name, value in rows[0].parameters.items())
        yield f"  {said + ' for ' if said else ''}{plural(tensors, 'tensor')}"
        return
    differing = [name for name in names if len({row.parameters[name] for row in rows}) > 1]
    head = ("  component", "block", *(word for name in differing for word in (name, "")), "tensors")
    yield from table(head, (_weight_cells(row, differing) for row in _in_order(rows)), right=[len(head) - 1])
    same = ", ".join(f"{name} {rows[0].parameters[name]:g}" for name in names if name not in differing)
    yield from [f"  {same} everywhere"] if same else []


def _weight_cells(row: WeightRow, names: list[str]) -> list[str]:
    cells = []
    for name in names:
        number = row.parameters[name]
        cells += [f"{number:.4g}", "▪" * max(0, min(10, round(number * 10)))]
    return [f"  {row.component or '-'}", row.block or "-", *cells, f"{row.tensors:,}"]


def _in_order(rows: list[WeightRow]) -> list[WeightRow]:
    """Text encoders first, then the blocks as they follow each other, then the VAE."""
    parts = {name: at for at, name in enumerate(LABELS)}
    order = {name: at for at, name in enumerate(all_blocks())}
    return sorted(rows, key=lambda row: (parts.get(row.component, len(parts)), order.get(row.block or "", -1)))


def merge_json(report: MergeReport, number: int) -> dict[str, Any]:
    """A merge that was written, as plain values; hashes are null where none were made."""
    written = report.written
    return {
        "id": number,
        "path": str(written.path),
        "size": written.size,
        "sha256": written.sha256,
        "autov3": written.autov3,
        "tensors": written.tensors,
        "merged": report.merged,
        "baked": report.baked,
        "copied": report.copied,
        "dropped": report.dropped,
        "warnings": list(report.warnings),
        "seconds": report.seconds,
    }


def merge_lines(report: MergeReport, number: int) -> Iterator[str]:
    """The same for a person."""
    written = report.written
    yield Bold(one_line(f"{written.path}  #{number}"))
    yield from facts(
        [
            ("size", human_size(written.size)),
            ("sha256", written.sha256 or ""),
            ("tensors", _counts(report.merged, report.baked, report.copied, 0, report.dropped)),
            ("time", human_seconds(report.seconds)),
        ]
    )
