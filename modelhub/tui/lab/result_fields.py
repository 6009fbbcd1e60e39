"""The fields of a merge's result: whose VAE and text encoders, which components, how it is computed and stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Select

from modelhub.catalog.asset import Asset
from modelhub.formats.cast import PRECISIONS
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS, COMPATS, EMAS, MERGE_VAE, component_called
from modelhub.text import one_line
from modelhub.tui.lab.fold import Fold
from modelhub.tui.lab.offers import OfferSelect, field
from modelhub.tui.widgets.field import TextField

if TYPE_CHECKING:
    from modelhub.merge.recipes.recipe import Recipe

#: What the selects mean when they name no model.
DEFAULT, MERGED, OTHER = "", MERGE_VAE, "…"
_MERGED = ("merged", MERGED)
_SELECTS = ("vae", "text", "dtype", "ema", "compat")


class ResultFields(Vertical):
    """A fold of selects; models are named by their letters."""

    class OtherVae(Message):
        """The VAE is to come from a model that is none of the merged ones."""

    def __init__(self) -> None:
        super().__init__(id="result")
        self._vae: Asset | None = None

    def compose(self) -> ComposeResult:
        """Components first, because they change the picture."""
        with Fold("result", id="result-fold"):
            yield field("vae", OfferSelect([("A's", DEFAULT)], id="vae"))
            yield field("text", OfferSelect([_MERGED], id="text"))
            yield field("only", TextField(placeholder="all components", compact=True, id="only"), id="only-field")
            yield field("dtype", OfferSelect([("as in A", DEFAULT), *((n, n) for n in PRECISIONS)], id="dtype"))
            yield field("ema", OfferSelect([("dropped", EMAS[0]), ("A's, kept", EMAS[1])], id="ema"))
            compats = [(f"as {name} does, to the bit", name) for name in COMPATS]
            yield field("compat", OfferSelect([("in fp32, rounded once", DEFAULT), *compats], id="compat"))

    def on_mount(self) -> None:
        """What the names do not say."""
        self.query_one("#only", Input).tooltip = "components to merge, such as unet te1; the others are A's"

    def _select(self, name: str) -> OfferSelect:
        return self.query_one(f"#{name}", OfferSelect)

    def offer(self, letters: str, *, bakes: bool) -> None:
        """The choices that the models with these letters leave; `bakes`: one model, and nothing is merged."""
        others = [] if bakes else [(f"{letter}'s", letter) for letter in letters if letter != "A"]
        vae = [(f"{one_line(self._vae.path.stem)}'s", str(self._vae.path))] if self._vae else []
        mixed = [] if bakes else [_MERGED]
        self._select("vae").offer([("A's", DEFAULT), *others, *mixed, *vae, ("other…", OTHER)])
        self._select("text").offer([_MERGED, ("A's", "A"), *others])
        for name in ("only", "compat"):
            self.query_one(f"#{name}").parent.set_class(bakes, "-none")  # type: ignore[union-attr]

    @on(Select.Changed, "#vae")
    def _vae_chosen(self, message: Select.Changed) -> None:
        if message.value == OTHER:
            self._select("vae").value = DEFAULT
            self.post_message(self.OtherVae())

    def add_vae(self, asset: Asset) -> None:
        """Another model whose VAE may be taken: from now on `offer` has it."""
        self._vae = asset

    @property
    def vae(self) -> Asset | None:
        """The model beside the merged ones whose VAE may be taken."""
        return self._vae

    def said(self) -> dict[str, Any]:
        """What the fields say, in the words of `merge_recipe`."""
        chosen = {name: self._select(name).chosen for name in _SELECTS}
        only = self.query_one("#only", Input).value.replace(",", " ").split()
        return {
            "vae": chosen["vae"] or None,
            "take": {} if chosen["text"] == MERGED else {ALL_TEXT_ENCODERS: chosen["text"]},
            "only": tuple(component_called(word.lower()) for word in only),
            "dtype": chosen["dtype"] or None, "ema": chosen["ema"], "compat": chosen["compat"] or None,
        }  # fmt: skip

    def take(self, recipe: Recipe, letters: Mapping[str, str]) -> None:
        """Show what a recipe says; `letters` are those of the slots by those of the recipe's models."""
        other = str(self._vae.path) if self._vae else DEFAULT
        whose = letters.get(recipe.vae or "", other) if recipe.vae else DEFAULT
        vae = MERGED if recipe.vae == MERGE_VAE else whose
        text = next((letters[key] for key in recipe.take.values() if key in letters), MERGED)
        self.query_one("#only", Input).value = " ".join(recipe.steps[-1].only) if recipe.steps else ""
        values = (DEFAULT if vae == "A" else vae, text, recipe.dtype or DEFAULT, recipe.ema, recipe.compat or DEFAULT)
        self._put(values)

    def _put(self, values: Sequence[object]) -> None:
        for name, value in zip(_SELECTS, values, strict=True):
            self._select(name).put(value)

    def summarise(self) -> None:
        """Say in the title of the folded part what is set there."""
        self.query_one("#result-fold", Fold).title.hint = ", ".join(self._told())

    def _told(self) -> Iterator[str]:
        said = self.said()
        yield from [f"vae {self._label('vae')}"] if said["vae"] else []
        yield from [f"text {self._label('text')}"] if said["take"] else []
        yield from [f"only {' '.join(said['only'])}"] if said["only"] else []
        yield from [word for word in (said["dtype"], said["compat"]) if word]
        yield from ["ema kept"] if said["ema"] == EMAS[1] else []

    def _label(self, name: str) -> str:
        return self._select(name).label

    def state(self) -> dict[str, Any]:
        """All fields as they are."""
        vae = {"other_vae": str(self._vae.path)} if self._vae else {}
        return {name: self._select(name).chosen for name in _SELECTS} | {
            "only": self.query_one("#only", Input).value, **vae,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` said, as far as it makes sense."""
        self._put([state.get(name) for name in _SELECTS])
        if isinstance(state.get("only"), str):
            self.query_one("#only", Input).value = state["only"]
