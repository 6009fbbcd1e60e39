"""The editor of a recipe as text: TOML, in few words above it what it says, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.recipe import Recipe, parse_recipe
from modelhub.text import printable
from modelhub.tui.lab.opening import Opened

#: Lines of what a recipe says that are shown above it.
_LINES = 6


class RecipeEditor(Vertical):
    """Holds a recipe, and the file that it was opened from; `recipe` is what the text says now."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._given: Opened | None = None
        self._text = ""

    def compose(self) -> ComposeResult:
        """The words over the text."""
        yield Static(id="opened", markup=False)
        yield TextArea(compact=True, soft_wrap=False, tab_behavior="focus", id="toml")

    @property
    def area(self) -> TextArea:
        """Where the text stands."""
        return self.query_one(TextArea)

    @property
    def path(self) -> Path | None:
        """The file that the recipe was opened from."""
        return self._given.path if self._given else None

    def show(self, opened: Opened) -> None:
        """Edit this recipe."""
        self._given, self._text = opened, opened.recipe.dumps()
        self.area.text = self._text
        self._tell(opened)

    @property
    def recipe(self) -> Recipe:
        """What the text says; untouched, what was opened. Raises BadRecipeError."""
        if self._given is not None and self.area.text == self._text:
            return self._given.recipe
        return parse_recipe(self.area.text)

    def check(self) -> None:
        """Say above the text what it says, or what is wrong with it."""
        try:
            self._tell(Opened(self.path, self.recipe, {}))
        except BadRecipeError as error:
            self._say(f"{error.message}\n{error.hint}", wrong=True)

    def _tell(self, opened: Opened) -> None:
        lines = opened.lines
        more = [f"… {len(lines) - _LINES} more"] if len(lines) > _LINES else []
        self._say("\n".join([*lines[:_LINES], *more]), wrong=False)

    def _say(self, text: str, *, wrong: bool) -> None:
        line = self.query_one("#opened", Static)
        line.update(printable(text))
        line.set_class(wrong, "-wrong")
