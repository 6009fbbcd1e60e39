"""The form of the merge lab: models, method, what the method is set to, components, and the picture to render."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Input, Label, Select, Static

from modelhub.catalog.asset import Asset
from modelhub.catalog.blocks import block_names
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import UsageError
from modelhub.merge.recipes.asking import block_parameter
from modelhub.merge.registry import Method, Parameter, Value, methods
from modelhub.preview.request import Request
from modelhub.tui import kitchen
from modelhub.tui.widgets.lora_rows import LoraRows
from modelhub.tui.widgets.parameter import ParameterField, parameter_field
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.slot import Slot

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.settings import Settings

LETTERS = "ABCDEFGHIJ"[: kitchen.LARGEST]
_CFG = 7.0
_PROMPT = "a red circle on a blue background"
#: What the component selects mean when they name no model.
DEFAULT, MERGED, OTHER = "", "merge", "…"
#: What stands in place of the formula while nothing is merged.
_UNUSED = "not used: LoRAs alone are added"
_BLOCKS = (("one weight for all", DEFAULT), ("each block…", OTHER))


class MergeForm(Horizontal):
    """Everything a merge and its preview are asked for with; it knows no catalog and no jobs."""

    class Reshaped(Message):
        """Another method, or other models: other slots, other pictures, other blocks."""

    class OtherVae(Message):
        """The VAE is to come from a model that is none of the merged ones."""

    def __init__(self, settings: Settings, method: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._settings, self._first = settings, method
        self._vae: Asset | None = None
        self._set: Mapping[str, Value | Weight] = {}

    def compose(self) -> ComposeResult:
        """Models on the left, settings on the right."""
        with Vertical(id="models"):
            with VerticalScroll(id="slots", can_focus=False):
                yield from (Slot(letter, id=f"slot-{letter}") for letter in LETTERS)
            yield LoraRows(id="loras")
            with Horizontal(classes="field"):
                yield Label("method")
                yield Select(list(_choices()), value=self._first, allow_blank=False, compact=True, id="method")
            yield Static(id="formula", markup=False)
            with Horizontal(classes="field"):
                yield Label("vae")
                yield Select([("A's", DEFAULT)], allow_blank=False, compact=True, id="vae")
                yield Label("text", classes="next")
                yield Select([("merged", MERGED)], allow_blank=False, compact=True, id="text")
        with Vertical(id="settings"):
            yield VerticalScroll(id="parameters", can_focus=False)
            with Horizontal(classes="field", id="blocks-field"):
                yield Label("blocks")
                yield Select(list(_BLOCKS), allow_blank=False, compact=True, id="preset")
            yield from self._compose_request()

    def _compose_request(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("prompt")
            yield Input(
                self._settings.preview_prompt, placeholder=_PROMPT, compact=True, select_on_focus=False, id="prompt"
            )
        with Horizontal(classes="field"):
            yield from _number_field("steps", str(self._settings.preview_steps), "10")
            yield from _number_field("size", "", "auto", next=True)
        with Horizontal(classes="field"):
            yield from _number_field("cfg", f"{_CFG:g}", f"{_CFG:g}")
            yield from _number_field("seed", "1", "1", next=True)
        with Horizontal(classes="buttons"):
            yield Button("Preview", variant="primary", compact=True, id="preview")
            yield Button("Save…", compact=True, id="save")
            yield Button("Recipe…", compact=True, id="recipe")

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
        filled = [letter for letter in letters if self.slot(letter).asset is not None]
        others = [] if bakes else [(f"{letter}'s", letter) for letter in filled if letter != "A"]
        merged = [("merged", MERGED)]
        vae = [(f"{self._vae.path.stem}'s", str(self._vae.path))] if self._vae else []
        mixed = [] if bakes else merged
        _offer(self.query_one("#vae", Select), [("A's", DEFAULT), *others, *mixed, *vae, ("other…", OTHER)])
        _offer(self.query_one("#text", Select), [*merged, ("A's", "A"), *others])
        self.post_message(self.Reshaped())

    @on(Select.Changed, "#vae")
    def _vae_chosen(self, message: Select.Changed) -> None:
        if message.value == OTHER:
            self.query_one("#vae", Select).value = DEFAULT
            self.post_message(self.OtherVae())

    def take_vae(self, asset: Asset) -> None:
        """Take the VAE of a model beside the merged ones."""
        self._vae = asset
        self.reshape()
        self.query_one("#vae", Select).value = str(asset.path)

    @property
    def components(self) -> dict[str, object]:
        """The components that are not merged as all the rest, in the words of `kitchen.merge_recipe`."""
        vae, text = (str(self.query_one(f"#{name}", Select).value) for name in ("vae", "text"))
        return {"vae": vae or None, "take": {} if text == MERGED else {"text_encoder": text}}

    def take_components(self, recipe: Recipe, keys: Sequence[str]) -> None:
        """Show where the components of a recipe over the models `keys` come from."""
        letters = dict(zip(keys, LETTERS, strict=False))
        vae = MERGED if recipe.vae == MERGED else letters.get(recipe.vae or "", DEFAULT)
        text = next((letters[key] for key in recipe.take.values() if key in letters), MERGED)
        self.query_one("#vae", Select).value = DEFAULT if vae == "A" else vae
        self.query_one("#text", Select).value = text

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
        fields = self.query_one("#parameters", VerticalScroll)
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

    def offer_presets(self, architecture: str) -> str:
        """Offer the block weights that there are for an architecture; returns what is chosen of them now."""
        select = self.query_one("#preset", Select)
        _offer(select, [*_BLOCKS, *((name, name) for name in kitchen.preset_names(architecture))])
        none = self.block_parameter is None or not block_names(architecture)
        self.query_one("#blocks-field").set_class(none, "-none")
        return str(select.value)

    def show_blocks(self, shown: bool) -> None:
        """Say that there are block weights, or none, without asking for other ones."""
        select = self.query_one("#preset", Select)
        with select.prevent(Select.Changed):
            select.value = OTHER if shown else DEFAULT

    @on(LoraRows.Changed)
    def _other_loras(self) -> None:
        self.reshape()

    async def fill(self, method: str, models: Sequence[Asset], values: Mapping[str, Value | Weight]) -> None:
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

    # -- the picture -----------------------------------------------------------------------------------------------

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def request(self) -> Request:
        """What is to be rendered. Raises UsageError for what is no number."""
        size = self._text("size").lower().replace("×", "x")
        width, height = (_number("size", part) for part in [*size.split("x"), size][:2]) if size else (None, None)
        return Request(
            self._text("prompt") or _PROMPT,
            steps=_number("number of steps", self._text("steps") or str(self._settings.preview_steps)),
            cfg=_decimal("CFG scale", self._text("cfg") or str(_CFG)),
            seed=_number("seed", self._text("seed") or "1"),
            width=width, height=height,
        )  # fmt: skip


def _choices() -> Iterable[tuple[Text, str]]:
    """The methods in groups by what they take, which stands behind the title."""
    order = sorted(methods().values(), key=lambda m: (m.many, m.least, bool(m.names)))
    for method in order:
        models = " ".join(name.upper() if len(name) == 1 else name for name in method.names)
        yield Text.assemble(method.title, (f"  {models}{' …' if method.many else ''}", "dim")), method.name


def _offer(select: Select[str], offers: list[tuple[str, str]]) -> None:
    """Other options, and the chosen one again if it is still among them."""
    value = select.value
    if getattr(select, "offered", None) == offers:
        return
    select.offered = offers  # type: ignore[attr-defined]
    with select.prevent(Select.Changed):
        select.set_options(offers)
        select.value = value if value in [offer for _, offer in offers] else offers[0][1]


def _number_field(name: str, value: str, hint: str, *, next: bool = False) -> ComposeResult:
    yield Label(name, classes="next" if next else "")
    yield Input(value, placeholder=hint, compact=True, id=name, classes="number")


def _decimal(what: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"The {what} is '{text}'.", "A number such as 7 or 3.5 is needed.") from None


def _number(what: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(f"The {what} is '{text}'.", "A whole number is needed; a size may also be 512x768.")
    return int(text)
