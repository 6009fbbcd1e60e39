"""Completion of an axis of a grid: its name; and of its values the models of the catalog, samplers and schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.suggester import Suggester

from modelhub.merge.recipes.recipe import Recipe
from modelhub.merge.recipes.varying import parameter_names
from modelhub.preview.grids.axes import AXES
from modelhub.preview.grids.names import axis_key
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.tui.commands.suggestions import asset_named
from modelhub.tui.lab.grids import REFUSED
from modelhub.tui.library import LORAS, VAES, Library

_LORA = "lora:"


class AxisSuggester(Suggester):
    """Of a grid over `recipe`; `models` is the query for what one of its letters may stand for."""

    def __init__(self, library: Library, recipe: Recipe, models: str) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        loras = {lora.model for lora in recipe.loras}
        self._library = library
        self._letters = {letter: LORAS if letter in loras else models for letter in recipe.models}
        parameters = [name for name in parameter_names(recipe) if "." not in name]
        others = [name.removesuffix("NAME") for name in AXES if name not in REFUSED]
        self._names = [*parameters, *self._letters, *others]

    async def get_suggestion(self, value: str) -> str | None:
        """The name, or the last value, that goes on from what was typed."""
        return await asyncio.to_thread(self._complete, value)

    def _complete(self, typed: str) -> str | None:
        name, sign, said = typed.partition("=")
        word = said.rpartition(",")[2].lstrip() if sign else name
        found = self._value(name.strip(), word) if sign else self._name(name)
        return None if found is None or found == word else typed[: len(typed) - len(word)] + found

    def _name(self, typed: str) -> str | None:
        if typed.lower().startswith(_LORA):
            start = len(_LORA)
            found = asset_named(self._library, typed[start:], LORAS, apart=",=")
            return None if found is None else f"{typed[:start]}{found}="
        found = _first(self._names, typed)
        return found if found is None or found == _LORA else f"{found}="

    def _value(self, name: str, word: str) -> str | None:
        models = self._letters.get(name) or self._letters.get(name.upper())
        if models is not None:
            return asset_named(self._library, word, models, apart=",")
        key = axis_key(name)
        if key == "vae":
            return asset_named(self._library, word, VAES, apart=",")
        return _first({"sampler": SAMPLER_NAMES, "schedule": SCHEDULE_NAMES}.get(key, ()), word)


def _first(names: Sequence[str], typed: str) -> str | None:
    """The first name that goes on from what was typed."""
    start = typed.casefold()
    return next((name for name in names if typed and name.casefold().startswith(start)), None)
