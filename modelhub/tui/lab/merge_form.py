"""The form of the merge lab: models, method, what the method is set to, the picture to render, and the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Label, Select, Static

from modelhub.catalog.asset import Asset
from modelhub.catalog.blocks import block_names
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import UsageError
from modelhub.merge.recipes.asking import block_parameter, shown_value
from modelhub.merge.registry import Method, Parameter, Value, methods
from modelhub.preview.request import Request
from modelhub.tui.lab.fold import Fold
from modelhub.tui.lab.lora_rows import LoraRows
from modelhub.tui.lab.offers import OfferSelect, field
from modelhub.tui.lab.parameter import ParameterField, parameter_field
from modelhub.tui.lab.recipe_editor import RecipeEditor
from modelhub.tui.lab.recipes import LARGEST, preset_names
from modelhub.tui.lab.request_fields import RequestFields
from modelhub.tui.lab.result_fields import DEFAULT, MERGED, OTHER, ResultFields
from modelhub.tui.lab.slot import Slot
from modelhub.tui.widgets.slider import Slider

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.settings import Settings

__all__ = ["DEFAULT", "LETTERS", "MERGED", "OTHER", "MergeForm"]

LETTERS = "ABCDEFGHIJ"[:LARGEST]
#: What stands in place of the formula while nothing is merged.
_UNUSED = "not used: LoRAs alone are added"
_BLOCKS = (("one weight for all", DEFAULT), ("each block…", OTHER))
#: Rows of a terminal from which nothing of the form is folded at first.
_ROOMY = 34


class MergeForm(Vertical):
    """Everything a merge and its preview are asked for with; it knows no catalog and no jobs."""

    class Reshaped(Message):
        """Another method, or other models: other slots, other pictures, other blocks."""

    def __init__(self, settings: Settings, method: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._settings, self._first = settings, method
        self._set: Mapping[str, Value | Weight] = {}

    def compose(self) -> ComposeResult:
        """What may scroll above what may not."""
        with VerticalScroll(id="fields", can_focus=False):
            with Vertical(id="models"):
                yield from (Slot(letter, id=f"slot-{letter}") for letter in LETTERS)
                yield LoraRows(id="loras")
            with Vertical(id="settings"):
                yield from self._compose_method()
            yield RecipeEditor(id="text-recipe")
            yield RequestFields(self._settings)
            yield ResultFields()
        with Horizontal(classes="buttons"):
            yield Button("Preview", variant="primary", compact=True, id="preview")
            yield Button("Save…", compact=True, id="save")
            yield Button("Recipe…", compact=True, id="recipe")
            yield Button("Open…", compact=True, id="open")

    def _compose_method(self) -> ComposeResult:
        with Horizontal(classes="field", id="method-field"):
            yield Label("method")
            yield Select(list(_choices()), value=self._first, allow_blank=False, compact=True, id="method")
        yield Static(id="formula", markup=False)
        yield Vertical(id="parameters")
        yield field("blocks", OfferSelect(_BLOCKS, id="preset"), id="blocks-field")

    def on_mount(self) -> None:
        """A small terminal begins with what is needed every time."""
        if self.app.size.height < _ROOMY:
            for name in ("sampling", "result"):
                self.query_one(f"#{name}-fold", Fold).folded = True

    # -- the models ------------------------------------------------------------------------------------------------

    def slot(self, letter: str) -> Slot:
        """The slot of a letter."""
        return self.query_one(f"#slot-{letter}", Slot)

    @property
    def assets(self) -> list[Asset | None]:
        """What stands in the slots that are shown."""
        return [self.slot(letter).asset for letter in self.letters]

    @property
    def letters(self) -> str:
        """The slots that are shown: as many as the method takes; of any number, one more than are filled."""
        method = self.method
        if not method.many:
            return LETTERS[: method.least]
        filled = [at for at, letter in enumerate(LETTERS, 1) if self.slot(letter).asset is not None]
        return LETTERS[: max(method.least, max(filled, default=0) + 1)]

    @property
    def loras(self) -> list[tuple[Asset, float]]:
        """The LoRAs that are baked into the result, each with its strength, in order."""
        return self.query_one(LoraRows).chosen

    @property
    def bakes(self) -> bool:
        """Whether nothing is merged: one model with LoRAs."""
        return bool(self.loras) and sum(asset is not None for asset in self.assets) == 1

    def models(self) -> list[Asset]:
        """The chosen models. Raises UsageError when there are too few of them."""
        found = [asset for asset in self.assets if asset is not None]
        wanted = 1 if self.bakes else self.method.least
        if len(found) < wanted:
            more = " or more" if self.method.many else ""
            raise UsageError(
                f"{self.method.title} takes {wanted}{more} models, and {len(found) or 'none'} "
                f"{'are' if len(found) > 1 else 'is'} chosen.",
                "Press enter on an empty slot.",
            )
        return found

    def reshape(self) -> None:
        """Show the slots and the choices that the method and the models leave."""
        letters, names = self.letters, self.method.names
        for at, letter in enumerate(LETTERS):
            slot = self.slot(letter)
            slot.display = letter in letters
            slot.role = names[at] if at < len(names) and len(names[at]) > 1 else ""
        bakes = self.bakes
        self.set_class(bakes, "-bakes")
        self.query_one("#formula", Static).update(_UNUSED if bakes else self.method.formula)
        filled = "".join(letter for letter in letters if self.slot(letter).asset is not None)
        self.result.offer(filled, bakes=bakes)
        self.post_message(self.Reshaped())

    # -- the method ------------------------------------------------------------------------------------------------

    @property
    def method(self) -> Method:
        """The chosen method."""
        return methods()[str(self.query_one("#method", Select).value)]

    @property
    def block_parameter(self) -> Parameter | None:
        """The parameter that may differ from block to block."""
        return block_parameter(self.method)

    @property
    def base(self) -> float:
        """What the slider of that parameter says."""
        found = self.block_parameter
        return next((slider.value for slider in self._sliders if found and slider.label == found.name), 0.0)

    @on(Select.Changed, "#method")
    async def _method_changed(self) -> None:
        """Other sliders, other slots."""
        method = self.method
        self.query_one("#formula", Static).tooltip = method.help
        fields = self.query_one("#parameters", Vertical)
        await fields.remove_children()
        await fields.mount_all(parameter_field(p, self._set.get(p.name)) for p in method.parameters)
        self._set = {}
        self.reshape()

    @property
    def _sliders(self) -> Iterable[Slider]:
        """Those of the method; LoRAs have others."""
        return self.query_one("#parameters").query(Slider)

    def parameters(self) -> dict[str, Value | Weight]:
        """What the fields say. Raises UsageError for what cannot be read."""
        fields = {field.parameter.name: field.value for field in self.query(ParameterField)}
        found = {slider.label: slider.value for slider in self._sliders} | fields
        return {p.name: found[p.name] for p in self.method.parameters if p.name in found}

    def texts(self) -> dict[str, str]:
        """What the fields of the method say, as text, also where it cannot be read."""
        sliders = {slider.label: shown_value(slider.value) for slider in self._sliders}
        return sliders | {field.parameter.name: field.text for field in self.query(ParameterField)}

    def offer_presets(self, architecture: str) -> str:
        """Offer the block weights that there are for an architecture; returns what is chosen of them now."""
        select = self.query_one("#preset", OfferSelect)
        select.offer([*_BLOCKS, *((name, name) for name in preset_names(architecture))])
        none = self.block_parameter is None or not block_names(architecture)
        self.query_one("#blocks-field").set_class(none, "-none")
        return select.chosen

    def show_blocks(self, shown: bool) -> None:
        """Say that there are block weights, or none, without asking for other ones."""
        select = self.query_one("#preset", Select)
        with select.prevent(Select.Changed):
            select.value = OTHER if shown else DEFAULT

    @on(LoraRows.Changed)
    def _other_loras(self) -> None:
        self.reshape()

    async def fill(self, method: str, models: Sequence[Asset | None], values: Mapping[str, Value | Weight]) -> None:
        """Show a recipe of one step."""
        for letter, asset in zip(LETTERS, [*models, *[None] * len(LETTERS)], strict=False):
            self.slot(letter).asset = asset
        self._set = values
        select = self.query_one("#method", Select)
        with select.prevent(Select.Changed):
            select.value = method
        await self._method_changed()

    async def fill_loras(self, loras: Sequence[tuple[Asset, float]]) -> None:
        """Show the LoRAs of a recipe."""
        await self.query_one(LoraRows).put(loras)

    # -- the result and the picture ----------------------------------------------------------------------------------

    @property
    def result(self) -> ResultFields:
        """What the result is."""
        return self.query_one(ResultFields)

    @property
    def components(self) -> dict[str, Any]:
        """What the fields of the result say, in the words of `merge_recipe`."""
        return self.result.said()

    def take_components(self, recipe: Recipe, keys: Sequence[str]) -> None:
        """Show where the components of a recipe over the models `keys` come from, and how it is stored."""
        self.result.take(recipe, dict(zip(keys, LETTERS, strict=False)))

    def take_vae(self, asset: Asset) -> None:
        """Take the VAE of a model beside the merged ones."""
        self.result.add_vae(asset)
        self.reshape()
        self.query_one("#vae", Select).value = str(asset.path)

    @property
    def picture(self) -> RequestFields:
        """What is asked of a picture."""
        return self.query_one(RequestFields)

    def request(self) -> Request:
        """What is to be rendered. Raises UsageError for what is no number."""
        return self.picture.request()

    def summarise(self) -> None:
        """Folded parts say what is set in them."""
        self.picture.summarise()
        self.result.summarise()


def _choices() -> Iterable[tuple[Text, str]]:
    """The methods in groups by what they take, which stands behind the title."""
    order = sorted(methods().values(), key=lambda m: (m.many, m.least, bool(m.names)))
    for method in order:
        models = " ".join(name.upper() if len(name) == 1 else name for name in method.names)
        yield Text.assemble(method.title, (f"  {models}{' …' if method.many else ''}", "dim")), method.name
