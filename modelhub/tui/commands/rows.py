"""Which commands fit what was typed: that of the very name first, then those that begin so, then by their help."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.tui.commands.command_list import CommandRow
from modelhub.tui.commands.form import CommandForm


def command_rows(forms: Sequence[CommandForm], typed: str) -> list[CommandRow]:
    """A row for each command that fits, the best first."""
    typed = " ".join(typed.lower().split())
    scored = [(_fit(form, typed), at, form) for at, form in enumerate(forms)]
    return [CommandRow(form.name, form.help.split("\n")[0]) for score, _, form in sorted(scored, key=_order) if score]


def _order(scored: tuple[int, int, CommandForm]) -> tuple[int, int]:
    return -scored[0], scored[1]


def _fit(form: CommandForm, typed: str) -> int:
    if form.name == typed:
        return 4
    if form.name.startswith(typed):
        return 3
    if typed in form.name:
        return 2
    return int(all(word in f"{form.name} {form.help}".lower() for word in typed.split()))


def line_rows(lines: Sequence[str], typed: str) -> list[CommandRow]:
    """A row for each line that holds every typed word."""
    words = typed.lower().split()
    return [CommandRow(line) for line in lines if all(word in line.lower() for word in words)]
