"""The way out of the merge lab: a name is asked for, and merge, recipe or picture are written beside other work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Checkbox, Static

from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.settings import user_path
from modelhub.text import one_line, printable
from modelhub.tui.jobs import elsewhere
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.frames import Shown
from modelhub.tui.lab.history import History
from modelhub.tui.lab.merge_pictures import MergePictures
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.recipes import free_name
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.place import Place
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickBox

if TYPE_CHECKING:
    from modelhub.merge.execute import MergeReport
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.pictures.picture import Picture


class SaveDialog(AskDialog):
    """Asks for the name of a merge, says what it will be, and whether the picture of it goes beside it."""

    def __init__(self, help: str, value: str, outlook: str, *, has_picture: bool) -> None:
        super().__init__("Save the merge", help, value)
        self._outlook, self._has_picture = outlook, has_picture

    def compose(self) -> ComposeResult:
        """The field between what it is and how to leave."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = self._title
            yield Static(self._help, markup=False, classes="help")
            yield TextField(one_line(self._value), compact=True, select_on_focus=False)
            yield Static(printable(self._outlook), markup=False, classes="help")
            if self._has_picture:
                yield TickBox("the picture of this merge beside it", True, compact=True)
            yield Static("enter takes it · escape leaves", markup=False, classes="keys")

    @property
    def wants_picture(self) -> bool:
        """Whether the picture goes beside it."""
        return any(box.value for box in self.query(Checkbox))


class SavingScreen(Place):
    """A place with a recipe to save."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.history = History(library.folder)

    @abstractmethod
    def asked(self) -> tuple[Recipe, Path | None]:
        """What is to be merged, and the file it was opened from. Raises UsageError, BadRecipeError."""

    @abstractmethod
    def goal(self) -> Path:
        """Where the result goes if the user says nothing."""

    @property
    def pictures(self) -> MergePictures:
        """The frames."""
        return self.query_one(MergePictures)

    @property
    def outlook(self) -> OutlookLine:
        """What the merge would be."""
        return self.query_one(OutlookLine)

    # -- the merge -------------------------------------------------------------------------------------------------

    def action_save(self) -> None:
        """Ask for a name and write the merge."""
        found = self._to_save()
        if found is None:
            return
        recipe, file, path = found
        shot = self._shown_of(recipe)
        help = "A new safetensors file; it is catalogued when it is whole."
        goal = str(free_name(Path(f"{path}.safetensors")))
        dialog = SaveDialog(help, goal, self.outlook.whole, has_picture=shot is not None)

        def named(text: str | None) -> None:
            if text:
                picture = shot.shot.pictures[0] if shot and dialog.wants_picture else None
                self._save(recipe, file, user_path(text).absolute(), picture)

        self.app.push_screen(dialog, named)

    def _to_save(self) -> tuple[Recipe, Path | None, Path] | None:
        """The recipe, its file, and the goal without its ending; None where it was explained what is lacking."""
        try:
            recipe, file = self.asked()
            return recipe, file, self.goal().with_suffix("")
        except ModelhubError as error:
            self.explain(error)
            return None

    def _shown_of(self, recipe: Recipe) -> Shown | None:
        """The picture of this very merge, if it is shown."""
        shown = self.pictures.shown("merge")
        return shown if shown is not None and shown.part.recipe == recipe else None

    def _save(self, recipe: Recipe, file: Path | None, path: Path, picture: Picture | None = None) -> None:
        def work(job: Job) -> MergeReport:
            report = elsewhere.run(job, kitchen.save, self.library, recipe, path, file, picture)
            self.note(job, "model", path.name, recipe, file=path, carrier=file, pixels=picture and picture.pixels)
            return report

        self.jobs.start(
            f"Merge {one_line(path.name)}",
            work,
            place=self.scope,
            lane="writing",
            says=lambda report: _saved("Saved and catalogued", path, report.warnings),
        )

    # -- the recipe ------------------------------------------------------------------------------------------------

    def action_recipe(self) -> None:
        """Ask for a name and write the recipe."""
        found = self._to_save()
        if found is None:
            return
        recipe, file, path = found

        def named(text: str | None) -> None:
            if text:
                self._save_recipe(recipe, file, user_path(text).absolute())

        what = "A few lines of TOML, from which `modelhub merge` makes the file again."
        self.app.push_screen(AskDialog("Save the recipe", what, str(free_name(Path(f"{path}.toml")))), named)

    def _save_recipe(self, recipe: Recipe, file: Path | None, path: Path) -> None:
        def work(job: Job) -> Sequence[str]:
            planned = kitchen.save_recipe(self.library, recipe, path, job, file)
            self.note(job, "recipe", path.name, recipe, file=path, carrier=file)
            return planned.report.warnings

        self.jobs.start(
            f"Recipe {one_line(path.name)}",
            work,
            place=self.scope,
            says=lambda warnings: _saved("Saved", path, warnings),
        )

    # -- the picture -----------------------------------------------------------------------------------------------

    def action_picture(self) -> None:
        """Ask for a name and save the pictures of the merge."""
        shown = self.pictures.shown("merge")
        if shown is None:
            self.notify("There is no picture of the merge yet; f5 renders it.", markup=False, timeout=4)
            return
        self.ask_picture(shown.part.title, lambda path: kitchen.save_shot(shown.shot, path))

    def ask_picture(self, title: str, write: Callable[[Path], str]) -> None:
        """Ask for a name, and have `write` save a picture there."""

        def named(text: str | None) -> None:
            if text:
                path = user_path(text).absolute()
                self.jobs.start(
                    f"Picture {one_line(path.name)}",
                    lambda job: write(path),
                    place=self.scope,
                    says=lambda names: f"Saved: {one_line(names)}",
                )

        what = "A PNG file that says how it was made."
        self.app.push_screen(AskDialog("Save the picture", what, f"{self._picture_goal(title)}"), named)

    def _picture_goal(self, title: str) -> Path:
        """Beside where the merge would go, and not yet there."""
        try:
            stem = self.goal().with_suffix("")
        except ModelhubError:
            stem = Path.cwd() / title.replace(" ", "-").replace("/", "-")
        return free_name(stem.with_name(f"{stem.name}.png"))

    # -- the history -----------------------------------------------------------------------------------------------

    def note(self, job: Job, what: str, title: str, recipe: Recipe, **more: Any) -> None:
        """In a job's thread: an entry of the history. One that cannot be kept stops nothing."""
        for name in ("file", "carrier"):
            more[name] = str(more.get(name) or "")
        try:
            self.history.add(what, title, recipe.dumps(), **more)
        except ModelhubError as error:
            job.say(f"The history was not kept: {error.message}", "warning")


def _saved(what: str, path: Path, warnings: Sequence[str]) -> str:
    return "\n".join((f"{what}: {one_line(path.name)}", *warnings))
