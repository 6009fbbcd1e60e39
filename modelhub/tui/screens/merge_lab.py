"""The merge lab: choose models and a method, see the unwritten merge between its parents, save it or its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Button, Footer, Select, Static

from modelhub.catalog.asset import Asset
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event
from modelhub.merge.recipes.asking import Parameters, with_blocks, without_blocks
from modelhub.merge.registry import Method, Value, find_method
from modelhub.settings import user_path
from modelhub.tui import kitchen
from modelhub.tui.actions import bindings
from modelhub.tui.kitchen import Opened, Part
from modelhub.tui.library import Library, term
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.screens.merge_form import LETTERS, MergeForm
from modelhub.tui.screens.merge_pictures import MergePictures
from modelhub.tui.screens.merge_saving import SavingScreen
from modelhub.tui.screens.pick import PickDialog
from modelhub.tui.widgets.block_weights import EACH, BlockWeights
from modelhub.tui.widgets.frame import Frame
from modelhub.tui.widgets.lora_rows import AddLora, LoraRows, Strength
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.slot import Slot
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Failed, Progress, WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request
    from modelhub.settings import Settings
    from modelhub.tui.widgets.picture import Pixels

#: Number of marked models to the method that the lab begins with.
_FIRST = {1: "weighted-sum", 2: "weighted-sum", 3: "add-difference"}


class MergeLab(SavingScreen):
    """Gives whether a file was written."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lab")]
    scope = "lab"

    @dataclass
    class Rendered(Message):
        """A picture is done, or cannot be: then `note` says why."""

        part: Part
        request: Request
        pixels: Pixels | None
        note: str = ""

    @dataclass
    class RecipeOpened(Message):
        """A recipe file was read."""

        opened: Opened

    def __init__(
        self, library: Library, settings: Settings, models: Sequence[Asset], loras: Sequence[Asset] = ()
    ) -> None:
        super().__init__(library)
        self.settings = settings
        self._given, self._loras = models, loras
        self._opened: Opened | None = None
        self._filled: tuple[Recipe, Opened] | None = None

    def compose(self) -> ComposeResult:
        """The form over the blocks and the pictures."""
        yield MergeForm(self.settings, _FIRST.get(len(self._given), "average"), id="form")
        yield Static(id="opened", markup=False)
        yield BlockWeights(id="blocks")
        yield MergePictures(id="frames")
        yield StatusLine(id="status")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """The models that were marked."""
        for letter, asset in zip(LETTERS, self._given, strict=False):
            self._slot(letter).asset = asset
        for asset in self._loras:
            self.query_one(LoraRows).add(asset)
        self.query_one(Slot).focus()

    # -- the form --------------------------------------------------------------------------------------------------

    @property
    def form(self) -> MergeForm:
        """What the merge is asked for with."""
        return self.query_one(MergeForm)

    @property
    def pictures(self) -> MergePictures:
        """The frames."""
        return self.query_one(MergePictures)

    @property
    def blocks(self) -> BlockWeights:
        """The block weights."""
        return self.query_one(BlockWeights)

    @property
    def letters(self) -> str:
        """The slots that the method takes."""
        return self.form.letters

    @property
    def parameters(self) -> dict[str, Value | Weight]:
        """What the fields and the bars say. Raises UsageError."""
        found = self.form.parameters()
        weight = self.blocks.weight
        return found if weight is None else dict(with_blocks(self.form.method, found, weight))

    def _slot(self, letter: str) -> Slot:
        return self.form.slot(letter)

    def _frame(self, letter: str) -> Frame:
        return self.pictures.frame(letter)

    def _models(self) -> list[Asset]:
        return self.form.models()

    def _request(self) -> Request:
        return self.form.request()

    def _recipe(self) -> Recipe:
        return self.asked()[0]

    def asked(self) -> tuple[Recipe, Path | None]:
        """The recipe that was opened, as long as the form says the same, or what the form says."""
        if self._opened is not None:
            return self._opened.recipe, self._opened.path
        said = self._said()
        if self._filled is not None and self._filled[0] == said:
            return self._filled[1].recipe, self._filled[1].path
        return said, None

    def _said(self) -> Recipe:
        """What the form says. Raises UsageError, BadRecipeError."""
        models, method = self._models(), self._method
        return self._saying(models, method, self.form.parameters() if method else {}, self.blocks.weight)

    @property
    def _method(self) -> Method | None:
        """The method; None where one model gets LoRAs, and nothing is merged."""
        return None if self.form.bakes else self.form.method

    def _saying(
        self, models: Sequence[Asset], method: Method | None, values: Parameters, weight: Weight | None
    ) -> Recipe:
        """The recipe of one step, or of none, with the components and the LoRAs that the form says."""
        components: dict[str, Any] = {**self.form.components, "loras": self.form.loras}
        if method is None:
            return kitchen.merge_recipe(models, None, {}, **components)
        said = values if weight is None else with_blocks(method, values, weight)
        return kitchen.merge_recipe(models, method.name, said, **components)

    def goal(self) -> Path:
        """Beside the recipe that was opened, else beside A."""
        if self._opened is not None:
            return self._opened.path.with_suffix(".safetensors")
        models, loras = self._models(), self.form.loras
        if self._method is None:
            return kitchen.default_name(models, None, {}, loras)
        return kitchen.default_name(models, self.form.method.name, self.parameters, loras)

    @on(MergeForm.Reshaped)
    def _reshaped(self) -> None:
        """Other frames, other blocks."""
        filled = [asset for asset in self.form.assets if asset is not None]
        only_those = len(filled) > 1 if self.form.method.many else self.form.bakes
        self.pictures.show_models(filled if only_those else self.form.assets)
        first = self._slot("A").asset
        self.blocks.architecture = (first.architecture if first else None) or ""
        self.blocks.parameter = None if self.form.bakes else self.form.block_parameter
        self.blocks.base = self.form.base
        self.blocks.choice = self.form.offer_presets(self.blocks.architecture)

    @on(Select.Changed, "#preset")
    def _preset_chosen(self, message: Select.Changed) -> None:
        """Bars for the blocks, or none."""
        self.blocks.choice = str(message.value)
        if message.value == EACH and self.blocks.has_class("-shown"):
            self.blocks.bars.focus()

    @on(Slider.Changed)
    def _slid(self, message: Slider.Changed) -> None:
        if isinstance(message.slider, Strength):
            return
        if self.form.block_parameter and message.slider.label == self.form.block_parameter.name:
            self.blocks.base = message.value

    @on(Slot.Pick)
    def _pick(self, message: Slot.Pick) -> None:
        slot = message.slot
        others = [other.asset for other in self.query(Slot) if other is not slot and other.asset]
        base = "(kind:checkpoint OR kind:diffusion-model) format:safetensors missing:no"
        if others and others[0].architecture:
            base += f" {term('arch', others[0].architecture)}"

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                slot.asset = asset
                self.form.reshape()

        nothing = "There is no other model of this architecture in the catalog."
        self.app.push_screen(PickDialog(self.library, f"Model {slot.letter}", base, nothing), picked)

    @on(Slot.Emptied)
    def _emptied(self) -> None:
        self.form.reshape()

    @on(AddLora.Pressed)
    def _pick_lora(self) -> None:
        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.query_one(LoraRows).add(asset).focus()

        first = next((asset for asset in self.form.assets if asset is not None), None)
        architecture = first.architecture if first else None
        fitting = f" ({term('arch', architecture)} OR arch:none)" if architecture else ""
        nothing = "There is no LoRA of this architecture in the catalog."
        self.app.push_screen(PickDialog(self.library, "LoRA", f"kind:lora missing:no{fitting}", nothing), picked)

    @on(MergeForm.OtherVae)
    def _pick_vae(self) -> None:
        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.form.take_vae(asset)

        base = "(kind:vae OR kind:checkpoint) missing:no"
        nothing = "There is no VAE and no checkpoint in the catalog."
        self.app.push_screen(PickDialog(self.library, "Whose VAE", base, nothing), picked)

    def action_swap(self) -> None:
        """A for B."""
        a, b = self._slot("A"), self._slot("B")
        a.asset, b.asset = b.asset, a.asset
        self.form.reshape()

    @on(Button.Pressed)
    async def _pressed(self, message: Button.Pressed) -> None:
        message.stop()
        await self.run_action(message.button.id or "")

    # -- a recipe file ---------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Ask for a recipe file and show it."""

        def named(text: str | None) -> None:
            if text:
                self._open(user_path(text).absolute())

        first = self._slot("A").asset
        folder = f"{first.path.parent}/" if first else ""
        what = "A TOML file of modelhub, or a recipe of sd-mecha; `modelhub recipe` prints that of a merged file."
        self.app.push_screen(AskDialog("Open a recipe", what, folder), named)

    @background("open")
    def _open(self, job: WorkerJob, path: Path) -> None:
        job.post(self.RecipeOpened(kitchen.open_recipe(self.library, path)))

    @on(RecipeOpened)
    async def _recipe_opened(self, message: RecipeOpened) -> None:
        """In the form if it has room for all that the recipe says, else as it is written."""
        opened = message.opened
        if not opened.fits_form:
            self._show_opened(opened)
            return
        self._show_opened(None)
        step = opened.recipe.steps[-1] if opened.recipe.steps else None
        keys = list(step.inputs) if step else [opened.recipe.base or ""]
        method, models = find_method(step.method) if step else None, [opened.assets[key] for key in keys]
        said, weight = without_blocks(method, step.parameters) if method and step else ({}, None)
        values = {p.name: said.get(p.name, p.default) for p in (method or self.form.method).parameters}
        await self.form.fill((method or self.form.method).name, models, values)
        await self.form.fill_loras(opened.loras)
        self.form.take_components(opened.recipe, keys)
        self.form.show_blocks(weight is not None)
        self._reshaped()
        self.blocks.take(weight)
        self._filled = self._saying(models, method, values, weight), opened

    def _show_opened(self, opened: Opened | None) -> None:
        self._opened = opened
        self.set_class(opened is not None, "-opened")
        if opened is not None:
            self.query_one("#opened", Static).update("\n".join(opened.lines))
            self.pictures.show_models([None] * min(3, len(opened.recipe.models)))

    # -- preview ---------------------------------------------------------------------------------------------------

    def action_preview(self) -> None:
        """Render what is not shown yet."""
        try:
            request, (recipe, file) = self._request(), self.asked()
            wanted = kitchen.parts(recipe, [] if self._opened else self._models(), file)
        except ModelhubError as error:
            self.explain(error)
            return
        todo = self.pictures.expect(wanted, request)
        if todo:
            self.query_one(StatusLine).event = Event("preview", "preparing")
            self._cook(todo, request)

    @background("preview")
    def _cook(self, job: WorkerJob, todo: Sequence[Part], request: Request) -> None:
        for part in todo:
            try:
                picture = kitchen.render(self.library, part, request, self.settings.device, job.part(part.letter))
                job.post(self.Rendered(part, request, picture.pixels, " ".join(picture.warnings)))
            except CancelledError:
                raise
            except ModelhubError as error:
                job.post(self.Rendered(part, request, None, f"{error.message} {error.hint}"))

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        event = message.event
        if event.level != "progress":
            return
        self.query_one(StatusLine).event = event
        if event.picture is not None:
            self.pictures.on_the_way(message.group, event.picture)

    @on(Rendered)
    def _rendered(self, message: Rendered) -> None:
        self.pictures.rendered(message.part, message.request, message.pixels, message.note)

    @on(Done)
    def _done(self, message: Done) -> None:
        message.stop()
        groups = {worker.group for worker in self.workers if worker.node is self and worker.is_running}
        if not groups - (set() if message.cancelled else {message.group}):
            self.query_one(StatusLine).event = None

    @on(Failed)
    def _failed(self) -> None:
        self.pictures.give_up()

    def action_back(self) -> None:
        """Stop what runs, else close the recipe, else leave."""
        status = self.query_one(StatusLine)
        if status.event is not None:
            self.workers.cancel_node(self)
            status.event = None
            self.pictures.give_up("stopped")
            self.notify("Stopped; nothing half-written is left behind.", markup=False, timeout=3)
        elif self._opened is not None:
            self._show_opened(None)
            self.form.reshape()
        else:
            self.dismiss(self._wrote)
