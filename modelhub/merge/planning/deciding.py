"""Deciding: what becomes of every tensor, of the first model and of what only others have.

Weights are merged; whole numbers, what stands beside the components, and the VAE (unless asked) are copied; EMA
weights, stale after any merge, are left out. A component may be taken from one model as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelhub.catalog.weighing.spots import component_of
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.merge.engine.expression import Leaf, Node
from modelhub.merge.inputs.align import Model, Place
from modelhub.merge.planning.growing import Growth, Trees, leaf_of
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.planning.spots import components_called
from modelhub.merge.planning.taking import Taken
from modelhub.merge.recipes.recipe import MERGE_VAE, Recipe
from modelhub.text import brief


class Decisions:
    """Name to expression and to dtype in the result, in the order of the first of `models`, and the report of it."""

    def __init__(self, recipe: Recipe, models: Mapping[str, Model], order: Sequence[str]) -> None:
        self.recipe = recipe
        self.first, *self.others = (models[key] for key in order)
        self.taken = Taken(recipe, models, self.first)
        self.trees = Trees(recipe, models, self.first.identity.architecture)
        self.report = PlanReport()
        self.nodes: dict[str, Node] = {}
        self.dtypes: dict[str, str] = {}
        self.lacking: dict[str, list[str]] = {}
        self.widened: tuple[str, Node] | None = None
        self._applied = False
        self._vae = _merges_vae(recipe) or self.first.identity.kind == "vae"

    def decide(self) -> None:
        """Fill `nodes`, `dtypes` and `report`. Raises IncompatibleError for what does not fit, or if nothing does."""
        for name in self.first.source.header.tensors:
            self._of_first(name)
        for model, name, place in self.taken.more():
            self._add(
                self.first.named(place, model), model, name, Leaf(model.source, name), self.taken.why(model, place)
            )
        for model in self.others:
            for name in model.source.header.tensors:
                self._of_other(model, name)
        if self.recipe.steps and not self._applied:
            raise self._nothing()
        self.report.weights, self.report.passes = self.trees.weighed.rows(), self.trees.passes

    def _nothing(self) -> IncompatibleError:
        """Why no step had a say about any tensor."""
        there = {word for place in self.first.places if (word := component_of(place))}
        wanted = [word for step in self.recipe.steps for word in step.only]
        if wanted and not components_called(wanted) & there:
            return IncompatibleError(
                f"{self.first} has no {' and no '.join(dict.fromkeys(wanted))}, so there is nothing to merge.",
                f"It has {', '.join(sorted(there))}." if there else "Leave out what is to be merged only.",
            )
        return IncompatibleError(
            "No tensor that the steps are for is in all of the models, so there is nothing to merge.",
            "Compare them with `modelhub identify`; a component that is taken of one model is not merged.",
        )

    def _of_first(self, name: str) -> None:
        place = self.first.place(name)
        source = self.taken.source(component_of(place))
        if self.first.role(place) == "ema" and self.recipe.ema != "keep":
            self._tell(self.report.dropped, name, "EMA weights, which a merge makes stale")
        elif source is not None and source is not self.first:
            self._replace(name, place, source)
        elif reason := self._why_copied(name, place):
            self._keep(name, Leaf(self.first.source, name), reason)
        else:
            self._merge(name, place)

    def _why_copied(self, name: str, place: Place) -> str | None:
        """Why a tensor of the first model has no part in the merge, if it has none."""
        component, role = component_of(place), self.first.role(place)
        reasons = {
            "the EMA weights of the first model": role == "ema",
            "no weight of a component": role == "" and bool(self.first.sections),
            "not a float": self.first.source.info(name).dtype not in FLOAT_DTYPES,
            "counts positions": name.endswith("position_ids"),
            f"{component} is taken from {self.first.parent.name}": self.taken.source(component) is self.first,
            "nothing changes it": not self.recipe.steps,
            "a VAE is copied, not merged": role == "vae" and not self._vae,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _replace(self, name: str, place: Place, source: Model) -> None:
        """A tensor of the first model gives way to that of the model its component is taken from."""
        other = source.places.get(place)
        if other is None:
            self._tell(self.report.dropped, name, f"{brief(source.parent.name)} has none")
            return
        found = leaf_of(source, other, self.first.source.info(name).shape)
        if found is None:
            shapes = [list(model.source.info(own).shape) for model, own in ((self.first, name), (source, other))]
            raise IncompatibleError(
                f"The tensor {brief(name, 120)} is {shapes[0]}, and in {source.parent.name} it is {shapes[1]}.",
                "Take the component from a model of this architecture and width.",
            )
        self._keep(name, found, self.taken.why(source, place), source.dtype(other))

    def _merge(self, name: str, place: Place) -> None:
        info = self.first.source.info(name)
        growth = self.trees.grow(place, component_of(place), name, info.shape)
        self._applied |= growth.applied
        if growth.node is None:
            self._tell(self.report.dropped, name, f"not in {' and '.join(growth.lacking)}, so there is no difference")
            return
        if growth.widened:
            self.widened = growth.widened, growth.node
        if growth.lacking:
            self.lacking[name] = growth.lacking
        if isinstance(growth.node, Leaf):
            self._keep(name, growth.node, self._why_leaf(growth, growth.node))
        else:
            self.nodes[name], self.dtypes[name] = growth.node, self.first.dtype(name)
            self.report.merged.append(name)

    def _why_leaf(self, growth: Growth, leaf: Leaf) -> str:
        """Why a tensor is that of one model, though it could be merged."""
        if growth.applied:
            whose = next((m for m in (self.first, *self.others) if m.source is leaf.source), self.first)
            return f"by its weights that of {brief(whose.parent.name)} alone"
        if growth.lacking:
            return f"not in {' and '.join(growth.lacking)}"
        return "the steps are for other components"

    def _of_other(self, model: Model, name: str) -> None:
        """A tensor that the first model may lack."""
        place = model.place(name)
        if place in self.first.places or model.places[place] != name or self.first.named(place, model) in self.nodes:
            return
        growth = self._growth(model, name, place)
        if growth is None or growth.node is None:
            self.report.extra.setdefault(model.key, []).append(name)
            return
        self._add(self.first.named(place, model), model, name, growth.node, f"only in {brief(model.parent.name)}")

    def _growth(self, model: Model, name: str, place: Place) -> Growth | None:
        """What the steps make of a tensor that the first model lacks, in a component that it has."""
        component = component_of(place)
        is_weight = model.source.info(name).dtype in FLOAT_DTYPES and not name.endswith("position_ids")
        is_shared = place[0] in self.first.sections and self.taken.source(component) is None
        if not (is_weight and is_shared and (self._vae or component != "vae")):
            return None
        return self.trees.grow(place, component, self.first.named(place, model), model.source.info(name).shape)

    def _add(self, full: str, model: Model, name: str, node: Node, reason: str) -> None:
        self.nodes[full], self.dtypes[full] = node, model.dtype(name)
        self._tell(self.report.added, full, reason)

    def _keep(self, name: str, node: Leaf, reason: str, dtype: str | None = None) -> None:
        self.nodes[name], self.dtypes[name] = node, dtype or self.first.dtype(name)
        self._tell(self.report.copied, name, reason)

    def _tell(self, where: list[str], name: str, reason: str) -> None:
        where.append(name)
        self.report.reasons[name] = reason


def _merges_vae(recipe: Recipe) -> bool:
    """Whether the recipe asks for a merged VAE: as such, or by giving it weights of its own."""
    return recipe.vae == MERGE_VAE or (recipe.vae is None and any(map(_is_of_vae, _said(recipe))))


def _said(recipe: Recipe) -> Iterator[Weight | frozenset[str]]:
    for step in recipe.steps:
        yield components_called(step.only)
        yield from (value for value in step.parameters.values() if isinstance(value, Weight))


def _is_of_vae(said: Weight | frozenset[str]) -> bool:
    return "vae" in (said.components if isinstance(said, Weight) else said)
