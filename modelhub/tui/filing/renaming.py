"""Rename: one name, or a pattern for several, and what every file and sidecar would be called."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Input, Static

from modelhub.catalog.store import Catalog
from modelhub.fetch.names.pattern import WORDS
from modelhub.jobs import Job
from modelhub.organize.move import MoveReport
from modelhub.text import plural
from modelhub.tui.browse.tidy import planned_names
from modelhub.tui.filing.planning import PlanDialog


class RenameDialog(PlanDialog):
    """Gives the pattern."""

    title_of: ClassVar[str] = "Rename"

    def first(self) -> str:
        """The name as it is, or a pattern that leaves all names as they are."""
        if len(self.targets) > 1:
            return "{stem}"
        path = self.targets[0].path
        return path.name if path.is_dir() else path.stem

    def on_mount(self) -> None:
        """One name is edited where it ends; a pattern is put before the old name."""
        super().on_mount()
        field = self.query_one("#plan-line", Input)
        field.cursor_position = 0 if len(self.targets) > 1 else len(field.value)

    def about(self) -> str:
        """The words of patterns."""
        return "Filled in: " + " ".join(f"{{{word}}}" for word in WORDS)

    def between(self) -> ComposeResult:
        """Where files end up does not change."""
        yield Static("The ending stays, and so does the folder; sidecars go along.", markup=False, classes="keys")

    def plan(self, catalog: Catalog, typed: str, job: Job) -> MoveReport:
        """Every file with its new name."""
        return planned_names(catalog, self.targets, typed, job)

    def words(self, report: MoveReport) -> str:
        """How much of it there is."""
        if not report.files:
            return "These are their names already."
        stayed = f"; {plural(len(report.shared), 'sidecar')} stay with another model" if report.shared else ""
        what = f"{plural(len(report.assets), 'asset')}, {plural(len(report.files), 'file')}"
        same = f"; {len(report.already):,} keep their names" if report.already else ""
        return f"Would rename {what}{same}{stayed}."
