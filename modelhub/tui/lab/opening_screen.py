"""What comes into the merge lab: recipe files, recipes edited as text, the history, and what the lab remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message
from textual.widgets import TextArea

from modelhub.catalog.asset import Asset
from modelhub.catalog.weighing.weights import weight_text
from modelhub.errors import ModelhubError, UsageError
from modelhub.merge.recipes.asking import without_blocks
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.merge.registry import find_method
from modelhub.settings import user_path
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.block_weights import BlockWeights
from modelhub.tui.lab.grid_screen import GridScreen
from modelhub.tui.lab.history import Entry
from modelhub.tui.lab.history_dialog import HistoryDialog
from modelhub.tui.lab.kitchen import Opened
from modelhub.tui.lab.opening import find_assets
from modelhub.tui.lab.recipe_editor import RecipeEditor
from modelhub.tui.lab.requests import read_request
from modelhub.tui.lab.state import LabState, read_state
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.tui.pictures.picture import Pixels

#: Pixels of the longer side of a picture of the history.
_SIDE = 256


class OpeningScreen(GridScreen):
    """A place whose form is filled from elsewhere."""

    @dataclass
    class RecipeOpened(Message):
        """A recipe was read; `entry` is where it was in the history, with its picture."""

        opened: Opened
        as_text: bool = False
        entry: Entry | None = None
        pixels: Pixels | None = None

    @dataclass
    class Recalled(Message):
        """What was remembered, and the assets that are still there."""

        state: LabState
        assets: Mapping[str, Asset]

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.is_text = False
        self._filled: tuple[Recipe, Opened] | None = None
        self._taken = self._is_recalled = False

    @property
    def blocks(self) -> BlockWeights:
        """The block weights."""
        return self.query_one(BlockWeights)

    @property
    def editor(self) -> RecipeEditor:
        """The recipe as text."""
        return self.query_one(RecipeEditor)

    def said(self) -> Recipe:
        """What the form says. Raises UsageError, BadRecipeError."""
        raise NotImplementedError

    def reshaped(self) -> None:
        """Other frames, other blocks."""
        raise NotImplementedError

    def asked(self) -> tuple[Recipe, Path | None]:
        """What the text says; or the recipe that was opened, as long as the form says the same; or what that says."""
        if self.is_text:
            return self.editor.recipe, self.editor.path
        said = self.said()
        if self._filled is not None and self._filled[0] == said:
            return self._filled[1].recipe, self._filled[1].path
        return said, None

    # -- files -----------------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Ask for a recipe file and show it."""

        def named(text: str | None) -> None:
            if text:
                self._open(user_path(text).absolute())

        first = self.form.slot("A").asset
        folder = f"{first.path.parent}/" if first else ""
        what = "A TOML file of modelhub, or a recipe of sd-mecha; `modelhub recipe` prints that of a merged file."
        self.app.push_screen(AskDialog("Open a recipe", what, folder), named)

    @background("open")
    def _open(self, job: WorkerJob, path: Path) -> None:
        job.post(self.RecipeOpened(kitchen.open_recipe(self.library, path)))

    @on(RecipeOpened)
    async def _recipe_opened(self, message: RecipeOpened) -> None:
        """In the form if it has room for all that the recipe says, else as text."""
        self._taken = True
        if message.as_text or not message.opened.fits_form:
            self.show_text(message.opened)
        else:
            self.show_text(None)
            await self._fill(message.opened)
        if message.entry is not None:
            request = read_request(message.entry.request)
            if request is not None:
                self.form.picture.show(request)
            self.pictures.recall(message.entry.title, message.pixels)
        self.touched()

    async def _fill(self, opened: Opened) -> None:
        """Show a recipe in the form."""
        recipe = opened.recipe
        step = recipe.steps[-1] if recipe.steps else None
        keys = list(step.inputs) if step else [recipe.base or ""]
        method, models = find_method(step.method) if step else None, [opened.assets[key] for key in keys]
        said, weight = without_blocks(method, step.parameters) if method and step else ({}, None)
        values = {p.name: said.get(p.name, p.default) for p in (method or self.form.method).parameters}
        other = opened.assets.get(recipe.vae or "")
        if other is not None and recipe.vae not in keys:
            self.form.result.add_vae(other)
        await self.form.fill((method or self.form.method).name, models, values)
        await self.form.fill_loras(opened.loras)
        self.form.take_components(recipe, keys)
        self.form.show_blocks(weight is not None)
        self.reshaped()
        self.blocks.take(weight)
        self._filled = self.said(), opened

    # -- text ------------------------------------------------------------------------------------------------------

    def show_text(self, opened: Opened | None) -> None:
        """Edit this recipe as text, or show the form again."""
        self.is_text = opened is not None
        self.set_class(self.is_text, "-opened")
        if opened is not None:
            self.editor.show(opened)
            self.editor.area.focus()
            count = min(3, len(opened.recipe.models) - len(opened.recipe.baked))
            self.pictures.show_models([None] * count, by_name=False)

    def action_edit(self) -> None:
        """From the form to text, and back where the form has room for what the text says."""
        try:
            recipe, file = self.asked()
        except ModelhubError as error:
            self.explain(error)
            return
        self._edit(recipe, file, not self.is_text)

    @background("open")
    def _edit(self, job: WorkerJob, recipe: Recipe, file: Path | None, as_text: bool) -> None:
        opened = kitchen.look_up(self.library, recipe, file)
        if not as_text and not opened.fits_form:
            raise UsageError(
                "The form has no room for all that this recipe says.",
                "It shows one step over models of the library; escape leaves the text, and the form is as it was.",
            )
        job.post(self.RecipeOpened(opened, as_text))

    @on(TextArea.Changed, "#toml")
    def _typed(self) -> None:
        if self.is_text:
            self.editor.check()
            self.touched()

    # -- history -----------------------------------------------------------------------------------------------------

    def action_history(self) -> None:
        """What was made here."""

        def chosen(entry: Entry | None) -> None:
            if entry is not None:
                self.bring_back(entry)

        self.app.push_screen(HistoryDialog(self.history), chosen)

    @background("open")
    def bring_back(self, job: WorkerJob, entry: Entry) -> None:
        """Bring an entry of the history back into the form."""
        from modelhub.formats.images import load_thumbnail

        file = Path(entry.carrier) if entry.carrier else None
        opened = kitchen.look_up(self.library, parse_recipe(entry.recipe), file)
        picture = self.history.picture(entry)
        job.post(self.RecipeOpened(opened, False, entry, load_thumbnail(picture, _SIDE) if picture else None))

    # -- memory ------------------------------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        """The form in plain values; what was remembered, as long as it is not put back."""
        if not (self.is_whole and (self._is_recalled or self._taken)):
            return self.remembered
        form, weight = self.form, self.blocks.weight
        models = ["" if asset is None else str(asset.path) for asset in form.assets]
        values = form.texts()
        text = self.editor.area.text if self.is_text else ""
        return LabState(
            form.method.name,
            models,
            [(str(asset.path), value) for asset, value in form.loras],
            values,
            weight_text(weight) if weight is not None else "",
            form.result.state(),
            form.picture.state(),
            text,
            str(self.editor.path or "") if self.is_text else "",
        ).plain()

    def recall(self) -> None:
        """Put back what was remembered; models come as soon as the catalog has found them."""
        state = read_state(self.remembered)
        self.form.picture.restore(state.request)
        if state.paths or state.text:
            self._find(state)
        else:
            self._is_recalled = True

    @background("recall")
    def _find(self, job: WorkerJob, state: LabState) -> None:
        job.post(self.Recalled(state, find_assets(self.library, state.paths)))

    @on(Recalled)
    async def _recalled(self, message: Recalled) -> None:
        """Unless something else was chosen meanwhile."""
        self._is_recalled = True
        if self._taken:
            return
        state, assets = message.state, message.assets
        other = assets.get(state.result.get("other_vae", ""))
        if other is not None:
            self.form.result.add_vae(other)
        await self.form.fill(state.method, [assets.get(path) for path in state.models], state.parameters())
        await self.form.fill_loras([(assets[path], value) for path, value in state.loras if path in assets])
        self.form.result.restore(state.result)
        weight = state.weight()
        self.form.show_blocks(weight is not None)
        self.reshaped()
        self.blocks.take(weight)
        if state.text:
            self._recall_text(state)
        self.touched()

    def _recall_text(self, state: LabState) -> None:
        try:
            recipe = parse_recipe(state.text)
        except ModelhubError:
            return
        self.show_text(Opened(Path(state.file) if state.file else None, recipe, {}))
