"""The way out of the merge lab: a name is asked for, and the merge or its recipe is written beside other work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.screen import Screen

from modelhub.errors import ModelhubError
from modelhub.jobs import Event
from modelhub.settings import user_path
from modelhub.text import one_line
from modelhub.tui import kitchen
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe


class SavingScreen(Screen[bool]):
    """A screen with a recipe to save; gives whether a model was written."""

    @dataclass
    class Written(Message):
        """A file is written; `model` tells a merge from a recipe."""

        path: Path
        model: bool
        warnings: Sequence[str] = ()

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.library = library
        self._wrote = False

    @abstractmethod
    def asked(self) -> tuple[Recipe, Path | None]:
        """What is to be merged, and the file it was opened from. Raises UsageError, BadRecipeError."""

    @abstractmethod
    def goal(self) -> Path:
        """Where the result goes if the user says nothing."""

    def explain(self, error: ModelhubError) -> None:
        """Show an error."""
        self.app.push_screen(ErrorDialog(error))

    def action_save(self) -> None:
        """Ask for a name and write the merge."""
        self._ask(
            "Save the merge", "A new safetensors file; it is catalogued when it is whole.", ".safetensors", self._save
        )

    def action_recipe(self) -> None:
        """Ask for a name and write the recipe."""
        self._ask(
            "Save the recipe",
            "A few lines of TOML, from which `modelhub merge` makes the file again.",
            ".toml",
            self._save_recipe,
        )

    def _ask(self, title: str, what: str, suffix: str, then: Callable[[Recipe, Path | None, Path], object]) -> None:
        try:
            recipe, file = self.asked()
            path = self.goal().with_suffix("")
        except ModelhubError as error:
            self.explain(error)
            return

        def named(text: str | None) -> None:
            if text:
                self.query_one(StatusLine).event = Event("save", "preparing")
                then(recipe, file, user_path(text).absolute())

        self.app.push_screen(AskDialog(title, what, f"{path}{suffix}"), named)

    @background("save")
    def _save(self, job: WorkerJob, recipe: Recipe, file: Path | None, path: Path) -> None:
        report = kitchen.save(self.library, recipe, path, job, file)
        job.post(self.Written(path, True, report.warnings))

    @background("save")
    def _save_recipe(self, job: WorkerJob, recipe: Recipe, file: Path | None, path: Path) -> None:
        planned = kitchen.save_recipe(self.library, recipe, path, job, file)
        job.post(self.Written(path, False, planned.report.warnings))

    @on(Written)
    def _written(self, message: Written) -> None:
        self._wrote = self._wrote or message.model
        self.notify(
            "\n".join((one_line(message.path.name), *message.warnings)),
            title="Saved and catalogued" if message.model else "Saved",
            severity="warning" if message.warnings else "information",
            markup=False,
        )
