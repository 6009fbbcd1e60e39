"""Taking: components that come from one model as they are, the VAE among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.catalog.weighing.spots import component_of
from modelhub.errors import IncompatibleError
from modelhub.merge.inputs.align import Model, Place
from modelhub.merge.planning.spots import components_called
from modelhub.merge.recipes.recipe import MERGE_VAE, Recipe
from modelhub.text import brief

_TITLES = {"vae": "VAE", "unet": "denoiser", "te1": "first text encoder", "te2": "second text encoder", "t5": "T5"}


class Taken:
    """Which components of the result come from which model. Raises IncompatibleError for one that does not fit."""

    def __init__(self, recipe: Recipe, models: Mapping[str, Model], first: Model) -> None:
        self.first = first
        self.warnings: list[str] = []
        self._models: dict[str, Model] = {}
        wanted = dict(recipe.take) | ({"vae": recipe.vae} if recipe.vae and recipe.vae != MERGE_VAE else {})
        for word, key in wanted.items():
            found = [one for one in components_called([word]) if self._fits(one, models[key])]
            if not found and not (word in ("te2", "t5") and "te1" in wanted):  # all text encoders, said one by one
                raise IncompatibleError(
                    f"{models[key].parent.name} has no {_TITLES.get(word, 'text encoder')}.",
                    f"Name a {'VAE or a ' if word == 'vae' else ''}checkpoint with one.",
                )
            self._models |= dict.fromkeys(found, models[key])

    def source(self, component: str) -> Model | None:
        """The model that a component is taken from; None if it is not taken."""
        return self._models.get(component)

    def why(self, model: Model, place: Place) -> str:
        """The reason for a tensor that is taken."""
        return f"{component_of(place)} is taken from {brief(model.parent.name)}"

    def more(self) -> Iterator[tuple[Model, str, Place]]:
        """What the taken components have beyond those of the first model: the model, the name and the place there."""
        for component, model in self._models.items():
            for place, name in model.places.items():
                if model is not self.first and place not in self.first.places and component_of(place) == component:
                    yield model, self._checked(name, place, model), place

    def _checked(self, name: str, place: Place, model: Model) -> str:
        """The name itself. A component that the first model lacks needs a prefix, or it would be lost among others."""
        if place[0] not in self.first.sections and self.first.named(place, model) == place[1]:
            raise IncompatibleError(
                f"{self.first.parent.name} has no {_TITLES[component_of(place)]} that could be replaced.",
                "Take it from a whole checkpoint.",
            )
        return name

    def _fits(self, component: str, model: Model) -> bool:
        """Whether `model` has the component, of the first model's kind."""
        section, mine = model.sections.get(component), self.first.sections.get(component)
        if section is None:
            return False
        kinds = section.owned.component.architecture, mine.owned.component.architecture if mine else None
        if None not in kinds and kinds[0] != kinds[1]:
            raise IncompatibleError(
                f"{model.parent.name} has a {_TITLES[component]} of the kind {kinds[0]}, and {self.first.parent.name} "
                f"one of the kind {kinds[1]}.",
                f"Name a {_TITLES[component]} for this architecture.",
            )
        self._compare(component, model)
        return True

    def _compare(self, component: str, model: Model) -> None:
        """SD and SDXL have VAEs of the same build, and latents of another scale: warn."""
        its, ours = model.identity.architecture, self.first.identity.architecture
        if component == "vae" and model.identity.kind == "checkpoint" and its and ours and its != ours:
            self.warnings.append(f"The VAE comes from {brief(model.parent.name)}, which is {its} and not {ours}.")
