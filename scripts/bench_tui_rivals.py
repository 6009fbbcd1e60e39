"""The programs that `scripts/bench tui` runs: `empty`, `table HOME`, and `merging HOME A B`, modelhub while it writes a merge.

`empty` is the least that Textual can show, `table` the same rows in Textual's own DataTable.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from textual.app import App, ComposeResult
from textual.widgets import DataTable, Static


class Empty(App[None]):
    """One line."""

    def compose(self) -> ComposeResult:
        """Just that."""
        yield Static("ready to be seen")


class Table(App[None]):
    """The rows of a catalog."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home

    def compose(self) -> ComposeResult:
        """A table."""
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        """All rows at once."""
        table = self.query_one(DataTable)
        table.add_columns("name", "kind", "arch", "size", "dtype")
        query = "SELECT name, kind, architecture, size, dtype FROM assets ORDER BY name COLLATE NOCASE"
        with sqlite3.connect(self._home / "catalog.db") as db:
            table.add_rows(db.execute(query))


def merging(home: Path, one: Path, other: Path) -> None:
    """The interface, with a job that merges two files again and again."""
    from modelhub.jobs import Job
    from modelhub.merge.recipes.recipe import simple_recipe
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.jobs import elsewhere
    from modelhub.tui.lab import kitchen
    from modelhub.tui.library import Library

    library = Library(home)
    recipe = simple_recipe("weighted-sum", [str(one), str(other)], parameters={"alpha": 0.5})

    def work(job: Job) -> None:
        for number in range(1000):
            goal = one.with_name(f"z-merged-{number}.safetensors")  # below all rows, which stay where they are
            elsewhere.run(job, kitchen.save, library, recipe, goal)
            goal.unlink()

    class Merging(ModelhubApp):
        """With a merge that begins at once."""

        def on_ready(self) -> None:
            self.jobs.start("Merge", work, place="lab", lane="writing")

    Merging(library).run()


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "empty":
        Empty().run()
    elif what == "table":
        Table(Path(words[0])).run()
    else:
        merging(*map(Path, words))
