"""The merge lab: choose models and a method, see the unwritten merge between its parents, save it or its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Checkbox, Input, Select

from modelhub.catalog.asset import Asset
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import UsageError
from modelhub.merge.recipes.asking import Parameters, with_blocks
from modelhub.merge.registry import Method, Value
from modelhub.tui.actions import bindings
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.bars import Bars
from modelhub.tui.lab.block_weights import EACH, BlockWeights
from modelhub.tui.lab.kitchen import Part
from modelhub.tui.lab.lora_rows import AddLora, LoraRows, Strength
from modelhub.tui.lab.merge_form import MergeForm
from modelhub.tui.lab.merge_pictures import MergePictures
from modelhub.tui.lab.opening_screen import OpeningScreen
from modelhub.tui.lab.outlook_line import OutlookLine
from modelhub.tui.lab.result_fields import ResultFields
from modelhub.tui.lab.sheet import SheetView
from modelhub.tui.lab.slot import Slot, partners
from modelhub.tui.library import LORAS, VAES, term
from modelhub.tui.widgets.slider import Slider

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request

#: Number of marked models to the method that the lab begins with.
_FIRST = {1: "weighted-sum", 2: "weighted-sum", 3: "add-difference"}


class MergeLab(OpeningScreen):
    """Merges what is chosen in its form."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lab")]
    scope: ClassVar[str] = "lab"

    def body(self) -> ComposeResult:
        """The form beside the pictures, the blocks and the outlook below them."""
        with Horizontal(id="bench"):
            yield MergeForm(self.settings, "weighted-sum", id="form")
            with Vertical(id="shown"):
                yield MergePictures(id="frames")
                yield SheetView(id="sheet")
        yield BlockWeights(id="blocks")
        yield OutlookLine()

    def on_mount(self) -> None:
        """As it was left."""
        self.recall()
        self.query_one(Slot).focus()

    async def take(self, models: Sequence[Asset], loras: Sequence[Asset] = ()) -> None:
        """These models and LoRAs in place of what is in the form; the method is the first that takes as many."""
        self._taken = True
        self.show_text(None)
        self.close_sheet()
        await self.form.fill(_FIRST.get(len(models), "average"), models, {})
        await self.form.fill_loras([(lora, 1.0) for lora in loras])
        self.reshaped()
        self.query_one(Slot).focus()

    # -- the form --------------------------------------------------------------------------------------------------

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

    def _models(self) -> list[Asset]:
        return self.form.models()

    def _request(self) -> Request:
        return self.form.request()

    def _recipe(self) -> Recipe:
        return self.asked()[0]

    def wanted(self) -> tuple[list[Part], Request]:
        """The merge and its parents. Raises UsageError, BadRecipeError."""
        request, (recipe, file) = self._request(), self.asked()
        return kitchen.parts(recipe, [] if self.is_text else self._models(), file), request

    def said(self) -> Recipe:
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
        if method is None:
            return kitchen.merge_recipe(models, None, {}, **self.form.components, loras=self.form.loras)
        said = values if weight is None else with_blocks(method, values, weight)
        return kitchen.merge_recipe(models, method.name, said, **self.form.components, loras=self.form.loras)

    def goal(self) -> Path:
        """Beside the recipe that is edited, else beside A."""
        if self.is_text:
            return self._beside_text()
        models, loras = self._models(), self.form.loras
        if self._method is None:
            return kitchen.default_name(models, None, {}, loras)
        return kitchen.default_name(models, self.form.method.name, self.parameters, loras)

    def _beside_text(self) -> Path:
        """Beside the file of the recipe, else beside its first model."""
        if self.editor.path is not None:
            return self.editor.path.with_suffix(".safetensors")
        first = next((Path(model.ref) for model in self.editor.recipe.models.values()), None)
        folder = first.parent if first is not None and first.is_absolute() else Path.cwd()
        return folder / "merge.safetensors"

    # -- what changes ----------------------------------------------------------------------------------------------

    @on(MergeForm.Reshaped)
    def reshaped(self) -> None:
        """Other frames, other blocks."""
        if not self.is_text:
            filled = [asset for asset in self.form.assets if asset is not None]
            only_those = len(filled) > 1 if self.form.method.many else self.form.bakes
            self.pictures.show_models(filled if only_those else self.form.assets)
        first = self._slot("A").asset
        self.blocks.architecture = (first.architecture if first else None) or ""
        self.blocks.parameter = None if self.form.bakes else self.form.block_parameter
        self.blocks.base = self.form.base
        self.blocks.choice = self.form.offer_presets(self.blocks.architecture)
        self.touched()

    @on(Select.Changed, "#preset")
    def _preset_chosen(self, message: Select.Changed) -> None:
        """Bars for the blocks, or none."""
        self.blocks.choice = str(message.value)
        if message.value == EACH and self.blocks.has_class("-shown"):
            self.blocks.bars.focus()

    @on(Slider.Changed)
    def _slid(self, message: Slider.Changed) -> None:
        parameter = self.form.block_parameter
        if not isinstance(message.slider, Strength) and parameter and message.slider.label == parameter.name:
            self.blocks.base = message.value
        self.touched()

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Checkbox.Changed)
    @on(Bars.Changed)
    def _changed(self) -> None:
        self.touched()

    @on(Slot.Pick)
    def _pick(self, message: Slot.Pick) -> None:
        slot = message.slot
        base = partners(other.asset for other in self.query(Slot) if other is not slot)

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self._taken = True
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
        self.app.push_screen(PickDialog(self.library, "LoRA", f"{LORAS}{fitting}", nothing), picked)

    @on(ResultFields.OtherVae)
    def _pick_vae(self) -> None:
        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.form.take_vae(asset)

        nothing = "There is no VAE and no checkpoint in the catalog."
        self.app.push_screen(PickDialog(self.library, "Whose VAE", VAES, nothing), picked)

    def action_swap(self) -> None:
        """A for B."""
        if self.is_text:
            self.explain(UsageError("The recipe is edited as text.", "Exchange the letters of its inputs there."))
            return
        a, b = self._slot("A"), self._slot("B")
        a.asset, b.asset = b.asset, a.asset
        self.form.reshape()

    @on(Button.Pressed)
    async def _pressed(self, message: Button.Pressed) -> None:
        message.stop()
        await self.run_action(message.button.id or "")

    # -- the way back ------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Stop what renders, else what is written; else close what is open here; else go to the library."""
        if self.stop_cooking() or self.stop_painting() or self.stop_last():
            return
        if self.has_sheet:
            self.close_sheet()
        elif not self.pictures.unflip():
            self._leave()

    def _leave(self) -> None:
        """From the text to the form, from the form to the library."""
        if self.is_text:
            self.show_text(None)
            self.form.reshape()
        else:
            super().action_back()
